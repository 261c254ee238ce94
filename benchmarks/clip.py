"""`python -m benchmarks.clip`: rendered clips with ground truth through every stage of a recovery, in one table.

jitter: m/s^3, the ground truth's beside it as `gt`.  peaks: acceleration where the ground truth's is highest, as a
ratio.  slide: mm per frame of feet in contact by the ground truth.  under: penetration of the ground, mm.  MPJPE
(root-aligned), PA-MPJPE and root (position of the pelvis): mm.  switches, missed: ID switches, and frames without a
detection.  Frames in which a person is hidden do not count.  Stages: frames (per-frame fit), track (one shape,
smoothed), final (foot lock, world).  A moving camera's path is given, and `root` is then in the world.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.body.camera_frames import to_common_frame
from backend.body.joint_sets import HIPS, SMPL24, indices
from backend.body.kinematics import Skeleton, State
from backend.body.loader import load_body
from backend.body.procrustes import pa_mpjpe
from backend.clips.clip_reader import ClipReader
from backend.clips.preview import KeypointPreview
from backend.geometry import rotations_numpy as rot
from backend.media.video import open_clip
from backend.models.pose2mesh_small.refined_landmarks import LandmarkLifter
from backend.motion.camera_track import CameraTrack
from backend.motion.contacts import intervals
from backend.motion.foot_lock import POINTS
from backend.motion.matchmove import Matchmove
from backend.motion.metrics import acceleration_peak_ratio, foot_slide, jitter, mpjpe, penetration
from backend.motion.pipeline import recover_motions
from backend.people.detect.clip_detector import ClipDetector
from backend.people.track.identities import identify, tracks_from_detections
from backend.structures import Camera, Motion, World
from benchmarks.clips.__main__ import write_clip
from benchmarks.clips.motions import MOTIONS, MotionMaker
from benchmarks.clips.render import Renderer

SIZE = (960, 540)
_ROWS = (
    "frame", "person", "boxes", "scores", "keypoints2d", "keypoints3d", "looks", "poses", "betas", "trans",
)  # fmt: skip


@dataclass
class Read:
    """Detections and per-frame fits of a clip, number of frames, and seconds per stage."""

    rows: dict[str, np.ndarray]
    frames: int
    seconds: dict[str, float]


def read(path: Path, camera: Camera, body: Any, refined: bool = False) -> Read:
    """Decode, detect, track and fit frame by frame.  refined: with the lifter's 3D landmarks."""
    clip = open_clip(path)
    preview = KeypointPreview(body, camera, LandmarkLifter.embedded() if refined else None)
    reader = ClipReader(clip, camera, ClipDetector(), preview, None)
    seconds: dict[str, float] = {}
    last: list[Any] = ["start", time.perf_counter()]

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


def read_cached(path: Path, camera: Camera, body: Any, folder: Path | None, refined: bool = False) -> Read:
    """`read`, or its stored result in `folder` for a clip of this name, with the seconds of that run."""
    file = None if folder is None else folder / f"read_{path.stem}.npz"
    if file is not None and file.exists():
        with np.load(file) as stored:
            rows = {name: stored[f"rows_{name}"] for name in _ROWS}
            seconds = {str(name): float(value) for name, value in stored["seconds"]}
            return Read(rows, int(stored["frames"]), seconds)
    got = read(path, camera, body, refined)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = {f"rows_{name}": value for name, value in got.rows.items()}
        np.savez(file, frames=got.frames, seconds=np.array(list(got.seconds.items())), **rows)  # type: ignore[arg-type]
    return got


