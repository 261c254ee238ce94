"""Records of the backend -> fields and arrays of the protocol's messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.errors import RecoverMeshError
from backend.protocol import MAX_PEOPLE, ProtocolError
from backend.structures import FrameResult, RecoveredPerson

if TYPE_CHECKING:
    from backend.body.model import BodyModel

MAX_TEXT = 2000  # characters of an error's message or hint


@dataclass(frozen=True)
class BodySizes:
    """Sizes of a body's arrays, so that a result without people has arrays of the right shapes too."""

    joints: int = 24
    betas: int = 10
    vertices: int = 0
    keypoints: int = 33  # MediaPipe's landmarks

    @classmethod
    def of_person(cls, person: RecoveredPerson) -> BodySizes:
        return cls(len(person.poses), len(person.betas), len(person.vertices), len(person.keypoints2d))

    @classmethod
    def of_body(cls, body: BodyModel) -> BodySizes:
        return cls(len(body.parents), body.num_betas, len(body.v_template))


def clip(text: str) -> str:
    """The text without lone surrogates (file names of other encodings), cut to MAX_TEXT characters."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def error_fields(error: BaseException, job: str | None = None) -> dict[str, str]:
    """Fields `code`, `message`, `hint` (and `job`) of `error` and `source_failed`, for any exception."""
    if isinstance(error, RecoverMeshError):
        code, message, hint = error.code, error.message, error.hint
    elif isinstance(error, ProtocolError):
        code, message = error.code, f"The message was refused: {error}."
        hint = "Use the add-on and the backend of the same release."
    else:
        code, message = "internal", f"The backend failed with {type(error).__name__}: {error}"
        hint = "Please report it with the backend's log."
    fields = {"code": code[:64], "message": clip(message), "hint": clip(hint)}
    return fields if job is None else {"job": job, **fields}


def result_message(
    job: str, result: FrameResult, sizes: BodySizes | None = None, source: str | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fields and arrays of one image's `result`.

    sizes: of the arrays where there are no people.  source: as the client gave it, where `result.source` differs.
    Raises RecoverMeshError `not_finite` where the model gave NaN or infinity.
    """
    people = result.people[:MAX_PEOPLE]
    known = BodySizes.of_person(people[0]) if people else (sizes or BodySizes())
    J, B, V, K = known.joints, known.betas, known.vertices, known.keypoints
    shapes: Mapping[str, tuple[int, ...]] = {
        "poses": (J, 3),
        "betas": (B,),
        "trans": (3,),
        "joints": (J, 3),
        "vertices": (V, 3),
        "confidence": (J,),
        "keypoints2d": (K, 3),
        "boxes": (4,),
    }
    arrays: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        rows = [np.asarray(getattr(p, "box" if name == "boxes" else name), np.float32) for p in people]
        arrays[name] = np.stack(rows) if rows else np.zeros((0, *shape), np.float32)
    numbers = {
        "scores": [float(np.clip(p.score, 0.0, 1.0)) for p in people],
        "reprojection_px": [float(p.reprojection_px) for p in people],
        "reprojection_relative": [float(p.reprojection_relative) for p in people],
    }
    broken = [name for name, value in {**arrays, **numbers}.items() if not np.isfinite(np.asarray(value)).all()]
    if broken:
        raise RecoverMeshError(
            "not_finite",
            f"The model {result.model} gave numbers that are not finite ({', '.join(broken)}).",
            "Try another photo or another model, and please report this one.",
        )
    if any(p.mirrored for p in people):
        arrays["mirrored"] = np.array([p.mirrored for p in people], np.uint8)
    if result.encoded_image is not None:
        arrays["picture"] = np.frombuffer(result.encoded_image, np.uint8)
    c = result.camera
    fields = {
        "job": job,
        "index": result.index,
        "source": result.source if source is None else source,
        "model": result.model,
        "body": result.body,
        "license": result.license,
        "camera": [float(c.fx), float(c.fy), float(c.cx), float(c.cy), int(c.width), int(c.height)],
        "seconds": {name: max(0.0, float(value)) for name, value in result.seconds.items()},
        **numbers,
    }
    if result.notice:
        fields["notice"] = clip(result.notice)
    return fields, arrays
