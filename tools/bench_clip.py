"""`python -m tools.bench_clip`: clips with known truth through every stage, in one table.

Errors are against the truth: MPJPE root-aligned, PA-MPJPE after Procrustes, jitter (m/s^3, the truth's beside it),
peaks (acceleration kept where it is highest), foot slide (mm per frame while the true foot stands), penetration (mm),
ids: identities used for a person, and frames without one.  Stages: frames (each for itself), track (one shape,
smooth), final (feet locked, in the world).  Where the camera moves its way is given, and `root` is in the world.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.body.keypoint_fit import rotations as rot
from backend.body.keypoint_fit.kinematics import Skeleton, State
from backend.body.loader import load_body
from backend.clips.camera_track import CameraTrack
from backend.clips.guess import KeypointGuess
from backend.clips.reading import ClipReader
from backend.clips.records import Motion, World
from backend.motion.foot_lock import POINTS
from backend.motion.matchmove import Matchmove
from backend.motion.metrics import (
    acceleration_peak_ratio,
    foot_slide,
    jitter,
    mpjpe,
    pa_mpjpe,
    penetration,
)
from backend.motion.pipeline import recover_motions
from backend.people.clip_detector import ClipDetector
from backend.people.identities import identify, tracks_from_rows
from backend.results import Camera
from backend.video import open_clip
from tools.clips.__main__ import write_clip
from tools.clips.motions import MOTIONS, Maker
from tools.clips.render import Renderer

SIZE = (960, 540)
_ROWS = (
    "frame", "person", "boxes", "scores", "keypoints2d", "keypoints3d", "looks", "poses", "betas", "trans",
)  # fmt: skip


@dataclass
class Read:
    """What came of reading a clip."""

    rows: dict[str, np.ndarray]
    frames: int
    seconds: dict[str, float]


def read(path: Path, camera: Camera, body: Any) -> Read:
    """Decode, detect, follow and fit frame by frame; seconds by stage."""
    clip = open_clip(path)
    reader = ClipReader(clip, camera, ClipDetector(), KeypointGuess(body, camera), None)
    seconds: dict[str, float] = {}
    last = ["start", time.perf_counter()]

    def on_frame(count: int, stage: str) -> None:
        now = time.perf_counter()
        seconds[last[0]] = seconds.get(last[0], 0.0) + now - last[1]
        last[:] = [stage, now]

    chunks = []
    while (chunk := reader.next_chunk(on_frame)) is not None:
        on_frame(0, "start")
        chunks.append(chunk)
    rows = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in _ROWS}
    return Read(rows, sum(len(chunk["numbers"]) for chunk in chunks), seconds)


def bench(path: Path, body: Any, smoothing: float = 0.5) -> list[dict[str, Any]]:
    """Rows of the table for one clip."""
    with np.load(path.with_suffix(".npz")) as file:
        truth = dict(file)
    camera = Camera(*map(float, truth["camera"]), *map(int, truth["image_size"]))
    fps = float(truth["fps"])
    true_world = World(truth["world_rotation"], truth["world_translation"])
    skeleton = Skeleton(body)
    got = read(path, camera, body)
    rows = got.rows
    ids = identify(rows, fps)
    tracks = tracks_from_rows(rows, ids, 1)
    guessed = [
        State(rot.exp(rows["poses"][w]), rows["betas"][w], rows["trans"][w])
        for w in (ids == t.id for t in tracks)
    ]
    began = time.perf_counter()
    way = _way(path)
    final, world = recover_motions(
        body, tracks, camera, fps, guessed=guessed, matchmove=way and Matchmove(way)
    )
    refine = time.perf_counter() - began
    free, free_world = recover_motions(
        body,
        tracks,
        camera,
        fps,
        guessed=guessed,
        foot_lock="never",
        smoothing=smoothing,
        matchmove=way and Matchmove(way),
    )
    if way is not None:  # frames for themselves are in their cameras' frames, the truth is in the common one
        guessed = [
            way.view(t.frames[t.seen]).common(skeleton, g) for g, t in zip(guessed, tracks, strict=True)
        ]
    table = []
    for person in range(len(truth["joints"])):
        true = truth["joints"][person]
        mine, switches, missed = _identities(rows, ids, camera, true, way)
        base = {"clip": path.stem, "person": person + 1, "ids": mine, "missed": missed, "switches": switches}
        own = next((k for k, t in enumerate(tracks) if t.id == mine), None)
        if own is None:
            table.append({**base, "stage": "not found"})
            continue
        at = ids == mine
        frames = rows["frame"][at]
        stages = {
            "frames": (frames, guessed[own], true_world),
            "track": (free[own].frames, _state(free[own]), free_world),
            "final": (final[own].frames, _state(final[own]), world),
        }
        for stage, (numbers, state, stands) in stages.items():
            _, joints, points = skeleton.forward(state)
            feet = points[:, list(POINTS)]
            t = true[numbers]
            table.append(
                {
                    **base,
                    "stage": stage,
                    "jitter": jitter(joints, fps),
                    "true": jitter(t, fps),
                    "peaks": acceleration_peak_ratio(joints, t),
                    "slide": foot_slide(feet.reshape(-1, 2, 2, 3), truth["contacts"][person][numbers]),
                    "under": penetration(stands.points(feet)) if stage == "final" else float("nan"),
                    "MPJPE": mpjpe(joints, t),
                    "PA": pa_mpjpe(joints, t),
                    "root": float(np.linalg.norm(joints[:, 0] - t[:, 0], axis=-1).mean() * 1000),
                }
            )
        tilt = np.rad2deg(np.arccos(np.clip(world.rotation[2] @ true_world.rotation[2], -1, 1)))
        table[-1]["tilt"] = float(tilt)
    per = {stage: 1000 * value / got.frames for stage, value in got.seconds.items() if stage != "start"}
    per["refine"] = 1000 * refine / got.frames
    table[-1]["ms"] = per
    return table


def _way(path: Path) -> CameraTrack | None:
    """Of the clip's camera, where it moves."""
    file = path.with_suffix(".camera.json")
    return CameraTrack.load(file) if file.exists() else None


