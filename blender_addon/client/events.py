"""Events of a job, answers and errors of the client, as plain records.  No bpy, no sockets."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..protocol_errors import ExplainedError


class ClientError(ExplainedError):
    """The backend cannot be reached, or refuses a request."""


@dataclass(frozen=True)
class CurveKeys:
    """CurveZMQ keys of an encrypted connection, Z85 text (40 bytes each)."""

    server_public: bytes
    public: bytes
    secret: bytes

    @classmethod
    def load(cls, server_key: str, client_secret: str) -> CurveKeys:
        """The keys in `server.key` and `NAME.key_secret`, which `recover-mesh serve --add-client` wrote.

        Raises ClientError: bad_keys.
        """
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
    """A body model.  arrays: of `body` in docs/protocol.md."""

    name: str
    license: str
    joint_names: tuple[str, ...]
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True)
class Progress:
    """The progress of a job.

    fraction 0..1 of the job; stage: queued, loading, decode, detect, fit, refine; done of total sources or frames.

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
    """The P >= 0 people of one source.

    camera: fx, fy, cx, cy (px), width, height.  arrays, see docs/protocol.md: poses, betas, trans, joints, vertices,
    confidence, keypoints2d, boxes; mirrored, if there are left hands; picture, the upright image as PNG, if the file
    would show otherwise.  notice: a warning for every user of the result.
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
    """The properties of a clip.  header: the fields of the protocol's `clip`."""

    header: dict[str, Any]


@dataclass(frozen=True)
class Chunk:
    """Some frames of a clip: the protocol's `chunk`.

    final: not a preview; the first final chunk replaces all previews.  lost: messages on unreadable frames.  world:
    12 numbers, rotation and translation of the camera.  scene_scale: units of the scene per metre.
    """

    index: int
    final: bool
    lost: list[str]
    world: list[float]
    arrays: dict[str, np.ndarray]
    scene_scale: float = 1.0


@dataclass(frozen=True)
class People:
    """The people of a clip: arrays people, first, last, seen, kept, thumbnails of the protocol's `people`."""

    arrays: dict[str, np.ndarray]


@dataclass(frozen=True)
class SourceFailed:
    """One source could not be used; the job continues."""

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
    """Final: the job failed.  code `backend_lost`: the backend exited; `worker_died`: try again."""

    code: str
    message: str
    hint: str


FINAL_EVENTS = (Done, Cancelled, Error)
Event = Progress | Result | Clip | Chunk | People | SourceFailed | Done | Cancelled | Error


def parse_event(kind: str, header: dict[str, Any], arrays: dict[str, np.ndarray], sources: int) -> Event | None:
    """The event of a job's message, None if it has none.  sources: how many the job has."""
    if kind == "accepted":
        return Progress(0.0, "queued", 0, sources)
    if kind == "progress":
        fields = {name: header[name] for name in ("fraction", "stage", "done", "total")}
        return Progress(**fields, rate=header.get("rate", 0.0), left=header.get("left", 0.0))
    # arrays are views of a message, whose memory ZeroMQ reuses
    copies = {name: array.copy() for name, array in arrays.items()}
    if kind == "result":
        names = ("index", "source", "model", "body", "license", "camera", "seconds", "scores")
        fields = {name: header[name] for name in (*names, "reprojection_px", "reprojection_relative")}
        return Result(**fields, arrays=copies, notice=header.get("notice", ""))
    if kind == "clip":
        return Clip(header)
    if kind == "chunk":
        fields = {name: header[name] for name in ("index", "final", "lost", "world")}
        return Chunk(**fields, arrays=copies, scene_scale=header.get("scene_scale", 1.0))
    if kind == "people":
        return People(copies)
    if kind == "source_failed":
        return SourceFailed(*(header[name] for name in ("index", "source", "code", "message", "hint")))
    if kind == "done":
        return Done(header["seconds"])
    if kind == "cancelled":
        return Cancelled()
    if kind == "error" and header["code"] != "unknown_job":  # a cancel that came too late is not a failure
        return Error(header["code"], header["message"], header["hint"])
    return None


class EventQueue(queue.Queue):
    """A queue that calls `taken` for every event taken out of it, so that results are acknowledged once used."""

    def __init__(self, taken: Callable[[Event], None]) -> None:
        super().__init__()
        self._on_taken = taken

    def get(self, block: bool = True, timeout: float | None = None) -> Event:
        event = super().get(block, timeout)
        self._on_taken(event)
        return event
