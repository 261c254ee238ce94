"""Messages over a pipe between the server and its worker process: length-prefixed frames, nothing pickled.

One message is a 4-byte frame count, that many 8-byte lengths (both little-endian), and the frames.  Frame 0
is a msgpack map.  Both ends are of the same release, so there is no negotiation; the limits guard against a
library that writes to the wrong descriptor.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import IO, Any

import msgpack

from backend.protocol import MAX_FRAMES, MAX_MESSAGE_BYTES


def write_message(stream: IO[bytes], header: dict[str, Any], frames: Sequence[bytes | memoryview] = ()) -> None:
    """Write one message and flush.  Raises OSError when the other process has exited."""
    parts: list[bytes | memoryview] = [msgpack.packb(header), *frames]
    sizes = [memoryview(part).nbytes for part in parts]
    stream.write(struct.pack(f"<I{len(parts)}Q", len(parts), *sizes))
    for part in parts:
        stream.write(part)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytes]] | None:
    """Header and frames of the next message; None at the end of the stream, even within a message.

    Raises ValueError where it is not a message.
    """
    count_raw = _read_exactly(stream, 4)
    if count_raw is None:
        return None
    (count,) = struct.unpack("<I", count_raw)
    if not 1 <= count <= MAX_FRAMES + 1:
        raise ValueError(f"a pipe message has {count} frames")
    sizes_raw = _read_exactly(stream, 8 * count)
    if sizes_raw is None:
        return None
    sizes = struct.unpack(f"<{count}Q", sizes_raw)
    if sum(sizes) > 2 * MAX_MESSAGE_BYTES:
        raise ValueError(f"a pipe message has {sum(sizes)} bytes")
    frames = []
    for size in sizes:
        frame = _read_exactly(stream, size)
        if frame is None:
            return None
        frames.append(frame)
    return msgpack.unpackb(frames[0]), frames[1:]


def _read_exactly(stream: IO[bytes], size: int) -> bytes | None:
    data = stream.read(size)  # a buffered reader blocks until all is there or the stream ends
    return data if len(data) == size else None
