"""The protocol's messages: fields, arrays, units and limits of each.  `protocol` encodes, decodes and checks by them.

This file runs inside Blender too: standard library and numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .protocol_rows import ROWS

VERSION = 1
MAX_HEADER_BYTES = 1024 * 1024  # 4,096 long paths fit
MAX_FRAMES = 16  # header + arrays
MAX_ARRAY_BYTES = 256 * 1024 * 1024
MAX_MESSAGE_BYTES = 512 * 1024 * 1024
MAX_SOURCES = 4096
MAX_PEOPLE = 64
MAX_CHUNKS = 1_000_000  # of a clip
MAX_IMAGES = 8  # encoded images that one `recover` may carry
HEARTBEAT_SECONDS = 1.0  # the client pings this often; the server answers at once
LIVENESS_SECONDS = 10.0  # silence after which the client treats the server as dead
CLIENT_SILENCE_SECONDS = 60.0  # longer for clients: Blender may block Python; a lost connection is noticed earlier
RESULT_WINDOW = 4  # results that the server may send before the client's `ack`
DTYPES = ("|u1", "<i4", "<f4", "<f8")


@dataclass(frozen=True)
class Field:
    """One header field: Python type, meaning with unit, and limits.

    `item`: of every element of a list or every value of a map; `keys`: the fixed keys of a map instead.
    `letter`: a list's length equals this dimension of the message's arrays.
    """

    type: type | tuple[type, ...]
    doc: str
    required: bool = True
    low: float | None = None  # minimum: of a number its value, of a str, list or dict its length
    high: float | None = None  # maximum, likewise
    item: Field | None = None
    keys: Mapping[str, Field] | None = None
    letter: str | None = None


@dataclass(frozen=True)
class Array:
    """One array of a message: dtype, shape (equal letters are equal sizes), meaning and unit."""

    dtype: str
    shape: tuple[str | int, ...]
    doc: str
    required: bool = True


@dataclass(frozen=True)
class Message:
    sender: str  # "client" or "server"
    doc: str
    fields: Mapping[str, Field]
    arrays: Mapping[str, Array]


def _text(doc: str, high: int = 4096) -> Field:
    return Field(str, doc, True, 0, high)


def _per_person(doc: str, high: float) -> Field:
    return Field(list, doc, True, 0, MAX_PEOPLE, Field(float, "", low=0, high=high), letter="P")


_MODEL = Field(
    dict,
    "a model",
    keys={
        "name": _text("name", high=128),
        "label": _text("display name", high=128),
        "ready": Field(bool, "whether it can run now"),
        "body": _text("body of its results", high=128),
        "license": _text("licence of its results", high=512),
        "hint": _text("what is missing and where to get it; empty when ready"),
    },
)
_BODY = Field(
    dict,
    "a body",
    keys={
        "name": _text("name", high=128),
        "label": _text("display name", high=128),
        "license": _text("licence", 512),
    },
)
_JOB = _text("id of the job, chosen by the client", high=64)
_CAMERA = Field(list, "fx, fy, cx, cy in px, width, height in px of the upright image", True, 6, 6, Field(float, ""))
# N rows of a clip's chunk
_ROWS = {name: Array(row.wire_dtype, ("N", *row.shape), row.wire_doc) for name, row in ROWS.items()}

MESSAGES: dict[str, Message] = {
    # ---- client -> server ------------------------------------------------------------
    "hello": Message(
        "client",
        "First message of every client; nothing else is answered before it.",
        {
            "token": _text("the token that the server printed when it was ready", high=128),
            "client": _text("name and version of the client", high=128),
        },
        {},
    ),
    "ping": Message("client", f"Sent every {HEARTBEAT_SECONDS:g} s while connected.", {}, {}),
    "get_body": Message(
        "client",
        "Ask for a body model's arrays.",
        {"body": _text("name of a body, as `welcome` lists it", high=128)},
        {},
    ),
    "recover": Message(
        "client",
        "Start a job: recover the people in each source.",
        {
            "job": _JOB,
            "sources": Field(
                list,
                "paths of images on the server's machine; for an empty one the next `image*` array is used",
                True,
                1,
                MAX_SOURCES,
                _text("path"),
            ),
            "model": _text("name of a model, as `welcome` lists it", high=128),
            "people": _text("`all`, `largest`, or the maximum number of people per image, 1..64", high=16),
            "focal_px": Field(
                float,
                "focal length in pixels of the upright image; 0: from EXIF, else 1.2 times the long side",
                False,
                0,
                1e6,
            ),
        },
        {f"image{k}": Array("|u1", ("N",), "an encoded image file (PNG, JPEG, …)", False) for k in range(MAX_IMAGES)},
    ),
    "recover_clip": Message(
        "client",
        "Start or resume the job of a clip. Answered by `accepted`, `clip`, `chunk`s, `people`, `done`.",
        {"job": _JOB, "file": _text("path of the job file (JSON) on the server's machine")},
        {},
    ),
    "ack": Message(
        "client",
        f"A `result` or `chunk` was received. The server sends at most {RESULT_WINDOW} without an `ack`.",
        {"job": _JOB, "index": Field(int, "index of the source or chunk", low=0, high=MAX_CHUNKS)},
        {},
    ),
    "cancel": Message("client", "Stop a job. `cancelled` is the job's last message.", {"job": _JOB}, {}),
    "shutdown": Message("client", "Stop the server. Only its own client has the token.", {}, {}),
    # ---- server -> client ------------------------------------------------------------
    "welcome": Message(
        "server",
        "Answer to `hello`.",
        {
            "server": _text("name and version of the server", high=128),
            "device": _text("`cpu` or the name of the GPU; `auto` or `cuda` while the worker starts", high=128),
            "models": Field(list, "the models, ready ones first", True, 0, 256, _MODEL),
            "bodies": Field(list, "the bodies", True, 0, 256, _BODY),
        },
        {},
    ),
    "pong": Message("server", "Answer to `ping`.", {}, {}),
    "body": Message(
        "server",
        "Answer to `get_body`: an SMPL-format body, y up, facing +z, metres.",
        {
            "name": _text("name of the body", high=128),
            "license": _text("licence of the body", high=512),
            "joint_names": Field(list, "names of the J joints", True, 1, 256, _text("name", 64), letter="J"),
        },
        {
            "v_template": Array("<f4", ("V", 3), "vertices in the rest pose at betas 0, m"),
            "faces": Array("<i4", ("F", 3), "vertex indices, counter-clockwise from outside"),
            "shapedirs": Array("<f4", ("V", 3, "B"), "shape blend shapes, m per unit beta"),
            "posedirs": Array(
                "<f4", ("V", 3, "C"), "pose correctives for R - I of joints 1..J-1, row-major, C = 9 (J-1), m"
            ),
            "weights": Array("<f4", ("V", "J"), "skinning weights, rows sum to 1"),
            "parents": Array("<i4", ("J",), "parent of each joint, -1 for the root"),
            "joints_template": Array("<f4", ("J", 3), "joints in the rest pose at betas 0, m"),
            "joints_shapedirs": Array("<f4", ("J", 3, "B"), "joint offsets, m per unit beta"),
            "uv": Array("<f4", ("L", 2), "UV per face corner, L = 3 F, 0..1, v up", False),
            "part_ids": Array("<i4", ("V",), "index of the body part of each vertex (a joint index)", False),
        },
    ),
    "accepted": Message(
        "server", "Answer to `recover`.", {"job": _JOB, "queued": Field(int, "jobs ahead of it", low=0)}, {}
    ),
    "progress": Message(
        "server",
        "Progress of a job, sent at most 20 times a second.",
        {
            "job": _JOB,
            "fraction": Field(float, "fraction of the job that is done", low=0, high=1),
            "stage": _text("`queued`, `loading`, `decode`, `detect`, `fit`; of clips also `refine`", high=32),
            "done": Field(int, "sources, or frames of a clip, finished", low=0),
            "total": Field(int, "sources, or frames of a clip, in the job", low=0),
            "rate": Field(float, "frames per second of work", False, 0, 1e6),
            "left": Field(float, "estimated time to the end at this rate, s", False, 0, 1e9),
        },
        {},
    ),
    "result": Message(
        "server",
        "One source is finished. P people, possibly 0.",
        {
            "job": _JOB,
            "index": Field(int, "index of the source", low=0),
            "source": _text("the source as given"),
            "model": _text("model used", high=128),
            "body": _text("body that poses, betas and vertices belong to", high=128),
            "license": _text("licence of the result", high=512),
            "notice": replace(
                _text("a warning for users of the result, e.g. that the weights are for testing only"),
                required=False,
            ),
            "camera": _CAMERA,
            "seconds": Field(dict, "time of each stage, s", True, 0, 32, Field(float, "", low=0)),
            "scores": _per_person("detection score of each person, 0..1", 1),
            "reprojection_px": _per_person("mean reprojection error of each person, px", 1e9),
            "reprojection_relative": _per_person("the same over the person's height in the image", 1e9),
        },
        {
            "poses": Array(
                "<f4", ("P", "J", 3), "axis-angle, parent-relative, rad; joint 0 rotates into the camera frame"
            ),
            "betas": Array("<f4", ("P", "B"), "shape"),
            "trans": Array("<f4", ("P", 3), "SMPL translation in the camera frame (x right, y down, z forward), m"),
            "joints": Array("<f4", ("P", "J", 3), "camera frame, m"),
            "vertices": Array("<f4", ("P", "V", 3), "camera frame, m"),
            "confidence": Array("<f4", ("P", "J"), "how well the image supports each joint, 0..1"),
            "keypoints2d": Array("<f4", ("P", "K", 3), "x px, y px, visibility 0..1"),
            "boxes": Array("<f4", ("P", 4), "x0 y0 x1 y1, px"),
            "mirrored": Array("|u1", ("P",), "1: a left hand, of the body mirrored in x; absent: all 0", False),
            "picture": Array(
                "|u1", ("N",), "upright PNG, where Blender would show the file differently (EXIF, CMYK)", False
            ),
        },
    ),
    "clip": Message(
        "server",
        "Properties of a clip, sent before its first chunk.",
        {
            "job": _JOB,
            "source": _text("path of the clip"),
            "out": _text("folder of the job's journal and results"),
            "model": _text("model used", high=128),
            "body": _text("body that poses and betas belong to", high=128),
            "license": _text("licence of the result", high=512),
            "notice": _text("a warning for users of the result, or empty"),
            "camera": _CAMERA,
            "fps": Field(list, "frame rate as numerator, denominator", True, 2, 2, Field(int, "", low=1)),
            "frames": Field(int, "number of frames in the clip, an estimate for some videos", low=0),
            "number": Field(int, "number in the name of a sequence's first image; 1 for a video", low=0),
            "first": Field(int, "first frame that is recovered, counted from 0", low=0),
            "step": Field(int, "1: every frame is recovered, 2: every second one, …", low=1),
            "resumed": Field(int, "frames that an earlier run has finished", low=0),
            "moving": Field(
                bool,
                "the job has a camera path: poses and translations of all chunks are in one common frame "
                "(x right, y down, z forward, ground y = 0) instead of the camera's, and `camera` is a mean",
                False,
            ),
        },
        {},
    ),
    "chunk": Message(
        "server",
        "Some frames of a clip: N rows, each one person in one frame. Provisional chunks come while the clip is "
        "read; final ones replace them all.",
        {
            "job": _JOB,
            "index": Field(int, "counted from 0", low=0, high=MAX_CHUNKS),
            "final": Field(bool, "false: provisional; true: of the motion over the whole clip"),
            "lost": Field(list, "messages on frames that could not be used", True, 0, 256, _text("sentence")),
            "world": Field(
                list,
                "camera frame to world (z up, ground z = 0): rotation row by row, then translation in m",
                True,
                12,
                12,
                Field(float, ""),
            ),
            "scene_scale": Field(
                float,
                "units per metre of the moving camera's scene; bodies and `world` are in metres",
                False,
                1e-6,
                1e6,
            ),
        },
        {
            "people": Array("<i4", ("P",), "track ids of the people of this chunk"),
            "betas": Array("<f4", ("P", "B"), "shape of each; constant in final chunks"),
            "frames": _ROWS["frames"],
            "person": Array("<i4", ("N",), "track id"),
            **_ROWS,
        },
    ),
    "people": Message(
        "server",
        "The P people of a clip, sent after its last frame was read; those with the most detections first.",
        {"job": _JOB},
        {
            "people": Array("<i4", ("P",), "track ids"),
            "first": Array("<i4", ("P",), "first frame"),
            "last": Array("<i4", ("P",), "last frame"),
            "seen": Array("<i4", ("P",), "number of frames with a detection"),
            "kept": Array("|u1", ("P",), "1: recovered; 0: left out by the job's settings"),
            "thumbnails": Array("|u1", ("P", "H", "W", 3), "an image of each, RGB, top row first"),
        },
    ),
    "source_failed": Message(
        "server",
        "One source could not be used; the job continues with the next.",
        {
            "job": _JOB,
            "index": Field(int, "index of the source", low=0),
            "source": _text("the source as given"),
            "code": _text("stable word for programs", high=64),
            "message": _text("what happened and what was expected"),
            "hint": _text("what to do next"),
        },
        {},
    ),
    "done": Message("server", "The job is finished.", {"job": _JOB, "seconds": Field(float, "duration, s", low=0)}, {}),
    "cancelled": Message("server", "The job was stopped; earlier results stay valid.", {"job": _JOB}, {}),
    "error": Message(
        "server",
        "A request failed as a whole.",
        {
            "job": _text("id of the job, or empty", high=64),
            "code": _text("stable word for programs", high=64),
            "message": _text("what happened and what was expected"),
            "hint": _text("what to do next"),
        },
        {},
    ),
}
