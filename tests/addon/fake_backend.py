"""A fake recovery for a real worker process: people in random poses.

The name of the source selects what happens: `nobody` (no people), `two` (two people), `bad` (BadInput), `die` (kills
the server), `wait` (runs until cancelled); one person for any other name.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from backend.body.joint_sets import SMPL24
from backend.body.registry import available_bodies
from backend.errors import BadInput
from backend.models.recovery_model import RecoveryModel
from backend.structures import Camera, FrameResult, RecoveredPerson
from blender_addon.scene.records import Body, Person
from blender_addon.scene.skinning import skinned_vertices

ROOT = Path(__file__).parents[2]
BODY = available_bodies()[0].name  # the only one of the server
CAMERA = Camera(700.0, 700.0, 300.0, 250.0, 640, 480)


@cache
def make_body() -> Body:
    """The open body with random pose correctives, so that no test depends on the real ones."""
    data = np.load(ROOT / "backend" / "assets" / "open_body.npz")
    rng = np.random.default_rng(0)
    regressor, parents = data["J_regressor"], data["kintree_table"][0].astype(np.int64)
    parents = np.where(np.arange(len(parents)) == 0, -1, parents)
    vertices = data["v_template"]
    return Body(
        name=BODY,
        license="CC0-1.0",
        joint_names=SMPL24,
        v_template=vertices,
        faces=data["f"].astype(np.int32),
        shapedirs=data["shapedirs"],
        posedirs=(0.002 * rng.standard_normal((len(vertices), 3, 207))).astype(np.float32),
        weights=data["weights"],
        parents=parents,
        joints_template=regressor @ vertices,
        joints_shapedirs=np.einsum("jv,vcb->jcb", regressor, data["shapedirs"]),
        uv=rng.random((3 * len(data["f"]), 2)).astype(np.float32),
    )


def body_message(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fields and arrays of the protocol's `body`."""
    body = make_body()
    fields = {"name": name, "license": body.license, "joint_names": list(body.joint_names)}
    arrays = {key: value for key, value in vars(body).items() if isinstance(value, np.ndarray)}
    return fields, arrays


def write_body(path: Path) -> str:
    """Write the body as an npz file of the protocol's `body`; returns its path."""
    fields, arrays = body_message(BODY)
    np.savez(path, **fields, **arrays)
    return str(path)


def random_person(seed: int, bend: float = 0.4) -> Person:
    """A person 4 to 7 m in front of the camera, roughly upright, in a random pose and shape."""
    rng = np.random.default_rng(seed)
    poses = bend * rng.standard_normal((24, 3))
    poses[0] = np.array([np.pi, 0.0, 0.0]) + 0.3 * rng.standard_normal(3)
    trans = np.array([rng.uniform(-1, 1), rng.uniform(-0.5, 0.5), rng.uniform(4, 7)])
    return Person(
        poses.astype(np.float32),
        rng.standard_normal(10).astype(np.float32),
        trans.astype(np.float32),
        rng.random(24).astype(np.float32),
        reprojection_px=3.5,
        reprojection_relative=0.012,
    )


class FakeModel(RecoveryModel):
    """A model with the fields that the worker reads; FakeRecoverer does not call it."""

    body = SimpleNamespace(parents=[-1] * 24, num_betas=10, v_template=[])

    def recover(self, pixels, people, camera):
        raise NotImplementedError


class FakeRecoverer:
    """Replaces backend.recovery.Recoverer."""

    def __init__(self, model: str, device: str) -> None:
        self.device, self.model = device, FakeModel()

    def recover(
        self, source: str | bytes, *, index: int, people: str, focal_px: float, on_stage: Callable[[str], None]
    ) -> FrameResult:
        order = Path(source).stem if isinstance(source, str) else "bytes"
        on_stage("decode")
        if order == "bad":
            raise BadInput("not_an_image", "bad.png is not an image.", "Choose a photo.")
        if order == "die":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        if order == "wait":
            while True:
                on_stage("detect")
                time.sleep(0.02)
        count = {"nobody": 0, "two": 2}.get(order, 1)
        on_stage("fit")
        return FrameResult(
            source=source if isinstance(source, str) else "",
            index=index,
            camera=CAMERA,
            people=[self._person(100 * index + k) for k in range(count)],
            model="fake",
            body=BODY,
            license="CC0-1.0",
            seconds={"fit": 0.0},
        )

    def _person(self, seed: int) -> RecoveredPerson:
        one = random_person(seed)
        return RecoveredPerson(
            poses=one.poses,
            betas=one.betas,
            trans=one.trans,
            joints=np.zeros((24, 3), np.float32),
            vertices=skinned_vertices(make_body(), one).astype(np.float32),
            confidence=one.confidence,
            keypoints2d=np.zeros((33, 3), np.float32),
            box=np.zeros(4, np.float32),
            score=0.9,
            reprojection_px=one.reprojection_px,
            reprojection_relative=one.reprojection_relative,
        )


def write_png(path: Path, width: int = 8, height: int = 6) -> Path:
    """Write a small image; returns `path`."""
    from PIL import Image

    Image.new("RGB", (width, height), (200, 120, 40)).save(path)
    return path
