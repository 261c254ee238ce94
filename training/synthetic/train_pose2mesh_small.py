"""`python -m training.synthetic.train_pose2mesh_small LIFTER_FOLDER OUT.safetensors --minutes 8`: `pose2mesh-small`.

Trains its mesh half on the output of the lifter of `training.synthetic.train_lifter`; OUT holds both.

One thread; minutes of CPU time.  OUT.json holds settings, hashes and the log.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

NAME = "pose2mesh-small"
_EDGES = 0.5  # weight of the edge loss; origin not recorded


def train_mesh(
    lifter: Path, minutes: float, seed: int, noise: Any, start_from: Path | None = None
) -> tuple[Any, dict, list[dict]]:
    """Network, mesh constants and log.

    lifter: folder of lifter.safetensors.  noise: a DetectorNoise.  start_from: weights of the full network, whose mesh
    half is trained further.
    """
    import torch

    from backend.body.mesh_levels import SparseMatrix
    from backend.models.checkpoints import read_checkpoint
    from backend.models.fastmetro.adapter import mesh_constants, mesh_of
    from backend.models.fastmetro.network import FastMETROMesh
    from backend.models.pose2mesh_small.network import SmallPose2Mesh, features
    from backend.models.weights import split
    from training.synthetic.coarse_mesh import CoarseSkinning, coarse_mesh, fit_upsampling
    from training.synthetic.keypoints import KeypointSampler
    from training.synthetic.train_lifter import annealed_step, load_lifter

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    sampler = KeypointSampler(noise=noise)
    body = sampler.body
    index, adjacency, plain = coarse_mesh(body)
    up = fit_upsampling(body, sampler.poses, index, plain, np.random.default_rng([seed, 0, 2]))
    skinning = CoarseSkinning(body, index)
    first = load_lifter(lifter / "lifter.safetensors")
    network = SmallPose2Mesh(adjacency, up, len(first.w1.weight))
    network.pose_lifter.load_state_dict(first.state_dict())
    network.pose_lifter.eval().requires_grad_(False)
    mesh = network.pose2mesh
    a, b = (torch.as_tensor(rows) for rows in adjacency.nonzero())
    a, b = a[a < b], b[a < b]

    def draw_batch(rng: np.random.Generator, count: int, exact: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Points (n, 57, 3), a share `exact` of them gt, the others lifted; and gt coarse vertices (n, C, 3)."""
        sampler.noise = noise.scaled(rng.uniform(0.4, 1.2))
        batch = sampler.batch(rng, count)
        view_rotation = torch.from_numpy(batch.view_rotation)
        with torch.inference_mode():
            gt = skinning(torch.from_numpy(batch.rotations), torch.from_numpy(batch.betas)) @ view_rotation
            points = network.pose_lifter(torch.from_numpy(features(batch.keypoints, batch.world)))
        gt_points = torch.from_numpy(np.concatenate([batch.ray_joints, batch.ray_landmarks], 1))
        keep = torch.from_numpy(rng.random(count) < exact)
        return torch.where(keep[:, None, None], gt_points, points).clone(), gt.clone()

    held_out = [draw_batch(np.random.default_rng([seed + 1, 0]), 512, share) for share in (0.0, 1.0)]
    if start_from:
        tensors, constants = split(read_checkpoint(start_from))
        part = "pose2mesh."
        mesh.load_state_dict({k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)})
        network.up = SparseMatrix(mesh_of(constants).up)  # part of the mesh half
        up = mesh_of(constants).up
    peak = 3e-4 if start_from else 1e-3
    optimiser = torch.optim.AdamW(mesh.parameters(), peak, weight_decay=1e-5)
    start, samples, steps, last_report, log = time.process_time(), 0, 0, -1, []
    budget = max(60 * minutes, 1e-3)
    for number in itertools.count():
        rng = np.random.default_rng([seed, number])
        points, gt = draw_batch(rng, 4096, 0.5)
        if not number and not start_from:
            # linear skip from ground-truth points alone: fitted to lifted ones it would shrink limbs
            mesh.fit_skip_by_ridge(*draw_batch(np.random.default_rng([seed, 0, 3]), 4096, 1.0))
        mesh.train()
        for rows in torch.from_numpy(rng.permutation(len(points))).split(128):
            share = min((time.process_time() - start) / budget, 1.0)
            out = mesh(points[rows])
            edges = (out[:, a] - out[:, b]) - (gt[rows][:, a] - gt[rows][:, b])
            loss = (out - gt[rows]).abs().mean() + _EDGES * edges.abs().mean()
            annealed_step(optimiser, loss, peak * min(1.0, steps / 50), share)
            steps += 1
            if time.process_time() - start > budget:
                break
        samples += len(points)
        elapsed = time.process_time() - start
        if int(elapsed / 30) > last_report or elapsed > budget:
            last_report = int(elapsed / 30)
            mesh.eval()
            with torch.inference_mode():
                errors = [float(1e3 * (mesh(x) - y).norm(dim=-1).mean()) for x, y in held_out]
            row = {"seconds": round(elapsed), "samples": samples}
            log.append(row | {"MPVPE": errors[0], "MPVPE of true points": errors[1]})
            print(json.dumps(log[-1]), flush=True)
        if elapsed > budget:
            break
    return network.eval(), mesh_constants(FastMETROMesh(adjacency, up)), log


def body_hash(body: Any) -> str:
    """SHA-256 of the body's arrays that the weights depend on, as float32: template, blend shapes, weights, joints.

    Not the keypoint regressors: the landmarks of its training are rigid to the joints.
    """
    parts = (body.v_template, body.shapedirs, body.posedirs, body.weights, body.joint_regressor, body.faces)
    digest = hashlib.sha256()
    for part in parts:
        values = part.cpu().numpy()
        digest.update(np.ascontiguousarray(values, np.float32 if values.dtype.kind == "f" else np.int64).tobytes())
    return digest.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.synthetic.train_pose2mesh_small", description=__doc__)
    parser.add_argument("lifter", type=Path, help="folder of training.synthetic.train_lifter")
    parser.add_argument("out", type=Path, help="safetensors file, half precision")
    parser.add_argument("--minutes", type=float, default=8, help="of CPU time")
    parser.add_argument("--seed", type=int, default=310)
    parser.add_argument("--start-from", type=Path, help="weights whose mesh half is trained further")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from backend.body.loader import load_body
    from backend.models.weights import faces_hash, save_weights
    from backend.models.weights_files import Card
    from training.synthetic.keypoints import DetectorNoise

    noise = DetectorNoise()
    network, constants, log = train_mesh(options.lifter, options.minutes, options.seed, noise, options.start_from)
    body = load_body("open")
    card = Card(
        name=NAME,
        body=body.name,
        faces=faces_hash(body),
        license=f"CC0-1.0. Body: {body.license}",
        source="training.synthetic.train_pose2mesh_small",
        source_sha256=hashlib.sha256((options.lifter / "lifter.safetensors").read_bytes()).hexdigest(),
        made=time.strftime("%Y-%m-%d", time.gmtime()),
        notes="Trained on procedural poses of the open body alone.",
    )
    save_weights(network.half(), constants, card, options.out)
    made = {
        "cpu_seconds": round(time.process_time()), "seed": options.seed, "minutes": options.minutes, "log": log,
        "sha256": hashlib.sha256(options.out.read_bytes()).hexdigest(), "bytes": options.out.stat().st_size,
        "body": body.name, "body_faces": faces_hash(body), "body_sha256": body_hash(body),
    }  # fmt: skip
    options.out.chmod(0o644)
    options.out.with_suffix(".json").write_text(json.dumps(made, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
