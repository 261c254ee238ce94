"""Body models of random numbers in the format of the official files, which are licensed and not in this repository."""

import sys
import types

import numpy as np
import pytest
import scipy.sparse as sp

from backend.paths import HOME_VARIABLE


@pytest.fixture
def smpl():
    """A tiny body with SMPL's keys and random values."""
    rng = np.random.default_rng(0)
    weights, regressor = rng.random((50, 24)), rng.random((24, 50)) * (rng.random((24, 50)) < 0.3)
    regressor[:, 0] += 0.1
    parents = [2**32 - 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]
    return {
        "v_template": rng.normal(size=(50, 3)), "f": rng.integers(0, 50, (96, 3)).astype(np.uint32),
        "shapedirs": rng.normal(size=(50, 3, 300)), "posedirs": rng.normal(size=(50, 3, 207)),
        "J_regressor": regressor / regressor.sum(1, keepdims=True), "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([parents, range(24)], np.int64), "bs_style": "lbs",
    }  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's folder, not created yet."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def file(tmp_path, smpl, home):
    """The body as the user's npz file."""
    np.savez(tmp_path / "mine.npz", **smpl)
    return tmp_path / "mine.npz"


@pytest.fixture
def mano():
    """A hand with MANO's keys and random values."""
    rng = np.random.default_rng(0)
    weights, regressor = rng.random((778, 16)) ** 8, rng.random((16, 778))
    parents = [2**32 - 1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14]
    return {
        "v_template": rng.normal(size=(778, 3)) * 0.1, "f": rng.integers(0, 778, (1538, 3)).astype(np.uint32),
        "shapedirs": rng.normal(size=(778, 3, 10)) * 0.01, "posedirs": rng.normal(size=(778, 3, 135)) * 0.001,
        "J_regressor": regressor / regressor.sum(1, keepdims=True), "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([parents, range(16)], np.int64), "hands_mean": rng.normal(size=45) * 0.1,
        "hands_components": np.linalg.qr(rng.normal(size=(45, 45)))[0],
    }  # fmt: skip


@pytest.fixture
def chumpy(monkeypatch):
    """Stand-ins for chumpy, to write files as the official ones; reading must not need them."""
    package = types.ModuleType("chumpy")

    class Ch:
        def __init__(self, **state):  # with the fields of chumpy's own objects
            vars(self).update(state, _dirty_vars={"x"}, _itr=None, _depends_on_deps={}, _make_dense=False)

    class Select(Ch):
        pass

    class Ops(Ch):
        pass

    for cls, module in ((Ch, "ch"), (Select, "reordering"), (Ops, "ch_ops")):
        inner = types.ModuleType(f"chumpy.{module}")
        cls.__module__, cls.__qualname__ = inner.__name__, cls.__name__
        setattr(inner, cls.__name__, cls)
        setattr(package, cls.__name__, cls)
        monkeypatch.setitem(sys.modules, inner.__name__, inner)
    monkeypatch.setitem(sys.modules, "chumpy", package)
    return package


@pytest.fixture
def official(smpl, chumpy):
    """The same body as an official file contains it."""
    shapes = smpl["shapedirs"]
    first_ten = np.arange(shapes.size).reshape(shapes.shape)[:, :, :10]
    return smpl | {
        "shapedirs": chumpy.Select(a=chumpy.Ch(x=shapes), idxs=first_ten.ravel(), preferred_shape=first_ten.shape),
        "v_template": chumpy.Ch(x=smpl["v_template"]),
        "v_posed": chumpy.Ops(a=1, b=2),  # an expression that is not needed
        "J_regressor": sp.csc_matrix(smpl["J_regressor"]),
        "J_regressor_prior": sp.csr_matrix(smpl["J_regressor"]),
        "vert_sym_idxs": np.arange(50)[::-1],
        "posedirs": np.asfortranarray(smpl["posedirs"].astype(">f8")),
        "empty": np.zeros((0, 3)),
        "bs_type": np.float64(0.5),
    }
