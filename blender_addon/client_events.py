"""What the client hands over: events of a job, answers, errors.  Plain records; no bpy, no sockets."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


class ClientError(Exception):
    """An error that a user can act on: stable `code`, what happened, what to do next."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


@dataclass(frozen=True)
class CurveKeys:
    """Keys of an encrypted connection, Z85 text (40 bytes each)."""

    server_public: bytes
    public: bytes
    secret: bytes

    @classmethod
    def load(cls, server_key: str, client_secret: str) -> CurveKeys:
        """Read the files that `recover-mesh serve --add-client` made: `server.key` and `NAME.key_secret`."""
        from zmq.auth import load_certificate

        try:
            server_public, _ = load_certificate(server_key)
            public, secret = load_certificate(client_secret)
        except (OSError, ValueError) as error:
            raise ClientError("bad_keys", f"A key file cannot be read: {error}.", "Make new keys.") from None
        if secret is None:
            raise ClientError("bad_keys", f"{client_secret} holds no secret key.", "Use NAME.key_secret.")
        return cls(server_public, public, secret)


@dataclass(frozen=True)
class Welcome:
    """What the backend offers.

    models: maps with name, label, ready (bool), body, license, hint.  bodies: maps with name, label, license.
    """

    server: str
    device: str
    models: list[dict[str, Any]]
    bodies: list[dict[str, Any]]


@dataclass(frozen=True)
class Body:
    """A body model; arrays as `body` of docs/protocol.md describes them."""

    name: str
    license: str
    joint_names: tuple[str, ...]
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True)
class Progress:
    """fraction 0..1 of the job; stage: queued, loading, decode, detect, fit; done of total sources."""

    fraction: float
    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class Result:
    """One source: P people (P may be 0).

    camera: fx, fy, cx, cy (px), width, height.  arrays: poses, betas, trans, joints, vertices, confidence,
    keypoints2d, boxes; where there are left hands, mirrored; where the file would not show as the backend saw
    it, picture.  See docs/protocol.md.  notice: what everybody must know who uses the result.
    """

    index: int
    source: str
    model: str
    body: str
    license: str
    camera: list[float]
    seconds: dict[str, float]
    scores: list[float]
    reprojection_px: list[float]
    reprojection_relative: list[float]
    arrays: dict[str, np.ndarray]
    notice: str = ""


@dataclass(frozen=True)
class SourceFailed:
    """One source could not be used; the job goes on."""

    index: int
    source: str
    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class Done:
    """Final: every source is finished."""

    seconds: float


@dataclass(frozen=True)
class Cancelled:
    """Final: the job was stopped; results before it are valid."""


@dataclass(frozen=True)
class Error:
    """Final: the job failed.  code `backend_lost`: the backend is gone; `worker_died`: try again."""

    code: str
    message: str
    hint: str


FINAL_EVENTS = (Done, Cancelled, Error)
Event = Progress | Result | SourceFailed | Done | Cancelled | Error


class EventQueue(queue.Queue):
    """A queue that tells when something is taken out, so that results are acknowledged by being used."""

    def __init__(self, taken: Callable[[Event], None]) -> None:
        super().__init__()
        self._on_taken = taken

    def get(self, block: bool = True, timeout: float | None = None) -> Event:
        event = super().get(block, timeout)
        self._on_taken(event)
        return event