def _state(motion: Motion) -> State:
    count = len(motion.frames)
    return State(rot.exp(motion.poses), np.tile(motion.betas, (count, 1)), motion.trans)


def _identities(
    rows: dict[str, np.ndarray], ids: np.ndarray, camera: Camera, true: np.ndarray, way: CameraTrack | None
) -> tuple[int, int, int]:
    """-> the identity that a true person mostly has, how often it changes, in how many frames nobody is found there."""
    if way is not None:
        true = way.view(np.arange(len(true))).points(true)
    hips = camera.project(true[:, [1, 2]].mean(1))
    height = np.ptp(camera.project(true)[..., 1], axis=1)
    found = []
    inside = (hips[:, 0] > 0) & (hips[:, 0] < camera.width)
    for number in np.nonzero(inside)[0]:
        at = np.nonzero((rows["frame"] == number) & (ids > 0))[0]
        seen = rows["keypoints2d"][at][:, [23, 24], :2].mean(1)
        away = np.linalg.norm(seen - hips[number], axis=1) if len(at) else np.array([np.inf])
        found.append(int(ids[at[away.argmin()]]) if away.min() < 0.2 * height[number] else 0)
    named = np.array([one for one in found if one])
    if not len(named):
        return 0, 0, len(found)
    values, counts = np.unique(named, return_counts=True)
    return int(values[counts.argmax()]), int((np.diff(named) != 0).sum()), int(len(found) - len(named))


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--clips", type=Path, help="folder of `python -m tools.clips` (rendered anew without it)"
    )
    parser.add_argument("--only", default=",".join(MOTIONS))
    args = parser.parse_args()
    body = load_body("open")
    names = (
        "clip",
        "person",
        "stage",
        "switches",
        "missed",
        "jitter",
        "true",
        "peaks",
        "slide",
        "under",
        "MPJPE",
        "PA",
        "root",
        "tilt",
    )
    table = Table(*names)
    costs = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.clips or Path(temporary)
        for k, name in enumerate(args.only.split(",")):
            path = folder / f"{name}.mp4"
            if not path.exists():
                write_clip(folder, name, MOTIONS[name](Maker(body), SIZE), Renderer(body, k))
            for row in bench(path, body):
                costs += [(name, row["ms"])] if "ms" in row else []
                cells = [row.get(column, "") for column in names]
                table.add_row(
                    *(
                        f"{c:.3g}" if isinstance(c, float) and c == c else "" if c != c else str(c)
                        for c in cells
                    )
                )
    Console(width=150).print(table)
    for name, cost in costs:
        words = ", ".join(f"{stage} {value:.1f}" for stage, value in cost.items())
        print(f"{name}: ms per frame: {words}; {1000 / sum(cost.values()):.1f} frames per second")


if __name__ == "__main__":
    main()
