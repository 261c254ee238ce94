"""Body models by name or file, and the import of a user's body file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backend.body.files import read_body
from backend.body.mirror import mirrored
from backend.body.model import BodyModel
from backend.body.registry import REGRESSOR_FILES, RESERVED, BodySpec, find_body, right_hand_of, save_body
from backend.errors import BadInput


def load_body(source: str | Path = "open") -> BodyModel:
    """The BodyModel of a name (`open`, `open_hand`, or an imported one) or of a body file's path.

    The name of a hand with `_left` appended gives its mirror image (`backend.body.mirror`).
    Raises BadInput: unknown_body, file_missing, not_a_body, refused_pickle, not_a_hand.
    """
    right = right_hand_of(source)
    return BodyModel(read_body(find_body(source)) if right is None else mirrored(read_body(right)))


def import_body(file: Path, name: str | None = None, regressors: Sequence[Path] = ()) -> BodySpec:
    """Validate a body file and save it, as npz, in the user's folder.

    name: default is the file's.  regressors: files named as in `REGRESSOR_FILES`, saved with it.  Raises BadInput:
    bad_name, not_a_regressor, and as `read_body` does; RecoverMeshError `unwritable`.
    """
    name = name or file.stem
    if not re.fullmatch(r"[\w-][\w.-]{0,63}", name) or name in RESERVED:
        raise BadInput(
            "bad_name",
            f"{name!r} cannot be the name of a body.",
            "Use letters, digits, '_' and '-', not the name of an embedded body.",
        )
    body = read_body(file)
    for path in regressors:
        joint_set, rows = _read_regressor(path, len(body.v_template))
        body.regressors[joint_set] = rows
    return save_body(body, name)


def _read_regressor(path: Path, vertices: int) -> tuple[str, np.ndarray]:
    """-> (joint set, (17, vertices) float64)."""
    hint = f"Give {', '.join(REGRESSOR_FILES)}, from METRO's, Pose2Mesh's or SMPLer's repositories."
    if path.name not in REGRESSOR_FILES:
        raise BadInput("not_a_regressor", f"{path.name} is not the name of a known joint regressor.", hint)
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput("not_a_regressor", f"{path} cannot be read ({error}).", hint) from None
    if rows.shape != (17, vertices) or rows.dtype.kind != "f" or not np.isfinite(rows).all():
        raise BadInput(
            "not_a_regressor",
            f"{path.name} contains {rows.dtype} of {rows.shape}, expected finite floats of (17, {vertices}).",
            hint,
        )
    return REGRESSOR_FILES[path.name], rows.astype(np.float64)