def bench(
    path: Path, body: Any, cache: Path | None = None, height: bool = False, refined: bool = False
) -> list[dict[str, Any]]:
    """Rows of the table for one clip.

    cache: folder of `read_cached`.  height: give the height of the first person.  refined: see `read`.
    """
    with np.load(path.with_suffix(".npz")) as file:
        truth = dict(file)
    camera = Camera(*truth["camera"].astype(float).tolist(), *truth["image_size"].astype(int).tolist())
    fps = float(truth["fps"])
    gt_world = World(truth["world_rotation"], truth["world_translation"])
    skeleton = Skeleton(body)
    got = read_cached(path, camera, body, cache, refined)
    rows = got.rows
    ids = identify(rows, fps)
    tracks = tracks_from_detections(rows, ids, 1)
    per_frame = [
        State(rot.exp(rows["poses"][w]), rows["betas"][w], rows["trans"][w]) for w in (ids == t.id for t in tracks)
    ]
    camera_file = path.with_suffix(".camera.json")  # of a moving camera
    camera_path = CameraTrack.load(camera_file) if camera_file.exists() else None
    kwargs: dict[str, Any] = {}
    if height:
        person = max(
            range(len(truth["betas"])),
            key=lambda k: np.sum(ids == _identities(rows, ids, camera, truth["joints"][k], camera_path)[0]),
        )
        kwargs["height_m"] = skeleton.height + float(skeleton.height_directions @ truth["betas"][person])

    def motions(**settings: Any) -> tuple[list[Motion], World]:
        # a matchmove estimates the scale during use: a new one per call
        moving = None if camera_path is None else Matchmove(camera_path)
        settings |= {"per_frame": per_frame, "smoothing": 0.5, "matchmove": moving, **kwargs}
        return recover_motions(body, tracks, camera, fps, **settings)

    began, used = time.perf_counter(), time.process_time()
    final, world = motions()
    refine, used = time.perf_counter() - began, time.process_time() - used
    free, free_world = motions(foot_lock="never")
    # per-frame fits are in their cameras' frames, the ground truth is in the common one
    if camera_path is not None:
        per_frame = [
            to_common_frame(camera_path.view(t.frames[t.seen]), skeleton, g)
            for g, t in zip(per_frame, tracks, strict=True)
        ]
    table = []
    for person in range(len(truth["joints"])):
        gt = truth["joints"][person]
        id_, switches, missed = _identities(rows, ids, camera, gt, camera_path)
        base = {"clip": path.stem, "person": person + 1, "ids": id_, "missed": missed, "switches": switches}
        own = next((k for k, t in enumerate(tracks) if t.id == id_), None)
        if own is None:
            table.append({**base, "stage": "not detected"})
            continue
        at = ids == id_
        frames = rows["frame"][at]
        stages = {
            "frames": (frames, per_frame[own], gt_world),
            "track": (free[own].frames, _state(free[own]), free_world),
            "final": (final[own].frames, _state(final[own]), world),
        }
        for stage, (numbers, state, stage_world) in stages.items():
            _, joints, points = skeleton.forward(state)
            feet = points[:, list(POINTS)]
            contacts = truth["contacts"][person][numbers]
            visible = np.ones(len(numbers), bool)
            if stage != "frames":
                one = (free if stage == "track" else final)[own]
                visible = ~one.hidden
            t = gt[numbers]
            table.append(
                {
                    **base,
                    "stage": stage,
                    "jitter": _mean_over_segments(lambda x: jitter(x, fps), visible, joints),
                    "gt": _mean_over_segments(lambda x: jitter(x, fps), visible, t),
                    "peaks": _mean_over_segments(acceleration_peak_ratio, visible, joints, t),
                    "slide": foot_slide(feet.reshape(-1, 2, 2, 3), contacts & visible[:, None]),
                    "under": penetration(stage_world.points(feet[visible])) if stage == "final" else float("nan"),
                    "MPJPE": mpjpe(joints[visible], t[visible]),
                    "PA": float(pa_mpjpe(joints[visible], t[visible]).mean()),
                    "root": float(np.linalg.norm(joints[visible, 0] - t[visible, 0], axis=-1).mean() * 1000),
                    "hidden": int((~visible).sum()) if stage == "final" else "",
                }
            )
        tilt = np.rad2deg(np.arccos(np.clip(world.rotation[2] @ gt_world.rotation[2], -1, 1)))
        table[-1]["tilt"] = float(tilt)
    per = {stage: 1000 * value / got.frames for stage, value in got.seconds.items() if stage != "start"}
    per["refine"] = 1000 * refine / got.frames
    per["refine CPU"] = 1000 * used / got.frames
    table[-1]["ms"] = per
    return table


