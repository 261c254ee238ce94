"""The protocol: round trips of every message, and refused messages with their codes."""

from __future__ import annotations

import random
import runpy
import struct
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from backend import protocol
from backend.protocol import Array, Field, ProtocolError, decode, encode

SIZES = {"P": 2, "J": 3, "B": 10, "V": 7, "F": 4, "C": 18, "K": 5, "L": 12, "N": 6, "H": 4, "W": 5}


def example_value(rule: Field) -> Any:
    if rule.keys is not None:
        return {key: example_value(inner) for key, inner in rule.keys.items()}
    simple: dict[Any, Any] = {bool: True, int: 3, float: 0.5, str: "größe 写真"}
    if rule.type in simple:
        return simple[rule.type]
    length = SIZES[rule.letter] if rule.letter else int(max(rule.low or 0, 2))
    assert rule.item is not None
    if rule.type is dict:
        return {f"k{i}": example_value(rule.item) for i in range(length)}
    return [example_value(rule.item) for _ in range(length)]


def example_array(rule: Array) -> np.ndarray:
    shape = tuple(n if isinstance(n, int) else SIZES[n] for n in rule.shape)
    return np.arange(np.prod(shape)).reshape(shape).astype(rule.dtype)


def example(kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    spec = protocol.MESSAGES[kind]
    fields = {name: example_value(rule) for name, rule in spec.fields.items()}
    return fields, {name: example_array(rule) for name, rule in spec.arrays.items()}


def raw(header: Any, *frames: bytes) -> list[bytes]:
    return [msgpack.packb(header), *frames]


def refused(frames: list[bytes], code: str) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        decode(frames)
    assert caught.value.code == code, caught.value
    return caught.value


PING = {"v": 1, "type": "ping", "request": "", "arrays": []}


@pytest.mark.parametrize("kind", protocol.MESSAGES)
def test_every_message_round_trips(kind):
    fields, arrays = example(kind)
    got_kind, header, got = decode([bytes(frame) for frame in encode(kind, "r1", arrays, **fields)])
    assert got_kind == kind
    assert header["request"] == "r1"
    assert {name: header[name] for name in fields} == fields
    assert set(got) == set(arrays)
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)


@pytest.mark.parametrize("kind", [k for k, spec in protocol.MESSAGES.items() if spec.fields or spec.arrays])
def test_required_fields_and_arrays_are_required(kind):
    fields, arrays = example(kind)
    spec = protocol.MESSAGES[kind]
    for name in (name for name, rule in spec.fields.items() if rule.required):
        with pytest.raises(ProtocolError, match=name):
            encode(kind, "", arrays, **{k: v for k, v in fields.items() if k != name})
    for name in (name for name, rule in spec.arrays.items() if rule.required):
        with pytest.raises(ProtocolError, match=name):
            encode(kind, "", {k: v for k, v in arrays.items() if k != name}, **fields)


@pytest.mark.parametrize("kind", protocol.MESSAGES)
def test_wrong_types_in_each_field_are_refused(kind):
    fields, arrays = example(kind)
    header = msgpack.unpackb(encode(kind, "", arrays, **fields)[0])
    frames = [bytes(frame) for frame in encode(kind, "", arrays, **fields)[1:]]
    nested: Any = 1
    for _ in range(50):
        nested = [nested]
    for name in (*protocol.MESSAGES[kind].fields, "request", "arrays", "v", "type"):
        for wrong in (None, nested, {"a": nested}, b"bytes", float("nan"), "x" * 5000, -(2**60), [[]], [None]):
            with pytest.raises(ProtocolError):
                decode(raw({**header, name: wrong}, *frames))


def test_a_result_may_have_no_people():
    fields, arrays = example("result")
    fields.update(scores=[], reprojection_px=[], reprojection_relative=[])
    arrays = {k: a if k == "picture" else a[:0] for k, a in arrays.items()}
    _, _, got = decode([bytes(frame) for frame in encode("result", "", arrays, **fields)])
    assert got["vertices"].shape == (0, SIZES["V"], 3)


