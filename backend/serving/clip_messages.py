"""Records of a clip -> fields and arrays of the protocol's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backend.errors import RecoverMeshError
from backend.protocol import MESSAGES
from backend.serving.messages import clip as clip_text
from backend.structures import ClipChunk, ClipPeople

if TYPE_CHECKING:
    from backend.clips.clip_run import ClipRun

Message = tuple[dict[str, Any], dict[str, np.ndarray]]
_MAX_LOST = 256  # sentences in a message


def clip_message(job: str, run: ClipRun) -> Message:
    """`clip`: model, camera, frame rate and range of a clip that was opened."""
    camera, info = run.camera, run.info
    return {
        "job": job,
        "source": run.job.source,
        "out": run.job.out,
        "model": run.model_name,
        "body": run.body_name,
        "license": run.license,
        "notice": clip_text(run.notice),
        "camera": [*map(float, (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height))],
        "fps": [info.fps.numerator, info.fps.denominator],
        "frames": info.frame_count,
        "number": info.first_number,
        "first": run.job.first,
        "step": run.job.step,
        "resumed": run.resumed,
        "moving": run.camera_track is not None,
    }, {}


def chunk_message(job: str, index: int, chunk: ClipChunk) -> Message:
    """`chunk`.  Raises RecoverMeshError `not_finite` where the model gave NaN or infinity."""
    arrays = {name: np.asarray(getattr(chunk, name)) for name in MESSAGES["chunk"].arrays}
    broken = [name for name, value in arrays.items() if not np.isfinite(value).all()]
    if broken:
        raise RecoverMeshError(
            "not_finite",
            f"Recovery gave numbers that are not finite ({', '.join(broken)}).",
            "Try another model, and please report this clip.",
        )
    world = [*map(float, chunk.world.rotation.ravel()), *map(float, chunk.world.translation)]
    lost = [clip_text(text) for text in chunk.lost[:_MAX_LOST]]
    fields = {"job": job, "index": index, "final": chunk.final, "lost": lost, "world": world}
    return {**fields, "scene_scale": float(chunk.world.scale)}, arrays


def people_message(job: str, people: ClipPeople) -> Message:
    """`people`."""
    names = MESSAGES["people"].arrays
    return {"job": job}, {name: getattr(people, "ids" if name == "people" else name) for name in names}
