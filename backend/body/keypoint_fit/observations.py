"""Detected keypoints -> what the keypoint fit observes: landmarks, bone directions and their confidence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backend.body.landmarks import BONE_FROM, BONE_INDEX, BONE_TO, FEET, INDEX, LEG_BONES, SOURCES, TRUNK
from backend.errors import BadInput
from backend.geometry import rotations_numpy as rot
from backend.geometry.camera_path import View
from backend.structures import Camera

# Origin of the numbers in this file: not recorded, except where a comment gives one.
_VISIBLE = (0.1, 0.5)  # landmarks of a visibility below the first weigh 0, above the second 1, smoothly between
_MAX_LEVEL = np.deg2rad(25)
LEVEL = np.array([0.0, -1.0, 0.0])  # up, for a camera without pitch and roll


@dataclass(frozen=True)
class Observations:
    """Observations of B people, K landmarks.  Frame: the camera's, or with a view the common one of a moving camera."""

    uv: np.ndarray  # (B, K, 2) px
    seen: np.ndarray  # (B, K) 0..1, weight by visibility; 0 outside the image
    directions: np.ndarray  # (B, bones, 3) unit
    bone_confidence: np.ndarray  # (B, bones) 0..1, of each direction
    balance: np.ndarray  # (B,) 0..1, how surely the trunk is over the feet in depth
    up: np.ndarray  # (B, 3) unit
    focal: np.ndarray  # (2,) px
    center: np.ndarray  # (2,) px
    size: np.ndarray  # (B,) px, extent of the visible landmarks
    keypoint_rotation: np.ndarray  # (B, 3, 3) axes of the 3D keypoints -> camera frame
    view: View | None = None  # the camera of each row

    def select(self, at: slice | np.ndarray) -> Observations:
        """The observations of some of the people."""
        names = ("uv", "seen", "directions", "bone_confidence", "balance", "up", "size", "keypoint_rotation")
        view = None if self.view is None else self.view[at]
        return replace(self, view=view, **{name: getattr(self, name)[at] for name in names})

    @property
    def forward_axis(self) -> np.ndarray:
        """(B, 3) unit: the camera's viewing direction along the ground."""
        if self.view is not None:
            return self.view.level_rotation[:, 2]
        forward_axis = np.array([0.0, 0.0, 1.0]) - self.up * self.up[:, 2:]
        return forward_axis / np.maximum(np.linalg.norm(forward_axis, axis=1, keepdims=True), 1e-6)


def observe(
    points: np.ndarray,
    world: np.ndarray,
    camera: Camera,
    up: np.ndarray = LEVEL,
    view: View | None = None,
    guided: bool = False,
) -> Observations:
    """The observations in points (B, 33, 3) x px, y px, visibility, and world (B, 33, 3) m, MediaPipe's 3D keypoints.

    up: (3,) or (B, 3) unit, camera frame, where known.  guided: refined 3D keypoints are more accurate, so less tilt is
    removed (see `_level_landmarks`).  view: of these B rows, for a moving camera; results are then in the common frame,
    and `up` is that frame's.  Raises BadInput `bad_keypoints`.
    """
    points, world = points.astype(float), world.astype(float)
    if points.shape[1:] != (33, 3) or world.shape[1:] != (33, 3) or not np.isfinite([points, world]).all():
        raise BadInput(
            "bad_keypoints",
            "The keypoints are not 33 finite MediaPipe landmarks.",
            "Detect the people again.",
        )

    def landmarks(values: np.ndarray) -> np.ndarray:
        return np.stack([values[:, source].mean(1) for source in SOURCES], 1)

    uv = landmarks(points[..., :2])
    visibility = np.stack([points[:, source, 2].min(1) for source in SOURCES], 1)
    inside = ((uv > -0.5) & (uv < [camera.width - 0.5, camera.height - 0.5])).all(-1)
    rising = np.clip((visibility - _VISIBLE[0]) / (_VISIBLE[1] - _VISIBLE[0]), 0, 1)
    seen = rising * rising * (3 - 2 * rising) * inside
    hips = uv[:, [INDEX["left_hip"], INDEX["right_hip"]]].mean(1)
    if view is None:
        rotation = ray_rotations(hips, camera)
        up = np.broadcast_to(up, (len(points), 3))
        back = leveled = leveling_rotations(up)  # camera frame -> level frame
    else:
        rotation = ray_rotations(hips, camera, view.focal, view.center)
        up = np.broadcast_to(LEVEL, (len(points), 3))
        back, leveled = view.level_rotation, view.level_rotation @ np.swapaxes(view.rotation, 1, 2)
    points3d = landmarks(world) @ np.swapaxes(leveled @ rotation, -1, -2)
    points3d, balance = _level_landmarks(points3d, seen, 0.0 if guided else 0.5)
    points3d = points3d @ back
    directions = unit(points3d[:, BONE_TO] - points3d[:, BONE_FROM])
    bone_confidence = np.minimum(seen[:, BONE_FROM], seen[:, BONE_TO])
    directions, bone_confidence = _straighten_unseen_legs(directions, bone_confidence, up)
    return Observations(
        uv,
        seen,
        directions,
        bone_confidence,
        balance,
        up,
        np.array([camera.fx, camera.fy]),
        np.array([camera.cx, camera.cy]),
        _extent(uv, seen),
        rotation,
        view,
    )