def test_equal_letters_are_equal_sizes():
    fields, arrays = example("result")
    with pytest.raises(ProtocolError, match="betas"):
        encode("result", "", {**arrays, "betas": np.zeros((3, 10))}, **fields)
    with pytest.raises(ProtocolError, match="scores"):
        encode("result", "", arrays, **{**fields, "scores": [0.5]})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_arrays_must_be_finite(bad):
    fields, arrays = example("result")
    arrays["vertices"][1, 2, 0] = bad
    with pytest.raises(ProtocolError, match="vertices"):
        encode("result", "", arrays, **fields)


def test_too_many_people_are_refused():
    fields, arrays = example("result")
    many = protocol.MAX_PEOPLE + 1
    fields.update(dict.fromkeys(("scores", "reprojection_px", "reprojection_relative"), [0.5] * many))
    arrays = {k: np.repeat(a[:1], many, 0) for k, a in arrays.items() if k != "picture"}
    with pytest.raises(ProtocolError, match="65"):
        encode("result", "", arrays, **fields)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([], "malformed"),
        ([b""], "malformed"),
        ([b"\xc1"], "malformed"),
        ([b"not msgpack at all"], "malformed"),
        (raw(PING) * 17, "malformed"),
        (raw(PING, b"undescribed"), "malformed"),
        (raw([1, 2]), "malformed"),
        (raw({}), "malformed"),
        (raw({**PING, "type": 5}), "malformed"),
        (raw({**PING, "v": 2}), "version"),
        (raw({**PING, "v": True}), "malformed"),
        (raw({**PING, "v": 1.0}), "malformed"),
        (raw({k: v for k, v in PING.items() if k != "v"}), "malformed"),
        (raw({**PING, "type": "no such type"}), "unknown_type"),
        (raw({**PING, "extra": 1}), "malformed"),
        (raw({**PING, b"bytes key": 1}), "malformed"),
        (raw({**PING, 7: 1}), "malformed"),
        (raw({**PING, "k" * 100: 1}), "malformed"),
        (raw({**PING, "request": "r" * 65}), "malformed"),
        (raw({**PING, "request": msgpack.ExtType(5, b"")}), "malformed"),
        (raw({**PING, "request": msgpack.Timestamp(1, 0)}), "malformed"),
        (raw({**PING, "arrays": [["image0", "|u1", [1]]]}, b"x"), "malformed"),  # not an array of ping
        ([msgpack.packb(PING) + b"\x01"], "malformed"),  # trailing bytes
        ([b"\x85" + msgpack.packb(PING)[1:] + b"\xa1v\x01"], "malformed"),  # a key twice
        ([b"\xdd\xff\xff\xff\xff"], "malformed"),  # list of 4e9 entries
        ([b"\xdf\xff\xff\xff\xff"], "malformed"),  # map
        ([b"\xc6\xff\xff\xff\xff"], "malformed"),  # bytes
        ([b"\xdb\xff\xff\xff\xff"], "malformed"),  # text
        ([b"\xc9\xff\xff\xff\xff\x05"], "malformed"),  # ext
        ([b"\x91" * 100_000 + b"\x90"], "malformed"),
        ([b"\x91" * 500 + b"\x90"], "malformed"),
        ([b"\x81\xa1a" * 100_000 + b"\x90"], "malformed"),
        ([b"\xa2\xff\xfe"], "malformed"),
        ([b"\0" * (protocol.MAX_HEADER_BYTES + 1)], "too_large"),
    ],
)
def test_frames_of_no_message_are_refused(frames, code):
    refused(frames, code)


