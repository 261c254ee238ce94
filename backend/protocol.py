"""The wire: every message between a client (the Blender add-on) and the backend server.

ZeroMQ multipart. Frame 0 is a msgpack map, the *header*: `v` (protocol version), `type`, `request` (an id
that the client chooses; answers repeat it), the fields of that type, and `arrays`, a list of [name, dtype,
shape] that describes the frames that follow: one raw little-endian C-contiguous array each. Nothing else is
ever sent; nothing is pickled.

Both sides check both ways: `encode` refuses to send what `decode` would refuse to take. Every text, list
and map has a greatest length, every number is finite (in arrays too), and no key comes twice.

This file runs inside Blender too: standard library, msgpack and numpy only. `docs/protocol.md` is generated
from it by `tools/protocol_doc.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgpack
import numpy as np

VERSION = 1
MAX_HEADER_BYTES = 1024 * 1024  # 4,096 long paths fit
MAX_FRAMES = 16  # header + arrays
MAX_ARRAY_BYTES = 256 * 1024 * 1024
MAX_MESSAGE_BYTES = 512 * 1024 * 1024
MAX_SOURCES = 4096
MAX_PEOPLE = 64
MAX_IMAGES = 8  # encoded images that one `recover` may carry
HEARTBEAT_SECONDS = 1.0  # the client pings this often; the server answers at once
LIVENESS_SECONDS = 10.0  # silence after which the client takes the server for dead
CLIENT_SILENCE_SECONDS = (
    60.0  # the server waits longer: Blender may hold Python up, a lost connection shows sooner
)
RESULT_WINDOW = 4  # results a server may send ahead of the client's `ack`
DTYPES = ("|u1", "<i4", "<f4", "<f8")


class ProtocolError(ValueError):
    """A message that is not of this protocol.  `code`: malformed, too_large, version, unknown_type.

    `request` and `job` are those of the refused message where they could be read, so that it can be answered.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.request = ""
        self.job = ""


@dataclass(frozen=True)
class Field:
    """One header field: python type, what it means (with unit), and its limits.

    `item` describes every element of a list or every value of a map; `keys` the fixed keys of a map instead.
    `letter` ties a list's length to that dimension of the message's arrays.
    """

    type: type | tuple[type, ...]
    doc: str
    required: bool = True
    low: float | None = None  # numbers: least value; str, list: least length
    high: float | None = None  # numbers: largest value; str, list: largest length
    item: Field | None = None
    keys: Mapping[str, Field] | None = None
    letter: str | None = None


@dataclass(frozen=True)
class Array:
    """One array of a message: dtype, shape by letters (equal letters, equal numbers), meaning and unit."""

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
        "label": _text("name to show", high=128),
        "ready": Field(bool, "whether it can run now"),
        "body": _text("body that its answers belong to", high=128),
        "license": _text("licence of its results", high=512),
        "hint": _text("what is missing and where to get it; empty when ready"),
    },
)
_BODY = Field(
    dict,
    "a body",
    keys={
        "name": _text("name", high=128),
        "label": _text("name to show", high=128),
        "license": _text("licence", 512),
    },
)
_JOB = _text("id of the job, chosen by the client", high=64)

