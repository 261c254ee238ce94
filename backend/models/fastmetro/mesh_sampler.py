"""METRO's mesh sampler files: the meshes that FastMETRO's released weights were trained on.

`mesh_downsampling.npz` (body) and `mano_downsampling.npz` (hand) contain lists of scipy sparse matrices: A, adjacency
per level, U, upsampling, D, downsampling (Ranjan et al., "CoMA", ECCV 2018).
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from backend.body.unpickle import MAX_BYTES, unpickle
from backend.errors import BadInput

_HINT = "Take it from the data folder of METRO's or FastMETRO's repository (src/modeling/data)."


@dataclass(frozen=True)
class MeshSampler:
    """Matrices per level, finest first: adjacency[k] (v_k, v_k), up[k] (v_k, v_{k+1}), down[k] (v_{k+1}, v_k)."""

    adjacency: list[sp.csr_matrix]
    up: list[sp.csr_matrix]
    down: list[sp.csr_matrix]


def read_mesh_sampler(path: Path) -> MeshSampler:
    """The matrices in a mesh sampler file, without its template meshes (M, V).

    Raises BadInput `file_missing`, `not_a_mesh_sampler`, `refused_pickle`.
    """
    if not path.is_file():
        raise BadInput("file_missing", f"There is no file {path}.", _HINT)
    try:
        with zipfile.ZipFile(path) as archive:
            adjacency, up, down = (_matrices(archive, f"{key}.npy", path.name) for key in ("A", "U", "D"))
    except (zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
        raise _wrong(path.name, str(error)) from None
    sizes = [a.shape[0] for a in adjacency]
    steps = list(pairwise(sizes))
    if [u.shape for u in up[: len(steps)]] != steps or [d.shape[::-1] for d in down[: len(steps)]] != steps:
        raise _wrong(path.name, "the shapes of its matrices do not match")
    return MeshSampler(adjacency, up, down)


def _matrices(archive: zipfile.ZipFile, member: str, file: str) -> list[sp.csr_matrix]:
    if archive.getinfo(member).file_size > MAX_BYTES:
        raise ValueError(f"{member} is too large")
    data = io.BytesIO(archive.read(member))
    version = np.lib.format.read_magic(data)
    read_header: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _shape, _order, kind = read_header(data)
    if not kind.hasobject:
        raise ValueError(f"{member} is not a list of matrices")
    matrices = unpickle(data.read(), file, code="not_a_mesh_sampler", objects=True)
    if not isinstance(matrices, list) or not all(sp.issparse(m) for m in matrices):
        raise ValueError(f"{member} is not a list of sparse matrices")
    return [sp.csr_matrix(m, dtype=np.float64) for m in matrices]


def _wrong(file: str, reason: str) -> BadInput:
    return BadInput("not_a_mesh_sampler", f"{file} is not a mesh sampler ({reason}).", _HINT)
