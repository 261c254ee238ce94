"""What the client hands over: events of a job, answers, errors.  Plain records; no bpy, no sockets."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..protocol_errors import ExplainedError


class ClientError(ExplainedError):
    """The backend cannot be reached, or refuses what was asked."""


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
    """fraction 0..1 of the job; stage: queued, loading, decode, detect, fit, refine; done of total sources or frames.

    rate: frames per second of a clip, left: seconds to go; 0 while unknown.
    """

    fraction: float
    stage: str
    done: int
    total: int
    rate: float = 0.0
    left: float = 0.0


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
class Clip:
    """What a clip is.  header: the fields of the protocol's `clip`."""

    header: dict[str, Any]


@dataclass(frozen=True)
class Chunk:
    """Some frames of a clip: `chunk` of the protocol.  world: 12 numbers.  final ones replace what came before.

    scene_scale: units per metre of the scene.
    """

    index: int
    final: bool
    lost: list[str]
    world: list[float]
    arrays: dict[str, np.ndarray]
    scene_scale: float = 1.0


@dataclass(frozen=True)
class People:
    """Who is in a clip: arrays people, first, last, seen, kept, thumbnails of the protocol's `people`."""

    arrays: dict[str, np.ndarray]


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
Event = Progress | Result | Clip | Chunk | People | SourceFailed | Done | Cancelled | Error


def parse_event(kind: str, header: dict[str, Any], arrays: dict[str, np.ndarray], sources: int) -> Event | None:
    """A message of a job -> the event to hand over; sources: how many the job has."""
    if kind == "accepted":
        return Progress(0.0, "queued", 0, sources)
    if kind == "progress":
        numbers = (header.get("rate", 0.0), header.get("left", 0.0))
        return Progress(header["fraction"], header["stage"], header["done"], header["total"], *numbers)
    # arrays are views of a message that ZeroMQ takes back
    copies = {name: array.copy() for name, array in arrays.items()}
    if kind == "result":
        names = ("index", "source", "model", "body", "license", "camera", "seconds")
        numbers = ("scores", "reprojection_px", "reprojection_relative")
        fields = {name: header[name] for name in (*names, *numbers)}
        return Result(**fields, arrays=copies, notice=header.get("notice", ""))
    if kind == "clip":
        return Clip(header)
    if kind == "chunk":
        numbers = (header[name] for name in ("index", "final", "lost", "world"))
        return Chunk(*numbers, copies, header.get("scene_scale", 1.0))
    if kind == "people":
        return People(copies)
    if kind == "source_failed":
        return SourceFailed(*(header[name] for name in ("index", "source", "code", "message", "hint")))
    if kind == "done":
        return Done(header["seconds"])
    if kind == "cancelled":
        return Cancelled()
    if kind == "error" and header["code"] != "unknown_job":  # a cancel that came too late is no failure
        return Error(header["code"], header["message"], header["hint"])
    return None


class EventQueue(queue.Queue):
    """A queue that tells when something is taken out, so that results are acknowledged by being used."""

    def __init__(self, taken: Callable[[Event], None]) -> None:
        super().__init__()
        self._on_taken = taken

    def get(self, block: bool = True, timeout: float | None = None) -> Event:
        event = super().get(block, timeout)
        self._on_taken(event)
        return event