@pytest.mark.parametrize(
    "entry",
    [
        ["image0", "|u1", [4]],  # one byte more than there is
        ["image0", "|u1", [2]],
        ["image0", "|u1", [-3]],
        ["image0", "|u1", [3, 1]],
        ["image0", "|u1", [3.0]],
        ["image0", "|u1", [True]],
        ["image0", "|u1", [2**62, 2**62]],
        ["image0", "|u1", []],
        ["image0", "|u1", [1, 1, 1, 1, 3]],
        ["image0", "|O", [3]],
        ["image0", "<f4", [3]],
        ["image0", ["|u1"], [3]],
        ["image0", "|u1"],
        ["nothing", "|u1", [3]],
        [5, "|u1", [3]],
        "image0",
        None,
    ],
)
def test_arrays_that_do_not_fit_their_frame_are_refused(entry):
    header = msgpack.unpackb(encode("recover", "", {"image0": np.zeros(3, np.uint8)}, **RECOVER)[0])
    refused(raw({**header, "arrays": [entry]}, b"abc"), "malformed")


RECOVER: dict[str, Any] = {"job": "j", "sources": [""], "model": "m", "people": "all"}


def test_an_array_sent_twice_is_refused():
    header = msgpack.unpackb(encode("recover", "", {"image0": np.zeros(3, np.uint8)}, **RECOVER)[0])
    entry = ["image0", "|u1", [3]]
    refused(raw({**header, "arrays": [entry, entry]}, b"abc", b"abc"), "malformed")


def test_encode_checks_the_limits():
    with pytest.raises(ProtocolError, match="sources"):
        encode("recover", **{**RECOVER, "sources": ["a"] * (protocol.MAX_SOURCES + 1)})
    with pytest.raises(ProtocolError) as caught:
        encode("recover", **{**RECOVER, "sources": ["a" * 4000] * 400})
    assert caught.value.code == "too_large"
    with pytest.raises(ProtocolError, match="packed"):
        encode("recover", **{**RECOVER, "sources": ["a file name that is not UTF-8 \udcff"]})
    with pytest.raises(ProtocolError):
        encode("nonsense")


def test_an_error_has_the_request_and_job_of_the_message():
    header = msgpack.unpackb(encode("recover", "r7", **{**RECOVER, "sources": ["a"]})[0])
    error = refused(raw({**header, "people": 3}), "malformed")
    assert (error.request, error.job) == ("r7", "j")


def test_random_damage_is_refused_or_harmless():
    """Seeded flips, cuts, insertions and swaps of every message; only ProtocolError may be raised."""
    rng = random.Random(2)
    seeds = []
    for kind in protocol.MESSAGES:
        fields, arrays = example(kind)
        seeds.append([bytes(frame) for frame in encode(kind, "r", arrays, **fields)])
    outcomes = {"refused": 0, "taken": 0}
    for _ in range(6000):
        frames = list(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            which = rng.randrange(len(frames)) if rng.random() < 0.3 else 0
            data = bytearray(frames[which])
            at = rng.randrange(len(data) + 1)
            match rng.randrange(6):
                case 0 if at < len(data):
                    data[at] ^= 1 << rng.randrange(8)
                case 1:
                    del data[at : at + rng.randint(1, 8)]
                case 2:
                    data[at:at] = rng.randbytes(rng.randint(1, 8))
                case 3:  # a huge length
                    data[at:at] = rng.choice(b"\xc6\xc9\xdb\xdd\xdf").to_bytes(1, "big") + struct.pack(
                        ">I", rng.randrange(2**32)
                    )
                case 4:
                    frames.append(rng.choice(frames))
                case 5:
                    data[:] = rng.choice(rng.choice(seeds))
            frames[which] = bytes(data)
        try:
            kind, header, _ = decode(frames)
        except ProtocolError as error:
            assert error.code in ("malformed", "too_large", "version", "unknown_type")
            outcomes["refused"] += 1
        else:
            assert header["type"] == kind in protocol.MESSAGES
            outcomes["taken"] += 1
    assert outcomes["refused"] > 4000, outcomes
    assert outcomes["taken"] > 100, outcomes  # the mutations are mild enough to reach the inner checks


def test_the_document_is_up_to_date():
    root = Path(__file__).parents[2]
    render = runpy.run_path(str(root / "tools" / "protocol_doc.py"))["render"]
    written = (root / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert written == render(), "run: python tools/protocol_doc.py"
    for kind in protocol.MESSAGES:
        assert f"### `{kind}`" in written
