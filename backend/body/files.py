"""Body files (SMPL-format npz, official pkl) -> validated arrays.  Does not import torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from backend.body.arrays import BodyArrays
from backend.body.joint_sets import JOINT_SETS, MANO16, SMPL24, SMPLH52, SMPLX55
from backend.body.unpickle import MAX_BYTES, read_pickle
from backend.errors import BadInput

SMPL_LICENSE = "SMPL body model licence, Max-Planck-Gesellschaft: non-commercial use"
MANO_LICENSE = "MANO hand model licence, Max-Planck-Gesellschaft: non-commercial use"
_NEEDED = ("v_template", "f", "shapedirs", "J_regressor", "weights", "kintree_table")
_OPTIONAL = (
    "posedirs", "uv", "uv_faces", "part_ids", "mirror", "vert_sym_idxs", "hands_components", "hands_mean",
    "name", "license", "joint_names",
)  # fmt: skip
# key of a file -> number of its keypoints.  `h36m17_3dpw`: Human3.6M's by SMPLer's regressor for 3DPW
_REGRESSORS = {
    f"J_regressor_{name}": count
    for name, count in [*((n, len(joints)) for n, joints in JOINT_SETS.items()), ("h36m17_3dpw", 17)]
}
_MAX_NUMBERS = MAX_BYTES // 8  # in one array
_HINT = "Give an SMPL-format .npz or an official SMPL or MANO .pkl."


def read_body(path: Path) -> BodyArrays:
    """The validated arrays of a body file.  Raises BadInput: file_missing, not_a_body, refused_pickle."""
    if not path.is_file():
        raise BadInput("file_missing", f"There is no file {path}.", _HINT)
    with path.open("rb") as file:
        head = file.read(64)
    if head[:2] == b"PK":
        content = _read_npz(path)
    elif head.lstrip()[:1] == b"<" or head.startswith(b"version https://git-lfs"):
        raise _not_a_body(
            f"{path.name} is a web page or a placeholder, not the file itself.",
            "Download it again while signed in.",
        )
    else:
        content = read_pickle(path)
    missing = [key for key in _NEEDED if key not in content]
    if missing:
        raise _not_a_body(f"{path.name} lacks {', '.join(missing)}.")
    return _validated(_Fields(content, path.name), path.stem)


def _not_a_body(message: str, hint: str = _HINT) -> BadInput:
    return BadInput("not_a_body", message, hint)


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if sum(entry.file_size for entry in archive.zip.infolist()) > MAX_BYTES:
                raise _not_a_body(f"{path.name} unpacks to more than {MAX_BYTES >> 20} MiB.")
            # official files contain tables of Python objects too, which are not read
            wanted = {*_NEEDED, *_OPTIONAL, *_REGRESSORS}.intersection(archive.files)
            return {name: archive[name] for name in wanted}
    except BadInput:
        raise
    except Exception as error:  # a damaged archive raises any type
        raise _not_a_body(f"{path.name} cannot be read ({error}).") from None


class _Fields:
    """The content of a body file, read field by field with checks."""

    def __init__(self, content: dict[str, Any], file: str) -> None:
        self.content = content
        self.file = file

    def array(self, key: str, *wanted: int | None, dtype: Any = np.float64) -> np.ndarray:
        """The field as a finite array of the wanted shape; None means any length except 0."""
        value = self.content[key]
        sparse = scipy.sparse.issparse(value)
        shape = value.shape if sparse else np.shape(value)
        if len(shape) != len(wanted) or any(n != (w or n) or n == 0 for n, w in zip(shape, wanted, strict=True)):
            expected = ", ".join("any" if w is None else str(w) for w in wanted)
            raise self.wrong(key, f"is {tuple(shape)}, expected ({expected})")
        if np.prod(shape, dtype=float) > _MAX_NUMBERS:
            raise self.wrong(key, f"has more than {_MAX_NUMBERS} numbers")
        try:
            numbers = (value.toarray() if sparse else np.asarray(value)).astype(np.float64)
        except (TypeError, ValueError):
            raise self.wrong(key, "does not contain numbers") from None
        if not np.isfinite(numbers).all():
            raise self.wrong(key, "contains values that are not finite")
        return numbers.astype(dtype)

    def indices(self, key: str, *wanted: int | None, below: int) -> np.ndarray:
        """The field as int64 indices, 0 to `below` - 1."""
        value = self.array(key, *wanted, dtype=np.int64)
        if value.min() < 0 or value.max() >= below:
            raise self.wrong(key, f"contains indices outside 0..{below - 1}")
        return value

    def text(self, key: str, default: str, limit: int) -> str:
        """The field as one line of at most `limit` characters (the protocol's); `default` where empty or absent."""
        value = np.asarray(self.content.get(key, default))
        raw = value.item() if value.size == 1 else default
        line = " ".join((raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)).split())
        return (line if len(line) <= limit else line[: limit - 1] + "…") or default

    def wrong(self, key: str, what: str) -> BadInput:
        return _not_a_body(f"{key} of {self.file} {what}.")


