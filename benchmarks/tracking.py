"""`python -m benchmarks.tracking CLIPS`: detection and tracking of people in rendered clips, and its time.

No body is fitted.  *visible*: frames in which at least half of a person's joints are in the image and not occluded;
*missed*: those of them without a detection; *detected occluded*: detections where less than half is visible.  *ids*:
track ids on the person.  *limb %*: mean 2D error of elbows, wrists, knees and ankles with a visibility over 0.5, in %
of the body's height; *outliers %*: share of them over 15 %, and *outliers*, their frames.  *false*: detections without
a track.  *ms*: CPU time per frame, of all threads.
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
_LIMB, _TORSO = 0.07, 0.15  # m: half the width of limbs and torsos as occluders
PILLAR = (-0.32, 0.38, 3.4)  # of `benchmarks.clips.motions.occlusion`
_OUTLIER = 0.15


class NoBodyFit:
    """A `PreviewModel` that fits nothing."""

    needs_pixels = False

    def bodies(self, rows: Any, pixels: Any, before: Any) -> dict[str, np.ndarray]:
        return {}


def read(path: Path, camera: Camera) -> tuple[dict[str, np.ndarray], float, float]:
    """Detections, and seconds per frame: CPU time and wall time."""
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
    """(T,) share of the person's joints in the image and not occluded.  joints: (P, T, 24, 3) m, camera frame."""
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
    """Distance of 2D points to segments a b, broadcast."""
    along = b - a
    share = ((points - a) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
    return np.linalg.norm(points - a - np.clip(share, 0, 1)[..., None] * along, axis=-1)


def bench(path: Path) -> list[dict[str, Any]]:
    """Rows of the table for one clip, one per person."""
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
        at, frames, track_ids = _detections_of(rows, ids, gt_pixels[:, [1, 2]].mean(1), height)
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
                "detected occluded": int((~visible & detected).sum()),
                "ids": len(track_ids),
                "counted %": 100 * float(counted.mean()),
                "limb %": 100 * float(distance[counted].mean()),
                "outliers %": 100 * float((distance[counted] > _OUTLIER).mean()),
                "outliers": sorted({int(f) for f in frames[((distance > _OUTLIER) & counted).any(1)]}),
                "missed in": [int(f) for f in np.nonzero(visible & ~detected)[0]],
            }
        )
    table[0].update(
        {"ms": 1000 * processor, "wall ms": 1000 * wall, "detections": len(ids), "false": int((ids == 0).sum())}
    )
    return table


def _detections_of(
    rows: dict[str, np.ndarray], ids: np.ndarray, hips: np.ndarray, height: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices and frames of the person's detections with its main track id, and the ids of over 5 frames."""
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