def ray_rotations(
    hips: np.ndarray, camera: Camera, focal: np.ndarray | None = None, center: np.ndarray | None = None
) -> np.ndarray:
    """(B, 3, 3) ray rotations: axes of the 3D keypoints -> camera frame.  hips: (B, 2) px, the middle of the crop.

    focal, center: (B, 2) px of each row, where they are not the camera's.  MediaPipe's 3D keypoints are relative to the
    crop, as if the camera pointed at the person: on rendered clips they rotate with the ray to the person (slopes of
    0.4 to 1.3 over +-20 degrees).
    """
    ray = np.ones((len(hips), 3))
    inside = np.clip(hips, 0, [camera.width - 1, camera.height - 1])
    center = np.array([camera.cx, camera.cy]) if center is None else center
    focal = np.array([camera.fx, camera.fy]) if focal is None else focal
    ray[:, :2] = (inside - center) / focal
    return rot.minimal_rotations(np.array([0.0, 0.0, 1.0]), unit(ray))


def leveling_rotations(up: np.ndarray) -> np.ndarray:
    """(B, 3, 3) the smallest rotations from `up` (B, 3), unit, to LEVEL."""
    return np.swapaxes(rot.minimal_rotations(LEVEL, up), -1, -2)


def _level_landmarks(world: np.ndarray, seen: np.ndarray, sideways_gain: float) -> tuple[np.ndarray, np.ndarray]:
    """-> 3D landmarks (B, K, 3) with the trunk tilted back over the feet, `balance` (B,) of `Observations`.

    The pitch of the camera tilts everybody towards it or away, and cannot be told from one person's tilt.  But a trunk
    next to its feet falls, so the trunk's tilt in depth is attributed to the camera: half of it, as people lean forward
    and backward too (sitting), and `sideways_gain` more where depth is sideways for the person; 0.5 removes all of it.
    Only for people with both ankles visible.
    """
    rise = world[:, TRUNK].mean(1) - world[:, FEET].mean(1)
    across = unit(world[:, INDEX["left_hip"]] - world[:, INDEX["right_hip"]])
    sideways = across[:, 2] ** 2
    tilt = np.arctan2(rise[:, 2], np.maximum(-rise[:, 1], 0.2))  # rad, away from the camera
    both_feet = np.clip(2 * seen[:, [INDEX["left_ankle"], INDEX["right_ankle"]]].min(1), 0, 1)
    angle = np.clip(tilt * (0.5 + sideways_gain * sideways), -_MAX_LEVEL, _MAX_LEVEL) * both_feet
    rotation = rot.exp(np.stack([angle, np.zeros_like(angle), np.zeros_like(angle)], -1))
    return world @ np.swapaxes(rotation, -1, -2), sideways * both_feet


def _straighten_unseen_legs(
    directions: np.ndarray, bone_confidence: np.ndarray, up: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """-> directions and confidences in which invisible leg bones under an upright trunk point down."""
    left, right = BONE_INDEX["left_hip", "left_shoulder"], BONE_INDEX["right_hip", "right_shoulder"]
    upright = np.clip(((directions[:, left] + directions[:, right]) * up).sum(1) / 2, 0, 1)
    for bone in LEG_BONES:
        unseen = (bone_confidence[:, bone] < 0.2) & (upright > 0.3)
        directions[unseen, bone] = -up[unseen]
        bone_confidence[unseen, bone] = upright[unseen]
    return directions, bone_confidence


def _extent(uv: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(B,) px, at least 8: root mean square distance of the visible landmarks to their mean, as a person's size."""
    weight = seen + 1e-6
    weight = weight / weight.sum(1, keepdims=True)
    center = (uv * weight[..., None]).sum(1, keepdims=True)
    spread = ((uv - center) ** 2).sum(-1)
    return np.maximum(np.sqrt((spread * weight).sum(1)), 8.0)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / (np.linalg.norm(vector, axis=-1, keepdims=True) + 1e-9)
