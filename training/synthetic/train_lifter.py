"""`python -m training.synthetic.train_lifter OUT --minutes 20`: train the lifter and compare it with the fit.

One thread.  Training draws from random stream [seed, 0], evaluation from [seed + 1, 0]: other poses and betas.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.body.joint_sets import BLAZEPOSE33, left_right


def train(
    out: Path,
    minutes: float,
    width: int,
    seed: int,
    noise,
    start_from: Path | None = None,
    detected: Sequence[Path] = (),
) -> None:
    """Train for `minutes` of CPU time; write lifter.safetensors (float16) and card.json into `out`.

    noise: a DetectorNoise; each batch scales it by a random factor of 0.4 to 1.2, because a detector's is not known
    exactly.  start_from: initial weights.  detected: files of `training.synthetic.detected`; an eighth of the samples
    is drawn from them.
    """
    import torch
    from safetensors.torch import save_file

    from backend.body.procrustes import pa_mpjpe
    from backend.models.pose2mesh_small.network import GIVEN, JOINTS, LANDMARKS, Lifter, features, lift
    from training.synthetic.detected import load_detected
    from training.synthetic.keypoints import KeypointSampler

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    sampler = KeypointSampler(noise=noise)
    real = load_detected(detected, sampler.body) if detected else None
    held_out = sampler.batch(np.random.default_rng([seed + 1, 0]), 1024)
    model = load_lifter(start_from) if start_from else Lifter(width)
    peak = 3e-4 if start_from else 1e-3
    optimiser = torch.optim.AdamW(model.parameters(), peak, weight_decay=1e-4)
    weight = torch.cat([torch.full((JOINTS, 1), 1.0), torch.full((LANDMARKS, 1), 0.5)])
    start, samples, log, steps = time.process_time(), 0, [], 0
    budget, last_report = max(60 * minutes, 1e-3), -1
    for number in itertools.count():
        rng = np.random.default_rng([seed, number, 1])
        sampler.noise = noise.scaled(rng.uniform(0.4, 1.2))
        batch = sampler.batch(np.random.default_rng([seed, number]), 8192)
        seen = [batch.keypoints, batch.world, batch.ray_landmarks, batch.ray_joints]
        if real is not None:
            drawn = real.sample(rng, len(batch.keypoints) // 7)
            seen = [np.concatenate(pair).astype(np.float32) for pair in zip(seen, drawn, strict=True)]
        inputs = features(seen[0], seen[1])
        only_2d = rng.random(len(inputs)) < 0.1
        inputs[only_2d, GIVEN:] = 0  # no 3D keypoints
        x, y = torch.from_numpy(inputs), torch.from_numpy(np.concatenate([seen[3], seen[2]], 1))
        if not number and not start_from:
            model.fit_skip_by_ridge(x, y)
        model.train()
        for rows in torch.from_numpy(rng.permutation(len(x))).split(512):
            progress = min((time.process_time() - start) / budget, 1.0)
            loss = ((model(x[rows]) - y[rows]).abs() * weight).mean()
            annealed_step(optimiser, loss, peak * min(1.0, steps / 100), progress)
            steps += 1
        samples += len(x)
        elapsed = time.process_time() - start
        if int(elapsed / 30) > last_report or elapsed > budget:
            last_report = int(elapsed / 30)
            model.eval()
            errors = [
                float(pa_mpjpe(lift(model, held_out.keypoints, world)[0], held_out.joints).mean())
                for world in (held_out.world, None)
            ]
            row = {"seconds": round(elapsed), "samples": samples}
            log.append(row | {"PA-MPJPE 2D+3D": errors[0], "PA-MPJPE 2D": errors[1]})
            print(json.dumps(log[-1]), flush=True)
        if elapsed > budget:
            break
    model.eval()
    out.mkdir(parents=True, exist_ok=True)
    path = out / "lifter.safetensors"
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items() if "num_batches" not in k}, str(path))
    card = {
        "name": "small lifter", "licence": "CC0-1.0", "body": "open_body", "width": width, "seed": seed,
        "cpu_seconds": round(time.process_time()), "samples": samples, "log": log,
        "started_from": hashlib.sha256(start_from.read_bytes()).hexdigest() if start_from else "", "noise": vars(noise),
        "detected": [hashlib.sha256(path.read_bytes()).hexdigest() for path in detected],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size,
    }  # fmt: skip
    (out / "card.json").write_text(json.dumps(card, indent=2))


def annealed_step(optimiser: Any, loss: Any, peak: float, progress: float) -> None:
    """One optimiser step, the learning rate annealed from `peak` by half a cosine; progress: share of budget spent."""
    import torch

    for group in optimiser.param_groups:
        group["lr"] = peak * (0.5 + 0.5 * np.cos(np.pi * progress)) + 1e-6
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], 1.0)
    optimiser.step()


def load_lifter(path: Path):
    """The lifter from a file that `train` wrote, in float32, in evaluation mode."""
    from safetensors.torch import load_file

    from backend.models.pose2mesh_small.network import Lifter

    tensors = {k: v.float() for k, v in load_file(str(path)).items()}
    model = Lifter(len(tensors["w1.weight"]))
    model.load_state_dict(tensors, strict=False)
    return model.eval()


def measure(weights: Path, count: int, seed: int, noise) -> dict:
    """Errors of the plain keypoint fit, the lifter, and the fit with the lifter's landmarks, on `count` held-out poses.

    method -> mean and median PA-MPJPE over the 24 joints of the skeleton, mm.
    """
    import torch

    from backend.body.keypoint_fit import fit_keypoints
    from backend.body.procrustes import pa_mpjpe
    from backend.geometry.rotations import matrix_from_axis_angle
    from backend.models.pose2mesh_small.network import lift
    from backend.structures import Camera, DetectedPerson
    from training.synthetic.keypoints import KeypointSampler

    torch.set_num_threads(1)
    sampler = KeypointSampler(noise=noise, views=1)
    held_out = sampler.batch(np.random.default_rng([seed + 1, 1]), count)
    model = load_lifter(weights)

    # as in the product, the focal length is not known: 1.2 times the image's side
    focal, middle = 1.2 * sampler.size, (sampler.size - 1) / 2
    camera = Camera(focal, focal, middle, middle, sampler.size, sampler.size)

    def fitted(world: np.ndarray) -> np.ndarray:
        people = [
            DetectedPerson(np.concatenate([k[:, :2].min(0), k[:, :2].max(0)]), 0.9, k, w, "blazepose33")
            for k, w in zip(held_out.keypoints, world.astype(np.float32), strict=True)
        ]
        fits = [fit for k in range(0, count, 16) for fit in fit_keypoints(sampler.body, people[k : k + 16], camera)]
        with torch.inference_mode():
            poses = torch.as_tensor(np.stack([fit.poses for fit in fits]), dtype=torch.float32)
            betas = torch.as_tensor(np.stack([fit.betas for fit in fits]), dtype=torch.float32)
            return sampler.body.pose_joints(matrix_from_axis_angle(poses), betas).numpy()

    lifted = {
        "lifter 2D+3D": lift(model, held_out.keypoints, held_out.world),
        "lifter 2D": lift(model, held_out.keypoints, None),
    }
    errors_by_method = {
        "detector's 3D, 12 limb joints": pa_mpjpe(held_out.world[:, _LIMBS], held_out.ray_landmarks[:, _LIMBS]),
        "lifter 2D+3D, 12 limb joints": pa_mpjpe(
            lifted["lifter 2D+3D"][1][:, _LIMBS], held_out.ray_landmarks[:, _LIMBS]
        ),
        "plain fit": pa_mpjpe(fitted(held_out.world), held_out.joints),
        **{name: pa_mpjpe(joints, held_out.joints) for name, (joints, _) in lifted.items()},
        "fit given lifter 2D+3D": pa_mpjpe(fitted(lifted["lifter 2D+3D"][1]), held_out.joints),
        "fit given lifter 2D": pa_mpjpe(fitted(lifted["lifter 2D"][1]), held_out.joints),
    }
    return {
        name: {"mean": round(float(v.mean()), 1), "median": round(float(np.median(v)), 1)}
        for name, v in errors_by_method.items()
    }


_LIMBS = [k for pair in left_right(BLAZEPOSE33, "shoulder", "elbow", "wrist", "hip", "knee", "ankle") for k in pair]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.synthetic.train_lifter", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", type=int, default=200, help="number of held-out poses to evaluate on")
    parser.add_argument("--start-from", type=Path, help="lifter.safetensors with initial weights")
    parser.add_argument("--detected", type=Path, nargs="+", default=[], help="files of training.synthetic.detected")
    parser.add_argument("--only-measure", action="store_true")
    parser.add_argument(
        "--noise-scale", type=float, default=1.0, help="factor of the jitter, in training and evaluation"
    )
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from training.synthetic.keypoints import DetectorNoise

    usual = DetectorNoise()
    noise = usual.scaled(options.noise_scale)
    if not options.only_measure:
        sources = (options.start_from, options.detected)
        train(options.out, options.minutes, options.width, options.seed, noise, *sources)
    result = measure(options.out / "lifter.safetensors", options.measure, options.seed, noise)
    (options.out / f"measured_{options.noise_scale:g}.json").write_text(json.dumps(result, indent=2))
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
