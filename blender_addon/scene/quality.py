# SPDX-License-Identifier: GPL-3.0-or-later
"""Quality of a motion: properties per frame, ranges of problems, and timeline markers at them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import bpy
import numpy as np

from .motion import Motion, World, joints
from .records import Body

# A frame beyond one of these limits is a problem.  Origin of their values not recorded
MIN_CONFIDENCE = 0.35  # mean confidence of the least confident half of the joints
MAX_ERROR_RATIO = 3.0  # reprojection error, relative to the person's median, and at least MIN_ERROR_PX
MIN_ERROR_PX = 6.0
MAX_SLIDE_MM = 15.0  # per frame, of a foot in contact
MAX_JITTER_RATIO = 6.0  # relative to the person's median jitter
_LABELS = {
    "filled": "nobody seen, filled in",
    "hidden": "nobody seen, hidden",
    "unsure": "hardly seen",
    "missed": "body off the picture",
    "slide": "foot slides",
    "spike": "sudden jerk",
}
# Severity of each problem, for the order.  Hidden frames come last: no body is shown there that could be wrong
_WEIGHTS = {"filled": 1.0, "hidden": 0.1, "unsure": 0.8, "missed": 0.7, "slide": 0.5, "spike": 0.6}
MARKER_PREFIX = "Recover Mesh"  # of the names of our markers
STORED = "recover_mesh_problems"  # custom property of the collection: our markers, as JSON
MAX_MARKERS = 12  # per person
_MERGE_GAP = 5  # problems of one kind with fewer frames between them are one range
_FEET = (("left_ankle", "left_foot"), ("right_ankle", "right_foot"))


@dataclass(frozen=True)
class Problem:
    """A range of frames.  first, last, worst (for the marker): frames of the clip.  score: severity, 0..1."""

    kind: str
    first: int
    last: int
    worst: int
    score: float


def quality_curves(body: Body, motion: Motion, world: World, fps: float) -> dict[str, np.ndarray]:
    """The quality properties, (T,) each.

    filled, hidden, contact_left, contact_right: bool.  reprojection_px.  jitter: m/s^3, of the worst joint.
    foot_slide: mm per frame, of the worst foot in contact.  problem: 0..1.  fps: of the clip.
    """
    positions = joints(body, motion, world)
    step = float(np.median(np.diff(motion.frames))) if len(motion.frames) > 1 else 1.0
    found: dict[str, np.ndarray] = {
        "filled": motion.filled.astype(bool),
        "hidden": motion.hidden.astype(bool),
        "contact_left": motion.contacts[:, 0].astype(bool),
        "contact_right": motion.contacts[:, 1].astype(bool),
        "reprojection_px": motion.reprojection_px.astype(float),
        "jitter": _jitter(positions, motion.hidden, fps / step),
        "foot_slide": _slide(body, positions, motion.contacts),
    }
    scores = [_WEIGHTS[kind] * flags for kind, flags in _flags(motion, found).items()]
    found["problem"] = np.max(scores, axis=0)
    return found


def _jitter(positions: np.ndarray, hidden: np.ndarray, fps: float) -> np.ndarray:
    """(T,) largest third derivative of the (T, J, 3) positions, m/s^3; 0 at the ends and next to hidden frames."""
    out = np.zeros(len(positions))
    if len(positions) > 3:
        out[1:-2] = np.linalg.norm(np.diff(positions, n=3, axis=0), axis=-1).max(-1) * fps**3
        shown = ~hidden  # after hidden frames a person may appear anywhere
        out[1:-2] *= shown[:-3] & shown[1:-2] & shown[2:-1] & shown[3:]
    return out


def _slide(body: Body, positions: np.ndarray, contacts: np.ndarray) -> np.ndarray:
    """(T,) largest movement of a foot since the previous frame, if it is in contact in both, mm.  contacts: (T, 2)."""
    out = np.zeros(len(positions))
    for side, names in enumerate(_FEET):
        if names[0] not in body.joint_names or len(positions) < 2:
            continue
        feet = positions[:, [body.joint_names.index(name) for name in names]]
        moved = np.linalg.norm(np.diff(feet, axis=0), axis=-1).min(-1) * 1000
        both = contacts[1:, side] & contacts[:-1, side]
        out[1:] = np.maximum(out[1:], np.where(both, moved, 0))
    return out


def _flags(motion: Motion, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """(T,) severity 0..1 of each kind of problem in each frame.  found: of `quality_curves`."""
    error, jitter = found["reprojection_px"], found["jitter"]
    typical_error = max(
        float(np.median(error[~motion.filled])) if (~motion.filled).any() else 0.0,
        MIN_ERROR_PX / MAX_ERROR_RATIO,
    )
    shown = ~motion.hidden
    typical_jitter = max(float(np.median(jitter[shown])) if shown.any() else 0.0, 1e-6)
    limb_confidence = np.sort(motion.confidence, axis=1)[:, : max(motion.confidence.shape[1] // 2, 1)].mean(1)
    return {
        "filled": (motion.filled & shown) * 1.0,
        "hidden": motion.hidden * 1.0,
        "unsure": np.where(motion.filled, 0.0, np.clip(1 - limb_confidence / MIN_CONFIDENCE, 0, 1)),
        "missed": np.clip((error / typical_error - MAX_ERROR_RATIO) / MAX_ERROR_RATIO, 0, 1),
        "slide": np.clip(found["foot_slide"] / MAX_SLIDE_MM - 1, 0, 1),
        "spike": np.clip((jitter / typical_jitter - MAX_JITTER_RATIO) / MAX_JITTER_RATIO, 0, 1),
    }


def problems(body: Body, motion: Motion, world: World, fps: float) -> list[Problem]:
    """The problems of a motion, the worst first."""
    if not len(motion.frames):
        return []
    found: list[Problem] = []
    for kind, flags in _flags(motion, quality_curves(body, motion, world, fps)).items():
        rows = np.nonzero(flags > 0)[0]
        if not len(rows):
            continue
        for part in np.split(rows, np.nonzero(np.diff(rows) > _MERGE_GAP)[0] + 1):
            worst = part[np.argmax(flags[part])] if kind not in ("filled", "hidden") else part[len(part) // 2]
            score = _WEIGHTS[kind] * float(flags[part].max()) * min(1.0, 0.5 + 0.1 * len(part))
            frames = motion.frames
            found.append(Problem(kind, int(frames[part[0]]), int(frames[part[-1]]), int(frames[worst]), score))
    return sorted(found, key=lambda problem: (-problem.score, problem.worst))


@dataclass(frozen=True)
class ProblemMarker:
    """A marker of a problem on the timeline."""

    name: str
    frame: int
    score: float
    person: str  # name of the rig


def add_markers(
    scene: bpy.types.Scene, collection: bpy.types.Collection, name: str, found: list[Problem], start: float
) -> None:
    """Add a timeline marker for each of a person's worst problems.  name: of the rig.  start: see `ClipInfo`."""
    kept = _stored(collection)
    for problem in found[:MAX_MARKERS]:
        # Blender cuts names after 63 bytes, so that the clip's title is left out
        person = f"Person {name.rpartition(' Person ')[2]}"
        label = f"{MARKER_PREFIX}: {person}: {_LABELS[problem.kind]} {problem.first + 1}-{problem.last + 1}"
        marker = scene.timeline_markers.new(label, frame=round(start + problem.worst))
        kept.append(ProblemMarker(marker.name, marker.frame, problem.score, name))
    collection[STORED] = json.dumps([asdict(one) for one in kept])


def remove_markers(scene: bpy.types.Scene, collection: bpy.types.Collection) -> None:
    """Remove the markers of one clip."""
    ours = {(one.name, one.frame) for one in _stored(collection)}
    for marker in list(scene.timeline_markers):
        if (marker.name, marker.frame) in ours:
            scene.timeline_markers.remove(marker)
    collection[STORED] = "[]"


def problem_markers(scene: bpy.types.Scene) -> list[ProblemMarker]:
    """The problem markers in a scene, the worst first, without those that the user has removed."""
    there = {(marker.name, marker.frame) for marker in scene.timeline_markers}
    ours = [one for c in scene.collection.children_recursive for one in _stored(c)]
    return sorted((o for o in ours if (o.name, o.frame) in there), key=lambda one: (-one.score, one.frame))


def _stored(collection: bpy.types.Collection) -> list[ProblemMarker]:
    """The markers that a collection has stored: timeline markers have no custom properties in some Blenders."""
    return [ProblemMarker(**one) for one in json.loads(collection.get(STORED, "[]"))]
