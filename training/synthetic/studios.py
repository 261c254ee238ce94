"""Chooses the studio by body part."""

from __future__ import annotations

from pathlib import Path

from training.synthetic.hand_studio import HandStudio
from training.synthetic.studio import Studio


def make_studio(part: str, size: int, renderer: str = "auto", photos: Path | None = None) -> Studio:
    """The studio of `part`: `body` or `hand`."""
    return (HandStudio if part == "hand" else Studio)(size, renderer, photos)
