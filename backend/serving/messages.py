"""Records of the backend -> fields and arrays of the protocol's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backend.errors import RecoverMeshError
from backend.protocol import MAX_PEOPLE, ProtocolError
from backend.structures import FrameResult, RecoveredPerson

if TYPE_CHECKING:
    from backend.body.model import BodyModel

MAX_TEXT = 2000  # characters of an error's message or hint


# of a `RecoveredPerson`; `box` is called `boxes` in the message
PERSON_ARRAYS = ("poses", "betas", "trans", "joints", "vertices", "confidence", "keypoints2d", "box")
Shapes = dict[str, tuple[int, ...]]  # of PERSON_ARRAYS, so that a result without people has the right ones too


def shapes_of_person(person: RecoveredPerson) -> Shapes:
    return {name: np.shape(getattr(person, name)) for name in PERSON_ARRAYS}


def shapes_of_body(body: BodyModel) -> Shapes:
    """The shapes before the first person is known; the keypoints are MediaPipe's 33 landmarks."""
    J, B, V = len(body.parents), body.num_betas, len(body.v_template)
    return dict(zip(PERSON_ARRAYS, ((J, 3), (B,), (3,), (J, 3), (V, 3), (J,), (33, 3), (4,)), strict=True))


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
    job: str, result: FrameResult, shapes: Shapes, source: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fields and arrays of one image's `result`.

    shapes: of the arrays where there are no people.  source: as the client gave it.
    Raises RecoverMeshError `not_finite` where the model gave NaN or infinity.
    """
    people = result.people[:MAX_PEOPLE]
    arrays: dict[str, np.ndarray] = {}
    for name in PERSON_ARRAYS:
        rows = [np.asarray(getattr(p, name), np.float32) for p in people]
        stacked = np.stack(rows) if rows else np.zeros((0, *shapes[name]), np.float32)
        arrays["boxes" if name == "box" else name] = stacked
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
        "source": source,
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
