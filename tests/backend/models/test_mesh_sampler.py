"""Mesh sampler files in METRO's format, and files that are none."""

import pickle
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp

from backend.errors import BadInput
from backend.models.fastmetro.mesh_sampler import read_mesh_sampler


def row(*matrices):
    """An object array of the matrices."""
    array = np.empty(len(matrices), object)
    array[:] = matrices
    return array


def write(path, kind=sp.csc_matrix, **changes):
    parts = {
        "A": row(kind(sp.identity(12)), kind(sp.identity(5)), kind(sp.identity(2))),
        "U": row(kind(np.ones((12, 5))), kind(np.eye(5, 2))),
        "D": row(kind(np.ones((5, 12))), kind(np.eye(2, 5))),
        **changes,
    }
    np.savez(path, **parts)
    return path


@pytest.mark.parametrize("kind", [sp.csc_matrix, sp.csr_matrix, sp.coo_matrix])
def test_matrices_of_every_layout_are_read(tmp_path, kind):
    sampler = read_mesh_sampler(write(tmp_path / "mesh_downsampling.npz", kind))
    assert [a.shape[0] for a in sampler.adjacency] == [12, 5, 2]
    np.testing.assert_array_equal(sampler.up[0].toarray(), np.ones((12, 5)))
    np.testing.assert_array_equal(sampler.down[1].toarray(), np.eye(2, 5))


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_file_with_code_is_refused(tmp_path):
    path = write(tmp_path / "mesh.npz", M=row(Touch(tmp_path / "harmless")))
    assert len(read_mesh_sampler(path).up) == 2  # the templates M are not read
    assert not (tmp_path / "harmless").exists()
    path = write(tmp_path / "bad.npz", U=row(Touch(tmp_path / "ran")))
    with pytest.raises(BadInput, check=lambda error: error.code == "refused_pickle"):
        read_mesh_sampler(path)
    assert not (tmp_path / "ran").exists()


def test_indices_that_point_outside_are_refused(tmp_path):
    bad = sp.csr_matrix(np.eye(5))
    bad.indices[0] = 77
    with pytest.raises(BadInput):
        read_mesh_sampler(write(tmp_path / "mesh.npz", A=row(bad)))


def test_other_files_are_refused_by_name(tmp_path):
    with pytest.raises(BadInput, check=lambda error: error.code == "file_missing"):
        read_mesh_sampler(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_bytes(b"hello")
    np.savez(tmp_path / "other.npz", A=np.ones(3))
    with zipfile.ZipFile(tmp_path / "cut.npz", "w") as archive:
        archive.writestr("A.npy", pickle.dumps([1]))
    levels = {"U": row(sp.csr_matrix(np.ones((12, 4))), sp.csr_matrix(np.eye(5, 2)))}
    write(tmp_path / "levels.npz", **levels)
    for name in ("text", "other", "cut", "levels"):
        with pytest.raises(BadInput, match=rf"{name}\.npz", check=lambda error: error.code == "not_a_mesh_sampler"):
            read_mesh_sampler(tmp_path / f"{name}.npz")
