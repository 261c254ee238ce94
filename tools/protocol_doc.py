"""`python tools/protocol_doc.py`: write docs/protocol.md from backend/protocol*.py."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from backend import protocol  # noqa: E402 - found only after the line above
from backend.protocol import Array, Field, Message  # noqa: E402

TARGET = ROOT / "docs" / "protocol.md"
TYPES = {str: "text", int: "integer", float: "number", bool: "boolean", list: "list", dict: "map"}
ERRORS = """
A message that breaks a rule is answered by `error` with the code `malformed`, `too_large`, `version` or
`unknown_type`. A frame over the limit ends the connection."""
SESSION = """
The client says `hello` with the token and gets `welcome`, or `error` `bad_token`. It pings while connected.
A job is `recover` -> `accepted`, then `progress`, `result` and `source_failed` in the order of the sources,
and last exactly one of `done`, `cancelled`, `error`. Every `result` is answered by `ack`. The server works on
one image at a time and alternates between clients. It cancels the jobs of clients that disconnect.

Shapes: P people, J joints, B betas, V vertices, F faces, C pose correctives, K keypoints, L face corners, N
bytes. Equal letters in one message are equal numbers (but each image of `recover` has its own length).
"""


def _limits(field: Field) -> str:
    if field.low is None and field.high is None:
        return ""
    unit = " long" if field.type in (str, list, dict) else ""
    if field.high is None:
        return f"at least {field.low:g}{unit}"
    if field.low == field.high:
        return f"exactly {field.low:g}{unit}"
    return f"{field.low:g} to {field.high:g}{unit}"


def _name(field: Field) -> str:
    return TYPES[field.type] if isinstance(field.type, type) else " or ".join(TYPES[t] for t in field.type)


def _type(field: Field) -> str:
    name = _name(field)
    inner = field.item
    if inner is None:
        return name
    if inner.keys is not None:
        return f"{name} of maps: " + ", ".join(f"`{k}` ({_name(f)})" for k, f in inner.keys.items())
    limits = _limits(inner)
    return f"{name} of {_name(inner)}s" + (f" ({limits})" if limits else "")


def _field_row(name: str, field: Field) -> str:
    limits = _limits(field)
    if field.letter is not None:
        limits += f", as many as {field.letter}"
    needed = "yes" if field.required else "no"
    return f"| `{name}` | {_type(field)} | {limits} | {needed} | {field.doc} |"


def _array_row(name: str, array: Array) -> str:
    shape = ", ".join(str(size) for size in array.shape)
    return f"| `{name}` | `{array.dtype}` | ({shape}) | {'yes' if array.required else 'no'} | {array.doc} |"


def _message(kind: str, message: Message) -> list[str]:
    lines = [f"### `{kind}`", "", message.doc, ""]
    if message.fields:
        lines += ["| field | type | limits | required | meaning |", "| --- | --- | --- | --- | --- |"]
        lines += [_field_row(name, field) for name, field in message.fields.items()]
        lines.append("")
    if message.arrays:
        lines += ["| array | dtype | shape | required | meaning |", "| --- | --- | --- | --- | --- |"]
        lines += [_array_row(name, array) for name, array in message.arrays.items()]
        lines.append("")
    return lines


def render() -> str:
    """The document as Markdown."""
    intro = (protocol.__doc__ or "").strip().split("\n\n")
    limits = [
        ("messages", f"{protocol.MAX_MESSAGE_BYTES >> 20} MiB, {protocol.MAX_FRAMES} frames"),
        ("header", f"{protocol.MAX_HEADER_BYTES >> 10} KiB"),
        ("one array", f"{protocol.MAX_ARRAY_BYTES >> 20} MiB"),
        ("sources per job", f"{protocol.MAX_SOURCES}"),
        ("people per image", f"{protocol.MAX_PEOPLE}"),
        ("encoded images per `recover`", f"{protocol.MAX_IMAGES}"),
        ("results ahead of `ack`", f"{protocol.RESULT_WINDOW}"),
        ("pings", f"every {protocol.HEARTBEAT_SECONDS:g} s"),
        ("silence after which the client gives up the server", f"{protocol.LIVENESS_SECONDS:g} s"),
        ("silence after which the server drops a client", f"{protocol.CLIENT_SILENCE_SECONDS:g} s"),
    ]
    lines = [
        "<!-- Written by tools/protocol_doc.py from backend/protocol.py. Do not edit. -->",
        "# Protocol",
        "",
    ]
    lines += [f"Version {protocol.VERSION}. " + intro[0], "", *(part + "\n" for part in intro[1:-1])]
    lines += [
        "## Limits",
        "",
        "| what | limit |",
        "| --- | --- |",
        *(f"| {a} | {b} |" for a, b in limits),
        "",
    ]
    lines += [ERRORS.strip(), "", "## A session", SESSION]
    for sender, title in (("client", "From the client"), ("server", "From the server")):
        lines += [f"## {title}", ""]
        for kind, message in protocol.MESSAGES.items():
            if message.sender == sender:
                lines += _message(kind, message)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(render(), encoding="utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}")
