"""Files for other tools: npz, obj, overlay image, and through Blender glb and blend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backend.structures import FrameResult

if TYPE_CHECKING:
    from backend.body.model import BodyModel

FORMATS = ("npz", "overlay", "obj", "glb", "blend")


def export(
    result: FrameResult, formats: Sequence[str], out_dir: Path, pixels: np.ndarray | None, body: BodyModel
) -> list[Path]:
    """Write one image's people in each of `formats`; returns the paths of the files.

    Names: STEM_person1.npz, STEM_person1.obj, STEM_overlay.png, STEM.glb, STEM.blend; STEM is that of the source, with
    a number where another source of that name was exported to the folder before.  pixels: uint8 RGB (H, W, 3), upright,
    needed for the overlay.  Raises RecoverMeshError `unwritable`, `disk_full`, `no_blender`, `blender_failed`.
    """
    from backend.export.blender_export import write_through_blender
    from backend.export.files import claim_stem
    from backend.export.npz import write_npz
    from backend.export.obj import write_obj
    from backend.export.overlay import draw_overlay, write_image

    stem = claim_stem(out_dir, result.source, result.index)
    faces = body.faces.cpu().numpy()
    # mirroring a mesh turns its faces inside out
    each = [faces[:, ::-1] if person.mirrored else faces for person in result.people]
    written: list[Path] = []
    for k, person in enumerate(result.people, 1):
        if "npz" in formats:
            written.append(out_dir / f"{stem}_person{k}.npz")
            write_npz(written[-1], result, person)
        if "obj" in formats:
            written.append(out_dir / f"{stem}_person{k}.obj")
            comment = f"model {result.model}, body {result.body}, licence {result.license}"
            write_obj(written[-1], person.vertices, each[k - 1], uv=body.uv, uv_faces=body.uv_faces, comment=comment)
    if "overlay" in formats and pixels is not None:
        written.append(out_dir / f"{stem}_overlay.png")
        image = draw_overlay(pixels, [p.vertices for p in result.people], each, result.camera)
        write_image(written[-1], image)
    scenes = {name: out_dir / f"{stem}.{name}" for name in ("glb", "blend") if name in formats}
    if scenes:
        write_through_blender(result, body, pixels, scenes)
        written += scenes.values()
    return written