def _validated(fields: _Fields, stem: str) -> BodyArrays:
    content = fields.content
    template = fields.array("v_template", None, 3)
    count = len(template)
    weights = fields.array("weights", count, None)
    joints = weights.shape[1]
    if np.abs(weights.sum(1) - 1).max() > 1e-3:
        raise _not_a_body(f"Skinning weights of {fields.file} do not sum to 1.")
    faces = fields.indices("f", None, 3, below=count)
    correctives = (count, 3, 9 * (joints - 1))
    body = BodyArrays(
        name=fields.text("name", stem[:128], 128),
        license=fields.text("license", MANO_LICENSE if joints == len(MANO16) else SMPL_LICENSE, 512),
        joint_names=_joint_names(content, joints),
        parents=_parents(fields, joints),
        v_template=template,
        faces=faces,
        # files with 300 betas exist (SMPL-X, SMPL+H); ten are the usual number
        shapedirs=fields.array("shapedirs", count, 3, None)[:, :, :10],
        posedirs=fields.array("posedirs", *correctives) if "posedirs" in content else np.zeros(correctives),
        joint_regressor=fields.array("J_regressor", joints, count),
        weights=weights,
        regressors={
            key.removeprefix("J_regressor_"): fields.array(key, rows, count)
            for key, rows in _REGRESSORS.items()
            if key in content
        },
    )
    if "uv" in content and "uv_faces" in content:
        body.uv = fields.array("uv", None, 2, dtype=np.float32)
        body.uv_faces = fields.indices("uv_faces", len(faces), 3, below=len(body.uv))
    if "part_ids" in content:
        body.part_ids = fields.indices("part_ids", count, below=joints).astype(np.int32)
    for key in ("vert_sym_idxs", "mirror"):  # SMPL's name, and ours
        if key in content:
            body.mirror = fields.indices(key, count, below=count)
    if "hands_components" in content and "hands_mean" in content:
        size = 3 * (joints - 1)
        body.hand_components = fields.array("hands_components", None, size)
        body.hand_mean = fields.array("hands_mean", size)
    return body


def _parents(fields: _Fields, joints: int) -> np.ndarray:
    """kintree_table -> parents (J,); for the root the file has 2^32 - 1 or -1."""
    parents = fields.array("kintree_table", 2, joints, dtype=np.int64)[0]
    parents[0] = -1
    if (parents[1:] < 0).any() or (parents[1:] >= np.arange(1, len(parents))).any():
        raise fields.wrong("kintree_table", "is not a tree in which parents precede their children")
    return parents


def _joint_names(content: dict[str, Any], joints: int) -> tuple[str, ...]:
    given = np.asarray(content.get("joint_names", ()))
    if given.shape == (joints,) and given.dtype.kind == "U":
        return tuple(str(name)[:64] for name in given)
    known = {len(names): names for names in (SMPL24, MANO16, SMPLH52, SMPLX55)}
    return known.get(joints) or tuple(f"joint{j:02d}" for j in range(joints))
