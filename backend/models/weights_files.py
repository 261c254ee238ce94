"""Weights files: where they are, and the card (metadata) in each: one safetensors file per network.  No torch."""

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
    """Metadata of a weights file."""

    name: str  # of the network
    body: str  # name of the body that it was trained on
    faces: str  # hash of that body's faces, see `faces_hash`
    license: str
    source: str  # name of the file that it was imported from, or how it was made
    source_sha256: str = ""
    made: str = ""  # date, ISO 8601
    testing: bool = False  # test weights: the bodies are meaningless
    notes: str = ""
    format: int = field(default=_FORMAT)


def weights_path(name: str) -> Path:
    """Path of a network's imported weights."""
    return data_dir() / "models" / f"{name}.safetensors"


def find_weights(name: str) -> Path | None:
    """Path of the user's weights of a network, else of the embedded ones, else None."""
    paths = [EMBEDDED / f"{name}.safetensors"]
    with contextlib.suppress(RecoverMeshError):  # no data folder, so no imported weights
        paths.insert(0, weights_path(name))
    return next((path for path in paths if path.is_file()), None)


def read_card(path: Path) -> Card:
    """The card in a weights file; raises BadInput `not_weights`."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _MAX_HEADER:
                raise ValueError("its header is too long")
            header: dict[str, Any] = json.loads(file.read(length))
        fields = json.loads(header["__metadata__"]["card"])
        if fields.get("format") != _FORMAT:
            raise ValueError(f"it has format {fields.get('format')}, expected {_FORMAT}")
        return Card(**fields)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            "not_weights",
            f"{path.name} is not a weights file of this program ({error}).",
            "Import the official file again: recover-mesh models import NAME FILE.",
        ) from None


def card_text(card: Card) -> str:
    """The card as JSON, as it is stored in the safetensors metadata."""
    return json.dumps(asdict(card), sort_keys=True)
