"""A fake `backend.recovery.Recoverer` for a real worker process; the source selects what it does.

`ok`, `two` people, `nobody`, `bad` (BadInput), `bug` (another exception), `nan`, `print` (writes to stdout),
`die` (kills its own process), `wait:PATH` (writes PATH.started, then waits until PATH exists, without a look
at `cancel`), `stages:SECONDS` (reports thousands of stages), `big` (16 MB of vertices), `picture`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from backend.errors import BadInput
from backend.models.recovery_model import RecoveryModel
from backend.structures import Camera, FrameResult, RecoveredPerson

VERTICES = 50


def person(seed: int) -> RecoveredPerson:
    rng = np.random.default_rng(seed)
    shapes: dict[str, Any] = {"poses": (24, 3), "betas": 10, "trans": 3, "joints": (24, 3), "vertices": (VERTICES, 3)}
    shapes |= {"confidence": 24, "keypoints2d": (33, 3), "box": 4}
    arrays: dict[str, Any] = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
    return RecoveredPerson(**arrays, score=0.5, reprojection_px=2.0, reprojection_relative=0.01)


class FakeModel(RecoveryModel):
    """A model of which only the body and the memory in bytes are used."""

    def __init__(self, size: int = 0) -> None:
        self.body = SimpleNamespace(parents=[-1] * 24, num_betas=10, v_template=[])
        self._size = size

    @property
    def memory(self) -> int:
        return self._size

    def recover(self, pixels, people, camera):
        raise NotImplementedError


class FakeRecoverer:
    def __init__(self, model: str, device: str) -> None:
        self.made_with = f"{model} {device}"
        self.device, self.model = device, FakeModel()

    def recover(
        self,
        source: str | bytes,
        *,
        index: int,
        people: str,
        focal_px: float,
        on_stage: Callable[[str], None],
    ) -> FrameResult:
        order = source if isinstance(source, str) else source.decode()
        order = order.rpartition("/")[2] if "wait:" not in order else order
        on_stage("decode")
        found = [] if order == "nobody" else [person(index)]
        if order == "two":
            found.append(person(100 + index))
        if order == "bad":
            raise BadInput("not_an_image", "This is not an image.", "Choose a photo.")
        if order == "bug":
            raise ZeroDivisionError("a bug")
        if order == "big":
            found[0].vertices = np.zeros((16_000_000 // 12, 3), np.float32)
        if order == "nan":
            found[0].vertices[0, 0] = np.nan
        if order == "print":
            print("a library that prints")
            os.write(1, b"even past Python")
            sys.stdout.flush()
        if order == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if "wait:" in order:
            path = Path(order.partition("wait:")[2])
            path.with_name(path.name + ".started").touch()
            while not path.exists():
                time.sleep(0.01)
        if order.startswith("stages:"):
            end = time.monotonic() + float(order.partition(":")[2])
            while time.monotonic() < end:
                on_stage("detect")
                on_stage("fit")
        on_stage("fit")
        return FrameResult(
            source=order,
            index=index,
            camera=Camera(500.0 + focal_px, 500.0, 319.5, 239.5, 640, 480),
            people=found,
            model=f"{self.made_with} {people}"[:128],
            body="fake",
            license="CC0-1.0",
            seconds={"decode": 0.0},
            encoded_image=order.encode() if order == "picture" else None,
        )


class BrokenRecoverer:
    def __init__(self, model: str, device: str) -> None:
        raise BadInput("no_weights", "The weights are missing.", "Download them.")


class DyingRecoverer:
    def __init__(self, model: str, device: str) -> None:
        with Path(os.environ["FAKE_DEATHS"]).open("a") as log:
            log.write("x")
        os.kill(os.getpid(), signal.SIGKILL)


def fake_body(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    J, B, V, F = 3, 10, 7, 5
    fields = {"name": name, "license": "CC0-1.0", "joint_names": ["pelvis", "left_hip", "right_hip"]}
    arrays = {
        "v_template": np.arange(V * 3).reshape(V, 3),
        "faces": np.zeros((F, 3), np.int32),
        "shapedirs": np.ones((V, 3, B)),
        "posedirs": np.ones((V, 3, 9 * (J - 1))),
        "weights": np.ones((V, J)) / J,
        "parents": np.array([-1, 0, 0]),
        "joints_template": np.zeros((J, 3)),
        "joints_shapedirs": np.zeros((J, 3, B)),
    }
    return fields, arrays
