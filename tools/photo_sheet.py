"""`python -m tools.photo_sheet FOLDER OUT.png [MODEL]`: recover every photo in a folder, for visual judgement.

A row per photo: the photo, the overlay, and the two largest people from both sides.  Prints a Markdown table: people,
reprojection errors, warm times.  Photos of real people stay out of the repository.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import cv2
import numpy as np

from backend.export.overlay import draw_overlay, side_view, write_image
from backend.models.registry import DEFAULT_MODEL
from backend.recovery import Recoverer
from backend.structures import FrameResult

HEIGHT = 420
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def row(result: FrameResult, faces: np.ndarray) -> np.ndarray:
    """uint8 RGB (HEIGHT, W, 3): the row of one photo."""
    assert result.pixels is not None  # a photo's result has them
    vertices = [person.vertices for person in result.people]
    overlay = draw_overlay(result.pixels, vertices, faces, result.camera)
    images = [result.pixels, overlay] + [
        side_view([v], faces, size=HEIGHT, yaw=yaw) for v in vertices[:2] for yaw in (math.pi / 2, -math.pi / 2)
    ]
    scaled = [
        cv2.resize(p, (round(p.shape[1] * HEIGHT / p.shape[0]), HEIGHT), interpolation=cv2.INTER_AREA) for p in images
    ]
    return np.concatenate(scaled, 1)


def main(folder: Path, out: Path, model: str = DEFAULT_MODEL) -> None:
    recoverer = Recoverer(model)
    faces = recoverer.model.body.faces.numpy()
    rows = []
    print("| photo | pixels | people | error, px | error, % of body height | detect, ms | fit, ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES):
        recoverer.recover(str(path))  # warm-up
        result = recoverer.recover(str(path))
        errors = ", ".join(f"{p.reprojection_px:.1f}" for p in result.people)
        relative = ", ".join(f"{100 * p.reprojection_relative:.2f}" for p in result.people)
        size = f"{result.camera.width} x {result.camera.height}"
        ms = " | ".join(f"{1e3 * result.seconds[stage]:.0f}" for stage in ("detect", "fit"))
        print(f"| {path.stem} | {size} | {len(result.people)} | {errors} | {relative} | {ms} |", flush=True)
        if result.people:
            rows.append(row(result, faces))
    width = max((r.shape[1] for r in rows), default=1)
    padded = [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows]
    write_image(out, np.concatenate(padded, 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])
