"""The people of the tiny data sets: posed open bodies and hands in front of a camera, with all labels computed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from training.datasets.geometry import project, project_weak, tight_box
from training.datasets.posed_joints import PosedJoints, posed_joints

SIZE = (192, 160)  # width, height px of their images
CAMERA = np.array([260.0, 260.0, 97.0, 78.0])  # fx fy cx cy px
# A nearly level camera at 3.6 m, for data sets in world coordinates
WORLD_TO_CAMERA = Rotation.from_euler("xyz", [172.0, 28.0, -4.0], degrees=True).as_matrix()
WORLD_TRANSLATION = np.array([0.21, 0.34, 3.6])  # m


@dataclass(frozen=True)
class Person:
    """One posed person or hand.

    pose (72,) or (48,) rad, betas (10,), trans (3,) m: float64, camera frame.  camera (4,) fx fy cx cy px.
    """

    index: int
    body: str
    pose: np.ndarray
    betas: np.ndarray
    trans: np.ndarray
    camera: np.ndarray

    @property
    def posed(self) -> PosedJoints:
        return posed_joints(self.body)

    def joints3d(self, joint_set: str) -> np.ndarray:
        """Joints (K, 3) m, camera frame."""
        return self.posed.joints(joint_set, self.pose, self.betas, self.trans)

    def joints2d(self, joint_set: str) -> np.ndarray:
        """Projected joints (K, 2) px."""
        return project(self.joints3d(joint_set), self.camera)

    def box(self) -> np.ndarray:
        """Tight box (4,) x0 y0 x1 y1 px of the joints."""
        return tight_box(self.joints2d("hand21" if len(self.pose) == 48 else "smpl24")).astype(np.float64)

    def xywh(self) -> list[float]:
        x0, y0, x1, y1 = self.box()
        return [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]

    def in_world(self) -> tuple[np.ndarray, np.ndarray]:
        """Pose and trans in the world: x_camera = WORLD_TO_CAMERA x_world + WORLD_TRANSLATION."""
        rotation, shift = WORLD_TO_CAMERA, WORLD_TRANSLATION
        pose = self.pose.copy()
        pose[:3] = Rotation.from_matrix(rotation.T @ Rotation.from_rotvec(pose[:3]).as_matrix()).as_rotvec()
        root = self.posed.rest_root(self.betas)
        return pose, rotation.T @ (self.trans - shift + root - rotation @ root)

    def image(self, size: tuple[int, int] = SIZE, weak_camera: np.ndarray | None = None) -> np.ndarray:
        """uint8 RGB (H, W, 3): the joints as discs on a colour gradient.  weak_camera: in place of `camera`."""
        width, height = size
        y, x = np.mgrid[:height, :width]
        ground = np.stack([x * 255 // width, y * 255 // height, (x + y + 40 * self.index) % 256], -1)
        pixels = np.ascontiguousarray((ground // 2 + 64).astype(np.uint8))
        kind = "hand21" if len(self.pose) == 48 else "smpl24"
        points = self.joints2d(kind)
        if weak_camera is not None:
            points = project_weak(self.posed.joints(kind, self.pose, self.betas), weak_camera)
        for k, (u, v) in enumerate(points):
            colour = (int(40 + 8 * k), int(230 - 8 * k), 250)
            cv2.circle(pixels, (round(u), round(v)), 3, colour, -1, cv2.LINE_AA)
        return pixels

    def jpeg(self, size: tuple[int, int] = SIZE, weak_camera: np.ndarray | None = None) -> bytes:
        return encode(self.image(size, weak_camera), ".jpg")


def encode(pixels: np.ndarray, kind: str) -> bytes:
    """The bytes of a .jpg or .png file of uint8 RGB (H, W, 3)."""
    return cv2.imencode(kind, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


def save(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def bodies(count: int, seed: int = 0, camera: np.ndarray = CAMERA) -> list[Person]:
    """`count` open bodies that face the camera within 70 degrees, with random limb rotations."""
    return [_body(k, np.random.RandomState(seed * 1000 + k), camera) for k in range(count)]


def _body(index: int, draw: np.random.RandomState, camera: np.ndarray) -> Person:
    pose = draw.randn(72) * 0.22
    facing = Rotation.from_euler("y", draw.uniform(-70, 70), degrees=True)
    tilt = Rotation.from_rotvec(draw.randn(3) * 0.1)
    # the body's y is up, the camera's down: 180 degrees about x
    pose[:3] = (Rotation.from_euler("x", 180, degrees=True) * facing * tilt).as_rotvec()
    trans = np.array([draw.uniform(-0.25, 0.25), draw.uniform(-0.15, 0.15), draw.uniform(3.4, 4.2)])
    return Person(index, "open", pose, draw.randn(10) * 0.7, trans, camera)


def hands(count: int, seed: int = 0) -> list[Person]:
    """`count` open right hands in front of a 224 x 224 camera."""
    camera = np.array([480.0, 480.0, 112.0, 112.0])
    people = []
    for k in range(count):
        draw = np.random.RandomState(7000 + seed * 1000 + k)
        pose = draw.randn(48) * 0.15
        pose[:3] = Rotation.random(random_state=draw).as_rotvec()
        trans = np.array([*draw.uniform(-0.02, 0.02, 2), draw.uniform(0.6, 0.8)])
        person = Person(k, "open_hand", pose, draw.randn(10) * 0.5, np.zeros(3), camera)
        # the hand's root joint is far from its origin
        trans = trans - person.joints3d("hand21")[9]
        people.append(Person(k, "open_hand", pose, person.betas, trans, camera))
    return people
