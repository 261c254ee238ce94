"""The studio that makes the images of a part: bodies or hands."""

from __future__ import annotations

from pathlib import Path

from training.synthetic.hand_studio import HandStudio
from training.synthetic.studio import Studio


def make_studio(part: str, size: int, renderer: str = "auto", photos: Path | None = None) -> Studio:
    """part: `body` or `hand`."""
    return (HandStudio if part == "hand" else Studio)(size, renderer, photos)