MESSAGES: dict[str, Message] = {
    # ---- client -> server ------------------------------------------------------------
    "hello": Message(
        "client",
        "First message of every client; nothing else is answered before it.",
        {
            "token": _text("the token of the server's ready line", high=128),
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
                "paths of images on the server's machine; an empty one takes the next `image*` array instead",
                True,
                1,
                MAX_SOURCES,
                _text("path"),
            ),
            "model": _text("name of a model, as `welcome` lists it", high=128),
            "people": _text("`all`, `largest`, or the greatest number of people per image, 1..64", high=16),
            "focal_px": Field(
                float,
                "focal length in pixels of the upright image; 0: from EXIF, else a guess",
                False,
                0,
                1e6,
            ),
        },
        {
            f"image{k}": Array("|u1", ("N",), "an encoded image file (PNG, JPEG, …)", False)
            for k in range(MAX_IMAGES)
        },
    ),
    "ack": Message(
        "client",
        f"A result was taken. The server sends at most {RESULT_WINDOW} results ahead.",
        {"job": _JOB, "index": Field(int, "index of the source", low=0, high=MAX_SOURCES)},
        {},
    ),
    "cancel": Message(
        "client", "Stop a job. Answered by `cancelled` once nothing more will come.", {"job": _JOB}, {}
    ),
    "shutdown": Message(
        "client", "End the server (only from the client that started it: same token).", {}, {}
    ),
    # ---- server -> client ------------------------------------------------------------
    "welcome": Message(
        "server",
        "Answer to `hello`.",
        {
            "server": _text("name and version of the server", high=128),
            "device": _text(
                "`cpu` or the name of the GPU; `auto` or `cuda` while the worker still starts", high=128
            ),
            "models": Field(list, "the models, those that can run first", True, 0, 256, _MODEL),
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
            "license": _text("its licence", high=512),
            "joint_names": Field(list, "names of the J joints", True, 1, 256, _text("name", 64), letter="J"),
        },
        {
            "v_template": Array("<f4", ("V", 3), "rest vertices at betas 0, m"),
            "faces": Array("<i4", ("F", 3), "vertex indices, counter-clockwise from outside"),
            "shapedirs": Array("<f4", ("V", 3, "B"), "shape blend shapes, m per unit beta"),
            "posedirs": Array(
                "<f4", ("V", 3, "C"), "pose correctives for R - I of joints 1..J-1, row-major, C = 9 (J-1), m"
            ),
            "weights": Array("<f4", ("V", "J"), "skinning weights, rows sum to 1"),
            "parents": Array("<i4", ("J",), "parent of each joint, -1 for the root"),
            "joints_template": Array("<f4", ("J", 3), "rest joints at betas 0, m"),
            "joints_shapedirs": Array("<f4", ("J", 3, "B"), "joint shift per unit beta, m"),
            "uv": Array("<f4", ("L", 2), "UV per face corner, L = 3 F, 0..1, v up", False),
            "part_ids": Array("<i4", ("V",), "index of the body part of each vertex (a joint index)", False),
        },
    ),
    "accepted": Message(
        "server", "Answer to `recover`.", {"job": _JOB, "queued": Field(int, "jobs ahead of it", low=0)}, {}
    ),
    "progress": Message(
        "server",
        "Sent as work goes on, at most 20 times a second.",
        {
            "job": _JOB,
            "fraction": Field(float, "part of the job done", low=0, high=1),
            "stage": _text("`queued`, `loading`, `decode`, `detect`, `fit`", high=32),
            "done": Field(int, "sources finished", low=0),
            "total": Field(int, "sources in the job", low=0),
        },
        {},
    ),
    "result": Message(
        "server",
        "One source is finished. P people, none is an answer too.",
        {
            "job": _JOB,
            "index": Field(int, "index of the source", low=0),
            "source": _text("the source as given"),
            "model": _text("model used", high=128),
            "body": _text("body that poses, betas and vertices belong to", high=128),
            "license": _text("licence of the result", high=512),
            "notice": replace(
                _text("what everybody must know who uses the result, e.g. that the weights are for testing"),
                required=False,
            ),
            "camera": Field(
                list,
                "fx, fy, cx, cy in px, width, height in px of the upright image",
                True,
                6,
                6,
                Field(float, ""),
            ),
            "seconds": Field(dict, "time of each stage, s", True, 0, 32, Field(float, "", low=0)),
            "scores": _per_person("detection score of each person, 0..1", 1),
            "reprojection_px": _per_person("mean reprojection error of each person, px", 1e9),
            "reprojection_relative": _per_person("the same over the person's height in the picture", 1e9),
        },
        {
            "poses": Array(
                "<f4",
                ("P", "J", 3),
                "axis-angle, parent-relative, rad; the root's turns into the camera frame",
            ),
            "betas": Array("<f4", ("P", "B"), "shape"),
            "trans": Array(
                "<f4", ("P", 3), "SMPL translation in the camera frame (x right, y down, z forward), m"
            ),
            "joints": Array("<f4", ("P", "J", 3), "camera frame, m"),
            "vertices": Array("<f4", ("P", "V", 3), "camera frame, m"),
            "confidence": Array("<f4", ("P", "J"), "how well the photo supports each joint, 0..1"),
            "keypoints2d": Array("<f4", ("P", "K", 3), "x px, y px, visibility 0..1"),
            "boxes": Array("<f4", ("P", 4), "x0 y0 x1 y1, px"),
            "mirrored": Array(
                "|u1", ("P",), "1: a left hand, of the body mirrored in x; absent: nobody", False
            ),
            "picture": Array(
                "|u1",
                ("N",),
                "upright PNG, sent where the file as it is would show otherwise (EXIF, CMYK)",
                False,
            ),
        },
    ),
    "source_failed": Message(
        "server",
        "One source could not be used; the job goes on with the next.",
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
    "done": Message(
        "server", "The job is finished.", {"job": _JOB, "seconds": Field(float, "duration, s", low=0)}, {}
    ),
    "cancelled": Message("server", "The job was stopped; results sent before stay valid.", {"job": _JOB}, {}),
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


def encode(
    kind: str, request: str = "", arrays: Mapping[str, np.ndarray] | None = None, **fields: Any
) -> list[bytes | memoryview]:
    """Build the frames of a message; raises ProtocolError where fields or arrays are not those of `kind`."""
    spec = _spec(kind)
    described: list[list[Any]] = []
    frames: list[bytes | memoryview] = []
    checked: dict[str, np.ndarray] = {}
    for name, value in (arrays or {}).items():
        rule = spec.arrays.get(name)
        if rule is None:
            raise ProtocolError("malformed", f"{kind} has no array {name!r}")
        array = np.ascontiguousarray(value, dtype=np.dtype(rule.dtype))
        checked[name] = array
        described.append([name, rule.dtype, list(array.shape)])
        frames.append(array.reshape(-1).data.cast("B") if array.size else b"")
    header = {"v": VERSION, "type": kind, "request": request, **fields, "arrays": described}
    _check(kind, header, checked)
    try:
        packed = msgpack.packb(header)
    except (UnicodeEncodeError, OverflowError) as error:  # a file name may hold bytes that are no text
        raise ProtocolError("malformed", f"{kind} cannot be packed: {error}") from None
    _check_sizes([packed, *frames])
    return [packed, *frames]


def decode(frames: Sequence[bytes | memoryview]) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """Frames (without the routing identity) -> (type, header, arrays); the arrays are views of the frames."""
    if not frames or len(frames) > MAX_FRAMES:
        raise ProtocolError("malformed", f"a message has 1 to {MAX_FRAMES} frames, got {len(frames)}")
    _check_sizes(frames)
    header = _unpack_header(bytes(frames[0]))
    try:
        return _decode_known(header, frames)
    except ProtocolError as error:
        error.request, error.job = (_short_text(header.get(name)) for name in ("request", "job"))
        raise


def _short_text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 64 else ""


def _decode_known(
    header: dict[str, Any], frames: Sequence[bytes | memoryview]
) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    version = header.get("v")
    if type(version) is not int:
        raise ProtocolError("malformed", "the header's `v` is not a whole number")
    if version != VERSION:
        raise ProtocolError("version", f"protocol version {version} was received, {VERSION} is spoken here")
    kind = header["type"]
    _spec(kind)
    described = header.get("arrays")
    if not isinstance(described, list) or len(described) != len(frames) - 1:
        raise ProtocolError("malformed", "`arrays` does not describe the frames that follow the header")
    arrays: dict[str, np.ndarray] = {}
    for entry, frame in zip(described, frames[1:], strict=True):
        name, array = _read_array(entry, frame)
        if name in arrays:
            raise ProtocolError("malformed", f"array {name!r} is sent twice")
        arrays[name] = array
    _check(kind, header, arrays)
    return kind, header, arrays


def _spec(kind: str) -> Message:
    spec = MESSAGES.get(kind)
    if spec is None:
        raise ProtocolError("unknown_type", f"there is no message type {kind[:64]!r}")
    return spec


def _check_sizes(frames: Sequence[bytes | memoryview]) -> None:
    sizes = [memoryview(frame).nbytes for frame in frames]
    if sizes[0] > MAX_HEADER_BYTES:
        raise ProtocolError("too_large", f"the header has {sizes[0]} bytes, at most {MAX_HEADER_BYTES}")
    if max(sizes) > MAX_ARRAY_BYTES:
        raise ProtocolError("too_large", f"an array has {max(sizes)} bytes, at most {MAX_ARRAY_BYTES}")
    if sum(sizes) > MAX_MESSAGE_BYTES:
        raise ProtocolError("too_large", f"the message has {sum(sizes)} bytes, at most {MAX_MESSAGE_BYTES}")


def _text_keyed(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    """msgpack lets bytes be keys and takes the last of two equal ones; neither is of this protocol."""
    found = dict(pairs)
    if len(found) != len(pairs) or not all(isinstance(key, str) and len(key) <= 64 for key in found):
        raise ValueError("keys are different texts of at most 64 characters")
    return found


def _unpack_header(raw: bytes) -> dict[str, Any]:
    try:
        header = msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            max_ext_len=0,
            max_array_len=MAX_SOURCES,
            max_map_len=64,
            object_pairs_hook=_text_keyed,
        )
    except Exception as error:  # msgpack raises many kinds; all mean the same here
        raise ProtocolError(
            "malformed", f"the header is not msgpack of this protocol ({type(error).__name__})"
        ) from None
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise ProtocolError("malformed", "the header is not a map with a `type`")
    return header


def _read_array(entry: Any, frame: bytes | memoryview) -> tuple[str, np.ndarray]:
    ok = (
        isinstance(entry, list)
        and len(entry) == 3
        and isinstance(entry[0], str)
        and isinstance(entry[2], list)
    )
    if not ok or not isinstance(entry[1], str) or entry[1] not in DTYPES:
        raise ProtocolError("malformed", "an array is described by [name, dtype, shape]")
    name, dtype, shape = entry[0][:64], np.dtype(entry[1]), entry[2]
    if len(shape) > 4 or not all(type(n) is int and 0 <= n <= MAX_ARRAY_BYTES for n in shape):
        raise ProtocolError("malformed", f"array {name!r} has an impossible shape")
    if math.prod(shape) * dtype.itemsize != memoryview(frame).nbytes:
        raise ProtocolError(
            "malformed", f"array {name!r} does not have the bytes that its shape {shape} needs"
        )
    return name, np.frombuffer(frame, dtype).reshape(shape)


def _check(kind: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    spec = _spec(kind)
    request = header.get("request")
    if not isinstance(request, str) or len(request) > 64:
        raise ProtocolError("malformed", "`request` is a text of at most 64 characters")
    extra = set(header) - set(spec.fields) - {"v", "type", "request", "arrays"}
    if extra:
        raise ProtocolError("malformed", f"{kind} has no field {sorted(extra)[0]!r}")
    for name, rule in spec.fields.items():
        if name in header:
            _check_field(f"{kind}.{name}", header[name], rule)
        elif rule.required:
            raise ProtocolError("malformed", f"{kind} lacks its field {name!r}")
    letters: dict[str, int] = {}
    for name, array in arrays.items():
        if name not in spec.arrays:
            raise ProtocolError("malformed", f"{kind} has no array {name!r}")
        _check_array(f"{kind}.{name}", array, spec.arrays[name], letters if kind != "recover" else {})
    for name, wanted in spec.arrays.items():
        if wanted.required and name not in arrays:
            raise ProtocolError("malformed", f"{kind} lacks its array {name!r}")
    for name, rule in spec.fields.items():
        if rule.letter is not None and len(header[name]) != letters[rule.letter]:
            number = letters[rule.letter]
            raise ProtocolError(
                "malformed", f"{kind}.{name} has {len(header[name])} entries, the arrays have {number}"
            )


def _check_field(where: str, value: Any, rule: Field) -> None:
    types = rule.type if isinstance(rule.type, tuple) else (rule.type,)
    if float in types:
        types = (*types, int)
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ProtocolError("malformed", f"{where} is a {types[0].__name__}, got {type(value).__name__}")
    content: Any = value  # of a known type now, which the type checker cannot follow
    size: float = value if isinstance(value, (int, float)) else len(content)
    if not math.isfinite(size):
        raise ProtocolError("malformed", f"{where} is not finite")
    if (rule.low is not None and size < rule.low) or (rule.high is not None and size > rule.high):
        what = "is" if isinstance(value, (int, float)) else "has the length"
        bounds = f"at least {rule.low}" if rule.high is None else f"{rule.low} to {rule.high}"
        raise ProtocolError("malformed", f"{where} {what} {size}, allowed is {bounds}")
    if rule.item is not None:
        for item in content.values() if isinstance(content, dict) else content:
            _check_field(f"an entry of {where}", item, rule.item)
    if rule.keys is not None:
        if set(content) != set(rule.keys):
            raise ProtocolError("malformed", f"{where} has exactly the keys {', '.join(rule.keys)}")
        for key, wanted in rule.keys.items():
            _check_field(f"{where}.{key}", content[key], wanted)


def _check_array(where: str, array: np.ndarray, rule: Array, letters: dict[str, int]) -> None:
    if array.dtype != np.dtype(rule.dtype) or array.ndim != len(rule.shape):
        raise ProtocolError(
            "malformed", f"{where} is {rule.dtype} {rule.shape}, got {array.dtype.str} {array.shape}"
        )
    for size, wanted in zip(array.shape, rule.shape, strict=True):
        number = wanted if isinstance(wanted, int) else letters.setdefault(wanted, size)
        if size != number:
            raise ProtocolError("malformed", f"{where} has the shape {array.shape}, expected {rule.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ProtocolError("malformed", f"{where} holds a number that is not finite")
