"""Body files -> validated bodies: the embedded open body, and SMPL-format npz and official pkl files of the user."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from backend.body.joints import MANO16, SMPL24
from backend.body.model import BodyArrays, BodyModel
from backend.body.unpickle import read_pickle
from backend.errors import BadInput

SMPL_LICENSE = "SMPL body model licence, Max-Planck-Gesellschaft: non-commercial use"
_NEEDED = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
_HINT = "Give an SMPL-format .npz or an official SMPL or MANO .pkl."


def load_body(source: str | Path = "open") -> BodyModel:
    """The name of a body (`open`, `open_body`, or one that was imported) or the path of a body file -> a BodyModel.

    Raises BadInput: unknown_body, file_missing, not_a_body, refused_pickle.
    """
    from backend.body.registry import find_body

    return BodyModel(read_body(find_body(source)))


def read_body(path: Path) -> BodyArrays:
    """Read and validate a body file; see `load_body`."""
    if not path.is_file():
        raise BadInput("file_missing", f"There is no file {path}.", _HINT)
    head = path.read_bytes()[:64]
    if head[:2] == b"PK":
        content = _read_npz(path)
    elif head.lstrip()[:1] == b"<" or head.startswith(b"version https://git-lfs"):
        raise BadInput(
            "not_a_body",
            f"{path.name} is a web page or a placeholder, not the file itself.",
            "Download it again while signed in.",
        )
    else:
        content = read_pickle(path)
    return _validated(content, path)


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if archive[name].dtype.kind != "O"}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput("not_a_body", f"{path.name} cannot be read ({error}).", _HINT) from None


def _validated(content: dict[str, Any], path: Path) -> BodyArrays:
    missing = [key for key in _NEEDED if key not in content]
    if missing:
        raise BadInput("not_a_body", f"{path.name} lacks {', '.join(missing)}.", _HINT)

    def array(key: str, dtype: Any = np.float64) -> np.ndarray:
        value = content[key]
        dense = value.toarray() if scipy.sparse.issparse(value) else np.asarray(value)
        try:
            return dense.astype(dtype)
        except (TypeError, ValueError):
            raise BadInput("not_a_body", f"{key} of {path.name} does not hold numbers.", _HINT) from None

    template, weights, table = array("v_template"), array("weights"), array("kintree_table", np.int64)
    count, joints = len(template), weights.shape[-1]
    faces = array("f", np.int64)
    shapes: dict[str, tuple[np.ndarray, tuple[int | None, ...]]] = {
        "v_template": (template, (None, 3)),
        "f": (faces, (None, 3)),
        "weights": (weights, (count, joints)),
        "J_regressor": (array("J_regressor"), (joints, count)),
        "shapedirs": (array("shapedirs"), (count, 3, None)),
        "posedirs": (array("posedirs"), (count, 3, 9 * (joints - 1))),
        "kintree_table": (table, (2, joints)),
    }
    for key, (value, wanted) in shapes.items():
        fits = value.ndim == len(wanted) and all(
            w in (None, n) for n, w in zip(value.shape, wanted, strict=True)
        )
        if not fits:
            expected = "(" + ", ".join("any" if w is None else str(w) for w in wanted) + ")"
            raise BadInput(
                "not_a_body", f"{key} of {path.name} is {value.shape}, expected {expected}.", _HINT
            )
        if not np.isfinite(value).all():
            raise BadInput("not_a_body", f"{key} of {path.name} holds values that are not numbers.", _HINT)
    if faces.min() < 0 or faces.max() >= count:
        raise BadInput("not_a_body", f"Faces of {path.name} name vertices that do not exist.", _HINT)
    if np.abs(weights.sum(1) - 1).max() > 1e-3:
        raise BadInput("not_a_body", f"Skinning weights of {path.name} do not sum to 1.", _HINT)
    return BodyArrays(
        name=str(content["name"]) if "name" in content else path.stem,
        license=str(content["license"]) if "license" in content else SMPL_LICENSE,
        joint_names=_joint_names(content, joints),
        parents=_parents(table, path),
        v_template=template,
        faces=faces,
        # files with 300 betas exist (SMPL-X, SMPL+H); the first ten are those that everyone means
        shapedirs=shapes["shapedirs"][0][:, :, :10],
        posedirs=shapes["posedirs"][0],
        joint_regressor=shapes["J_regressor"][0],
        weights=weights,
        uv=array("uv", np.float32) if "uv" in content else None,
        uv_faces=array("uv_faces", np.int64) if "uv_faces" in content else None,
        part_ids=array("part_ids", np.int32) if "part_ids" in content else None,
        mirror=array("mirror", np.int64) if "mirror" in content else None,
        regressors={
            key.removeprefix("J_regressor_"): array(key) for key in content if key.startswith("J_regressor_")
        },
        hand_components=array("hands_components") if "hands_components" in content else None,
        hand_mean=array("hands_mean") if "hands_mean" in content else None,
    )


def _parents(table: np.ndarray, path: Path) -> np.ndarray:
    """kintree_table -> parents; the root's is written as 2^32 - 1 or -1."""
    parents = table[0].copy()
    parents[0] = -1
    if (parents[1:] < 0).any() or (parents[1:] >= np.arange(1, len(parents))).any():
        raise BadInput("not_a_body", f"kintree_table of {path.name} is no tree with parents first.", _HINT)
    return parents


def _joint_names(content: dict[str, Any], joints: int) -> tuple[str, ...]:
    if "joint_names" in content and len(content["joint_names"]) == joints:
        return tuple(str(name) for name in content["joint_names"])
    known = {24: SMPL24, 16: MANO16}
    return known.get(joints) or tuple(f"joint{j:02d}" for j in range(joints))
