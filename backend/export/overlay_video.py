"""A clip with the bodies drawn over it, as a video."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from backend.atomic import atomic_path
from backend.errors import RecoverMeshError
from backend.export.overlay import draw_overlay
from backend.structures import Camera, Motion

if TYPE_CHECKING:
    from backend.body.model import BodyModel

MAX_SIDE = 960  # px


def write_overlay_video(
    path: Path,
    frames: Iterable[Any],
    motions: Sequence[Motion],
    body: BodyModel,
    camera: Camera,
    fps: Fraction,
    on_frame: Callable[[int], None] = lambda number: None,
) -> None:
    """Write an H.264 mp4 of the frames with all people drawn, at most MAX_SIDE px on its long side.

    frames: `ClipFrame`s.  fps: of these frames, Hz.  on_frame: called with each frame's number; may raise to cancel.
    Raises RecoverMeshError `disk_full`, `unwritable`, `no_encoder`; then no file is left.
    """
    import av

    faces = body.faces.cpu().numpy()
    rows = [{int(number): k for k, number in enumerate(motion.frames) if not motion.hidden[k]} for motion in motions]
    with atomic_path(path) as temporary:
        try:
            container = av.open(str(temporary), "w", format="mp4")
        except av.error.FFmpegError as error:
            raise RecoverMeshError("unwritable", f"Cannot write {path} ({error}).", "Choose another folder.") from None
        with container:
            stream: Any = None
            for frame in frames:
                on_frame(frame.number)
                present = [
                    (motion, row[frame.number])
                    for motion, row in zip(motions, rows, strict=True)
                    if frame.number in row
                ]
                vertices = [_vertices(body, motion, k) for motion, k in present]
                of_frame = _row_camera(camera, *present[0]) if present else camera  # the same for all people
                image = draw_overlay(frame.pixels, vertices, faces, of_frame, max_side=MAX_SIDE, supersampling=1)
                image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]  # yuv420p needs even sides
                if stream is None:
                    stream = _add_stream(container, fps, image.shape[1], image.shape[0])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image))))
            if stream is not None:
                container.mux(stream.encode())


def _add_stream(container: Any, fps: Fraction, width: int, height: int) -> Any:
    for codec in ("libx264", "libopenh264", "mpeg4"):
        try:
            stream = container.add_stream(codec, rate=fps.limit_denominator(60000))
        except ValueError:  # av.codec.codec.UnknownCodecError
            continue
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        return stream
    raise RecoverMeshError(
        "no_encoder", "This PyAV has no encoder for mp4.", "Install PyAV from PyPI: python -m pip install av."
    )


@torch.inference_mode()
def _vertices(body: BodyModel, motion: Motion, k: int) -> np.ndarray:
    """(V, 3) m in the camera frame of row k."""
    pose, betas, trans = (
        torch.as_tensor(np.asarray(x, np.float32))[None] for x in (motion.poses[k], motion.betas, motion.trans[k])
    )
    vertices: np.ndarray = body(pose, betas, trans).vertices[0].numpy()
    return vertices if motion.view is None else motion.view[k : k + 1].points(vertices[None])[0]


def _row_camera(camera: Camera, motion: Motion, k: int) -> Camera:
    """The camera of row k.  camera: of motions with a fixed camera."""
    if motion.view is None:
        return camera
    (fx, fy), (cx, cy) = motion.view.focal[k].tolist(), motion.view.center[k].tolist()
    return replace(camera, fx=fx, fy=fy, cx=cx, cy=cy)