def _mean_over_segments(measure: Callable[..., float], visible: np.ndarray, *joints: np.ndarray) -> float:
    """Mean of a metric over the segments in which the person is visible, weighted by their lengths."""
    segments = [(first, end) for first, end in intervals(visible) if end - first >= 4]
    values = [measure(*(one[first:end] for one in joints)) for first, end in segments]
    return float(np.average(values, weights=[end - first for first, end in segments])) if segments else 0.0


def _state(motion: Motion) -> State:
    count = len(motion.frames)
    return State(rot.exp(motion.poses), np.tile(motion.betas, (count, 1)), motion.trans)


def _identities(
    rows: dict[str, np.ndarray],
    ids: np.ndarray,
    camera: Camera,
    gt: np.ndarray,
    camera_path: CameraTrack | None,
) -> tuple[int, int, int]:
    """Most frequent track id of a gt person, number of ID switches, number of frames without a detection."""
    if camera_path is not None:
        gt = camera_path.view(np.arange(len(gt))).points(gt)
    hips = camera.project(gt[:, indices(SMPL24, "left_hip", "right_hip")].mean(1))
    height = np.ptp(camera.project(gt)[..., 1], axis=1)
    matches = []
    in_image = (hips[:, 0] > 0) & (hips[:, 0] < camera.width)
    for number in np.nonzero(in_image)[0]:
        at = np.nonzero((rows["frame"] == number) & (ids > 0))[0]
        seen = rows["keypoints2d"][at][:, HIPS, :2].mean(1)
        distance = np.linalg.norm(seen - hips[number], axis=1) if len(at) else np.array([np.inf])
        matches.append(int(ids[at[distance.argmin()]]) if distance.min() < 0.2 * height[number] else 0)
    named = np.array([one for one in matches if one])
    if not len(named):
        return 0, 0, len(matches)
    values, counts = np.unique(named, return_counts=True)
    return int(values[counts.argmax()]), int((np.diff(named) != 0).sum()), int(len(matches) - len(named))


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, help="folder of `python -m benchmarks.clips` (default: render again)")
    parser.add_argument("--only", default=",".join(MOTIONS))
    parser.add_argument("--cache", type=Path, help="folder that stores detections and per-frame fits")
    parser.add_argument("--height", action="store_true", help="give the height of the first person")
    parser.add_argument("--lifted", action="store_true", help="refine 3D landmarks by the small Pose2Mesh's lifter")
    args = parser.parse_args()
    body = load_body("open")
    names = (
        "clip", "person", "stage", "switches", "missed", "jitter", "gt", "peaks", "slide", "under", "MPJPE", "PA",
        "root", "tilt", "hidden",
    )  # fmt: skip
    table = Table(*names)
    costs = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.clips or Path(temporary)
        for k, name in enumerate(args.only.split(",")):
            path = folder / f"{name}.mp4"
            if not path.exists():
                write_clip(folder, name, MOTIONS[name](MotionMaker(body), SIZE), Renderer(body, k))
            for row in bench(path, body, cache=args.cache, height=args.height, refined=args.lifted):
                costs += [(name, row["ms"])] if "ms" in row else []
                cells = [row.get(column, "") for column in names]
                table.add_row(
                    *(f"{c:.3g}" if isinstance(c, float) and c == c else "" if c != c else str(c) for c in cells)
                )
    Console(width=170).print(table)
    for name, cost in costs:
        words = ", ".join(f"{stage} {value:.1f}" for stage, value in cost.items())
        print(
            f"{name}: ms per frame: {words}; {1000 / (sum(cost.values()) - cost['refine CPU']):.1f} frames per second"
        )


if __name__ == "__main__":
    main()
