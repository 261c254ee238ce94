"""Where weights live: one safetensors file per network, with a card in it that says what it is.  No torch."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from backend.errors import BadInput, RecoverMeshError
from backend.paths import data_dir

EMBEDDED = Path(__file__).resolve().parent.parent / "assets" / "weights"
_FORMAT = 1
_MAX_HEADER = 100 << 20


@dataclass(frozen=True)
class Card:
    """What a weights file says of itself."""

    name: str  # of the network
    body: str  # name of the body that its answers belong to
    faces: str  # hash of that body's faces, see `faces_hash`
    license: str
    source: str  # file name that it was made from, or how
    source_sha256: str = ""
    made: str = ""  # date
    testing: bool = False  # nonsense weights that only exercise the plumbing
    notes: str = ""
    format: int = field(default=_FORMAT)


def weights_path(name: str) -> Path:
    """Where imported weights of a network are kept."""
    return data_dir() / "models" / f"{name}.safetensors"


def find_weights(name: str) -> Path | None:
    """The user's weights of a network, else the embedded ones, else None."""
    places = [EMBEDDED / f"{name}.safetensors"]
    with contextlib.suppress(RecoverMeshError):  # a home that cannot be written holds none
        places.insert(0, weights_path(name))
    return next((path for path in places if path.is_file()), None)


def read_card(path: Path) -> Card:
    """Raises BadInput `not_weights`."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _MAX_HEADER:
                raise ValueError("its header is too long")
            header: dict[str, Any] = json.loads(file.read(length))
        fields = json.loads(header["__metadata__"]["card"])
        if fields.get("format") != _FORMAT:
            raise ValueError(f"it is of format {fields.get('format')}, known is {_FORMAT}")
        return Card(**fields)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            "not_weights",
            f"{path.name} holds no weights of this program ({error}).",
            "Import the official file again: recover-mesh models import NAME FILE.",
        ) from None


def card_text(card: Card) -> str:
    """The card as the safetensors metadata hold it."""
    return json.dumps(asdict(card), sort_keys=True)
