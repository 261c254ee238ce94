"""`python -m benchmarks.tracking CLIPS`: how people are found and followed in clips with known truth, and at what cost.

Nothing is fitted.  *visible*: frames in which at least half of a person's joints are in the picture and hidden by
nobody and nothing; *missed*: of those, without a find; *found hidden*: finds where less than half is visible.  *limb*:
elbows, wrists, knees and ankles of finds, mean distance to the truth where a landmark counts (visibility over 0.5), in
% of the body's height; *wild*: share of them more than 15 % away, and in which frames.  *ms*: processor time per frame,
of all threads.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from backend.body.joint_sets import BLAZEPOSE33, HIPS, SMPL24, indices
from backend.clips.clip_reader import ClipReader
from backend.media.video import open_clip
from backend.people.detect.clip_detector import ClipDetector
from backend.people.track.identities import identify
from backend.structures import Camera

# MediaPipe's landmark -> joint of SMPL's 24
LIMBS = {
    BLAZEPOSE33.index(f"{side}_{part}"): SMPL24.index(f"{side}_{part}")
    for part in ("elbow", "wrist", "knee", "ankle")
    for side in ("left", "right")
}
_ROWS = ("frame", "person", "boxes", "scores", "keypoints2d", "keypoints3d", "looks")
_BONES = [
    indices(SMPL24, f"{side}_{a}", f"{side}_{b}")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
    for side in ("left", "right")
]
_TRUNK = [
    indices(SMPL24, *pair)
    for pair in (
        ("pelvis", "neck"),
        ("left_shoulder", "right_hip"),
        ("right_shoulder", "left_hip"),
        ("neck", "head"),
    )
]
_LIMB, _TORSO = 0.07, 0.15  # m: half as wide as what hides others
PILLAR = (-0.32, 0.38, 3.4)  # of `benchmarks.clips.motions.occlusion`
_OUTLIER = 0.15


class NoBodyFit:
    """Stands in for `PreviewModel` where nothing is fitted."""

    needs_pixels = False

    def bodies(self, rows: Any, pixels: Any, before: Any) -> dict[str, np.ndarray]:
        return {}


def read(path: Path, camera: Camera) -> tuple[dict[str, np.ndarray], float, float]:
    """-> rows, and seconds per frame: of the processor, and on the wall."""
    clip = open_clip(path)
    reader = ClipReader(clip, camera, ClipDetector(), NoBodyFit(), None)
    processor, wall = time.process_time(), time.perf_counter()
    chunks = []
    while (chunk := reader.next_chunk(lambda count, stage: None)) is not None:
        chunks.append(chunk)
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    count = sum(len(chunk["numbers"]) for chunk in chunks)
    rows = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in _ROWS}
    return rows, processor / count, wall / count


def visible_share(joints: np.ndarray, person: int, camera: Camera, pillar: bool) -> np.ndarray:
    """joints: (P, T, 24, 3) m, camera frame.  -> (T,) share of the joints that the camera sees."""
    own_pixels = camera.project(joints[person])
    depth = joints[person][..., 2]
    seen = (own_pixels > 0).all(-1) & (own_pixels[..., 0] < camera.width) & (own_pixels[..., 1] < camera.height)
    if pillar:
        left, right, z = PILLAR
        edges = camera.project(np.array([[left, 0, z], [right, 0, z]]))[:, 0]
        seen &= (own_pixels[..., 0] < edges[0]) | (own_pixels[..., 0] > edges[1])
    for other in range(len(joints)):
        if other == person:
            continue
        other_pixels, near = camera.project(joints[other]), joints[other][:, 0, 2]
        scale = (camera.fx / near)[:, None]
        hidden = np.zeros_like(seen)
        for bones, width in ((_BONES, _LIMB), (_TRUNK, _TORSO)):
            for a, b in bones:
                distance = _to_segment(own_pixels, other_pixels[:, a, None], other_pixels[:, b, None])
                hidden |= distance < width * scale
        seen &= ~(hidden & (depth > near[:, None]))
    return seen.mean(1)


def _to_segment(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    along = b - a
    share = ((points - a) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
    return np.linalg.norm(points - a - np.clip(share, 0, 1)[..., None] * along, axis=-1)


def bench(path: Path) -> list[dict[str, Any]]:
    """Rows of the table."""
    with np.load(path.with_suffix(".npz")) as file:
        truth = dict(file)
    camera = Camera(*truth["camera"].astype(float).tolist(), *truth["image_size"].astype(int).tolist())
    rows, processor, wall = read(path, camera)
    ids = identify(rows, float(truth["fps"]))
    table = []
    for person, joints in enumerate(truth["joints"]):
        gt_pixels = camera.project(joints)
        height = np.ptp(gt_pixels[..., 1], axis=1)
        share = visible_share(truth["joints"], person, camera, path.stem == "occlusion")
        at, frames, names = _detections_of(rows, ids, gt_pixels[:, [1, 2]].mean(1), height)
        points = rows["keypoints2d"][at][:, list(LIMBS)]
        distance = np.linalg.norm(points[..., :2] - gt_pixels[frames][:, list(LIMBS.values())], axis=-1)
        distance = distance / height[frames, None]
        counted = points[..., 2] > 0.5
        visible, detected = share >= 0.5, np.isin(np.arange(len(gt_pixels)), frames)
        table.append(
            {
                "clip": path.stem,
                "person": person + 1,
                "visible": int(visible.sum()),
                "missed": int((visible & ~detected).sum()),
                "found hidden": int((~visible & detected).sum()),
                "names": len(names),
                "counted %": 100 * float(counted.mean()),
                "limb %": 100 * float(distance[counted].mean()),
                "wild %": 100 * float((distance[counted] > _OUTLIER).mean()),
                "wild": sorted({int(f) for f in frames[((distance > _OUTLIER) & counted).any(1)]}),
                "gone": [int(f) for f in np.nonzero(visible & ~detected)[0]],
            }
        )
    table[0].update({"ms": 1000 * processor, "wall ms": 1000 * wall, "finds": len(ids), "false": int((ids == 0).sum())})
    return table


def _detections_of(
    rows: dict[str, np.ndarray], ids: np.ndarray, hips: np.ndarray, height: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> indices and frames of the rows that are this person under the name that it mostly has; every frame's name."""
    seen = rows["keypoints2d"][:, HIPS, :2].mean(1)
    near = np.linalg.norm(seen - hips[rows["frame"]], axis=1) < 0.2 * height[rows["frame"]]
    near &= ids > 0
    if not near.any():
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0, int)
    values, counts = np.unique(ids[near], return_counts=True)
    at = np.nonzero(near & (ids == values[counts.argmax()]))[0]
    return at, rows["frame"][at], values[counts > 5]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, help="folder of `python -m benchmarks.clips`")
    parser.add_argument("--only", default="walk,cross,occlusion")
    args = parser.parse_args()
    for name in args.only.split(","):
        for row in bench(args.clips / f"{name}.mp4"):
            print(
                ", ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()),
                flush=True,
            )


if __name__ == "__main__":
    main()
