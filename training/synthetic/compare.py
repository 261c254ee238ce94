"""`python -m training.synthetic.compare --count 240 --detected FILE`: plain keypoint fit, small Pose2Mesh, and both.

On held-out procedural poses with synthetic detector noise, and on rendered people detected by MediaPipe.  MPJPE,
PA-MPJPE (24 joints of the skeleton) and MPVPE (all vertices), mm, the first and last relative to the pelvis joint.  No
method gets the focal length.  Mean and median, and means by kind of pose.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.body.procrustes import pa_mpjpe

KINDS = {
    "feet": "standing", "foot": "standing", "stride": "moving", "air": "moving", "seat": "seated", "ground": "seated",
    "knees": "kneeling", "hands": "on hands", "back": "lying", "front": "lying", "side": "lying", "held": "held",
}  # fmt: skip
METHODS = ("plain fit", "small Pose2Mesh", "guided fit", "fit given the lifter")


def pose_categories(names: Sequence[str]) -> np.ndarray:
    """(n,) kind of pose of each archetype name, by `KINDS`; deep poses are a kind of their own."""
    from training.synthetic.deep_poses import deep_poses
    from training.synthetic.pose_library import all_archetypes

    table = {a.name: KINDS[a.support] for a in all_archetypes()}
    table |= {a.name: "deep" for a in deep_poses()} | {"deep squat": "deep", "squat": "deep", "lunge": "deep"}
    return np.array([table[str(name)] for name in names])


def recovery_methods(body: Any) -> dict[str, Callable]:
    """name -> function (people, camera) -> bodies with poses, betas, trans."""
    from backend.body.keypoint_fit import fit_keypoints
    from backend.models.keypoint_fit import GUIDE, Guide
    from backend.models.registry import get_model

    guide = Guide(get_model(GUIDE))
    network, lifter = guide.network, guide.lifter

    def guided(people: list, camera: Any) -> list:
        better, state = guide(people, camera)
        return fit_keypoints(body, better, camera, guide=state)

    blank = np.zeros((8, 8, 3), np.uint8)
    return {
        METHODS[0]: lambda people, camera: fit_keypoints(body, people, camera),
        METHODS[1]: lambda people, camera: network.recover(blank, people, camera),
        METHODS[2]: guided,
        METHODS[3]: lambda people, camera: fit_keypoints(body, lifter.refine(people), camera),
    }


def measure(
    body: Any,
    recover: Callable,
    keypoints: np.ndarray,
    world: np.ndarray,
    gt: tuple[np.ndarray, np.ndarray],
    size: int,
) -> dict[str, np.ndarray]:
    """metric -> (n,) errors, mm.  gt: joints (n, 24, 3) and vertices (n, V, 3) m, camera axes."""
    import torch

    from backend.structures import Camera, DetectedPerson

    focal, middle = 1.2 * size, (size - 1) / 2
    camera = Camera(focal, focal, middle, middle, size, size)
    errors: dict[str, list[np.ndarray]] = {"MPJPE": [], "PA-MPJPE": [], "MPVPE": []}
    for start in range(0, len(keypoints), 16):
        rows = slice(start, start + 16)
        people = [
            DetectedPerson(np.concatenate([k[:, :2].min(0), k[:, :2].max(0)]), 0.9, k, w, "blazepose33")
            for k, w in zip(keypoints[rows].astype(np.float32), world[rows].astype(np.float32), strict=True)
        ]
        fits = recover(people, camera)
        with torch.inference_mode():
            posed = body(*(
                torch.as_tensor(np.stack([getattr(fit, name) for fit in fits]), dtype=torch.float32)
                for name in ("poses", "betas", "trans")
            ))  # fmt: skip
        joints, vertices = (posed.joints.numpy(), posed.vertices.numpy())
        joints, vertices = joints - joints[:, :1], vertices - joints[:, :1]
        gt_joints, gt_vertices = (t[rows] for t in gt)
        gt_joints, gt_vertices = gt_joints - gt_joints[:, :1], gt_vertices - gt_joints[:, :1]
        errors["MPJPE"].append(1e3 * np.linalg.norm(joints - gt_joints, axis=-1).mean(1))
        errors["PA-MPJPE"].append(pa_mpjpe(joints, gt_joints))
        errors["MPVPE"].append(1e3 * np.linalg.norm(vertices - gt_vertices, axis=-1).mean(1))
    return {name: np.concatenate(parts) for name, parts in errors.items()}


def posed_gt(body: Any, rotations: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """joints (n, 24, 3) and vertices (n, V, 3) m, camera axes, from rotations (n, 24, 3, 3) and betas (n, B)."""
    import torch

    parts = []
    with torch.inference_mode():
        for start in range(0, len(rotations), 64):
            rows = slice(start, start + 64)
            posed = body(None, torch.as_tensor(betas[rows]), rotations=torch.as_tensor(rotations[rows]))
            parts.append((posed.joints.numpy(), posed.vertices.numpy()))
    return np.concatenate([j for j, _ in parts]), np.concatenate([v for _, v in parts])


def summary(errors: dict[str, dict[str, np.ndarray]], kinds: np.ndarray) -> dict[str, Any]:
    """Per method: mean and median of each metric, and PA-MPJPE by kind of pose."""
    out: dict[str, Any] = {"n": len(kinds), "kinds": {k: int((kinds == k).sum()) for k in sorted(set(kinds))}}
    for method, metrics in errors.items():
        out[method] = {
            name: {"mean": round(float(v.mean()), 1), "median": round(float(np.median(v)), 1)}
            for name, v in metrics.items()
        }
        out[method]["PA-MPJPE by kind"] = {
            str(k): round(float(metrics["PA-MPJPE"][kinds == k].mean()), 1) for k in sorted(set(kinds))
        }
    return out


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.synthetic.compare", description=__doc__)
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--seed", type=int, default=900)
    parser.add_argument("--detected", type=Path, help="file of training.synthetic.detected, of a seed not trained on")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    import torch

    from backend.body.loader import load_body
    from backend.geometry.rotations import matrix_from_axis_angle
    from training.synthetic.detected import SIZE, load_detected
    from training.synthetic.keypoints import KeypointSampler

    torch.set_num_threads(1)
    body = load_body("open")
    methods = recovery_methods(body)
    result: dict[str, Any] = {}
    if options.count:
        sampler = KeypointSampler(body, views=1)
        batch = sampler.batch(np.random.default_rng([options.seed, 0]), options.count)
        gt = posed_gt(body, batch.rotations, batch.betas)
        kinds = pose_categories([sampler.poses.archetypes[k].name for k in batch.archetype])
        result["simulated noise"] = summary(
            {n: measure(body, m, batch.keypoints, batch.world, gt, sampler.size) for n, m in methods.items()},
            kinds,
        )
    if options.detected:
        detected = load_detected([options.detected], body)
        rotations = matrix_from_axis_angle(torch.from_numpy(detected.pose)).numpy()
        gt = posed_gt(body, rotations, detected.betas)
        result["rendered, detected"] = summary(
            {n: measure(body, m, detected.keypoints, detected.world, gt, SIZE) for n, m in methods.items()},
            pose_categories(detected.archetype.tolist()),
        )
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
