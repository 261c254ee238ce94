"""The messages between a client (the Blender add-on) and the backend server: encoding, decoding and checks.

ZeroMQ multipart. Frame 0 is a msgpack map, the *header*: `v` (protocol version), `type`, `request` (an id
that the client chooses; answers repeat it), the fields of that type, and `arrays`, a list of [name, dtype,
shape] that describes the frames that follow: one raw little-endian C-contiguous array each. Nothing else is
ever sent; nothing is pickled.

Both sides check both ways: `encode` refuses to send what `decode` would refuse to read. Every text, list
and map has a maximum length, every number is finite (in arrays too), and no key occurs twice.

This file runs inside Blender too: standard library, msgpack and numpy only. `docs/protocol.md` is generated
from it by `tools/protocol_doc.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgpack
import numpy as np

from .protocol_errors import ExplainedError
from .protocol_messages import (
    CLIENT_SILENCE_SECONDS,
    DTYPES,
    HEARTBEAT_SECONDS,
    LIVENESS_SECONDS,
    MAX_ARRAY_BYTES,
    MAX_FRAMES,
    MAX_HEADER_BYTES,
    MAX_IMAGES,
    MAX_MESSAGE_BYTES,
    MAX_PEOPLE,
    MAX_SOURCES,
    MESSAGES,
    RESULT_WINDOW,
    VERSION,
    Array,
    Field,
    Message,
)

__all__ = [
    "CLIENT_SILENCE_SECONDS",
    "HEARTBEAT_SECONDS",
    "LIVENESS_SECONDS",
    "MAX_ARRAY_BYTES",
    "MAX_FRAMES",
    "MAX_HEADER_BYTES",
    "MAX_IMAGES",
    "MAX_MESSAGE_BYTES",
    "MAX_PEOPLE",
    "MAX_SOURCES",
    "MESSAGES",
    "RESULT_WINDOW",
    "VERSION",
    "Array",
    "Field",
    "Message",
    "ProtocolError",
    "decode",
    "encode",
]


class ProtocolError(ExplainedError, ValueError):
    """A message that breaks the protocol.  `code`: malformed, too_large, version, unknown_type.

    `request` and `job` are those of the refused message, for the answer; empty where they could not be read.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.request = ""
        self.job = ""


def encode(
    kind: str, request: str = "", arrays: Mapping[str, np.ndarray] | None = None, **fields: Any
) -> list[bytes | memoryview]:
    """The frames of a message.  Raises ProtocolError where fields or arrays are not those of the type `kind`."""
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
    except (UnicodeEncodeError, OverflowError) as error:  # a file name may contain bytes that are not UTF-8
        raise ProtocolError("malformed", f"{kind} cannot be packed: {error}") from None
    _check_sizes([packed, *frames])
    return [packed, *frames]


def decode(frames: Sequence[bytes | memoryview]) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """Frames, without the routing identity -> (type, header, arrays).  The arrays are views of the frames.

    Raises ProtocolError.
    """
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
        raise ProtocolError("version", f"protocol version {version} was received, expected {VERSION}")
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
    """A map as a dict.  Raises ValueError for equal keys and bytes as keys, which msgpack alone would accept."""
    keyed = dict(pairs)
    if len(keyed) != len(pairs) or not all(isinstance(key, str) and len(key) <= 64 for key in keyed):
        raise ValueError("keys are different texts of at most 64 characters")
    return keyed


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
    except Exception as error:  # msgpack raises many types for a damaged header
        raise ProtocolError(
            "malformed", f"the header is not msgpack of this protocol ({type(error).__name__})"
        ) from None
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise ProtocolError("malformed", "the header is not a map with a `type`")
    return header


def _read_array(entry: Any, frame: bytes | memoryview) -> tuple[str, np.ndarray]:
    ok = isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], str) and isinstance(entry[2], list)
    if not ok or not isinstance(entry[1], str) or entry[1] not in DTYPES:
        raise ProtocolError("malformed", "an array is described by [name, dtype, shape]")
    name, dtype, shape = entry[0][:64], np.dtype(entry[1]), entry[2]
    if len(shape) > 4 or not all(type(n) is int and 0 <= n <= MAX_ARRAY_BYTES for n in shape):
        raise ProtocolError("malformed", f"array {name!r} has an impossible shape")
    if math.prod(shape) * dtype.itemsize != memoryview(frame).nbytes:
        raise ProtocolError("malformed", f"array {name!r} does not have the bytes that its shape {shape} needs")
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
            raise ProtocolError("malformed", f"{kind}.{name} has {len(header[name])} entries, the arrays have {number}")


def _check_field(where: str, value: Any, rule: Field) -> None:
    types = rule.type if isinstance(rule.type, tuple) else (rule.type,)
    if float in types:
        types = (*types, int)
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ProtocolError("malformed", f"{where} is a {types[0].__name__}, got {type(value).__name__}")
    content: Any = value  # its type is checked, which mypy cannot follow
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
        raise ProtocolError("malformed", f"{where} is {rule.dtype} {rule.shape}, got {array.dtype.str} {array.shape}")
    for size, wanted in zip(array.shape, rule.shape, strict=True):
        number = wanted if isinstance(wanted, int) else letters.setdefault(wanted, size)
        if size != number:
            raise ProtocolError("malformed", f"{where} has the shape {array.shape}, expected {rule.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ProtocolError("malformed", f"{where} contains a number that is not finite")
