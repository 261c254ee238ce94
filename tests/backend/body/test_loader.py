"""Body files: official pickles through the restricted reader, npz, and everything that is not a body."""

import os
import pickle
import pickletools
import sys
import types

import numpy as np
import pytest
import scipy.sparse as sp

from backend.body.loader import load_body, read_body
from backend.body.registry import available_bodies, import_body
from backend.body.unpickle import read_pickle
from backend.errors import BadInput
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
def chumpy_module(monkeypatch):
    """A stand-in for chumpy, only to write what the official files hold; reading must not need it."""
    module, inner = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, x):
            self.x = x

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    inner.Ch = module.Ch = Ch
    monkeypatch.setitem(sys.modules, "chumpy", module)
    monkeypatch.setitem(sys.modules, "chumpy.ch", inner)
    return Ch


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_official_pickle(tmp_path, smpl, chumpy_module, monkeypatch, protocol):
    official = smpl | {
        "shapedirs": chumpy_module(smpl["shapedirs"]), "v_template": chumpy_module(smpl["v_template"]),
        "J_regressor": sp.csc_matrix(smpl["J_regressor"]),
    }  # fmt: skip
    path = tmp_path / "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl"
    path.write_bytes(pickle.dumps(official, protocol=protocol))
    monkeypatch.delitem(sys.modules, "chumpy")
    monkeypatch.delitem(sys.modules, "chumpy.ch")
    body = read_body(path)
    for name, key in (
        ("v_template", "v_template"),
        ("joint_regressor", "J_regressor"),
        ("posedirs", "posedirs"),
    ):
        np.testing.assert_allclose(getattr(body, name), smpl[key])
    np.testing.assert_allclose(body.shapedirs, smpl["shapedirs"][:, :, :10])
    assert "non-commercial" in body.license
    assert body.parents.tolist()[:4] == [-1, 0, 0, 0]


class _Runs:
    def __init__(self, what, *arguments):
        self.what, self.arguments = what, arguments

    def __reduce__(self):
        return self.what, self.arguments


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "evil",
    [
        _Runs(os.system, "touch {}"),
        _Runs(eval, "open('{}', 'w')"),
        _Runs(getattr, "a", "upper"),
        _Runs(__import__, "os"),
    ],
)
def test_pickles_that_run_something_are_refused(tmp_path, evil, protocol):
    mark, path = tmp_path / "executed", tmp_path / "evil.pkl"
    evil = _Runs(evil.what, *(a.format(mark) for a in evil.arguments))
    path.write_bytes(pickle.dumps({"v_template": evil}, protocol=protocol))
    with pytest.raises(BadInput) as caught:
        read_pickle(path)
    assert caught.value.code == "refused_pickle"
    assert not mark.exists()


def test_arrays_of_objects_are_refused(tmp_path):
    path = tmp_path / "objects.pkl"
    path.write_bytes(pickle.dumps({"v_template": np.array([{}, None], dtype=object)}))
    with pytest.raises(BadInput):
        read_pickle(path)


def test_length_bomb_is_an_error_and_not_a_crash(tmp_path):
    bomb = b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little")  # BINBYTES8 that claims 4 EiB
    assert next(pickletools.genops(b"\x80\x04N."))  # the opcode stream above is of the same protocol
    path = tmp_path / "bomb.pkl"
    path.write_bytes(bomb)
    with pytest.raises(BadInput) as caught:
        read_pickle(path)
    assert caught.value.code == "not_a_body"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": None}, "lacks weights"),
        ({"v_template": np.zeros((49, 3))}, "is (50, 24), expected (49, 24)"),
        ({"v_template": np.full((50, 3), np.nan)}, "not numbers"),
        ({"weights": np.ones((50, 24))}, "do not sum to 1"),
        ({"f": np.full((96, 3), 50)}, "vertices that do not exist"),
        ({"kintree_table": np.stack([np.full(24, 23), np.arange(24)])}, "no tree"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, smpl, change, words):
    path = tmp_path / "body.npz"
    np.savez(path, **{k: v for k, v in (smpl | change).items() if v is not None})
    with pytest.raises(BadInput) as caught:
        read_body(path)
    assert words in caught.value.message and caught.value.code == "not_a_body"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "placeholder"),
        (b"", "damaged"),
        (b"PK\x03\x04 half a zip", "cannot be read"),
        (bytes(range(200, 256)), "SMPL_NEUTRAL.pkl was refused|damaged"),
    ],
)
def test_files_that_are_no_body(tmp_path, content, words):
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=words):
        read_body(path)


def test_missing_file_and_unknown_name(tmp_path):
    with pytest.raises(BadInput, match="no file"):
        load_body(tmp_path / "none.npz")
    with pytest.raises(BadInput, match="no body 'nobody'") as caught:
        load_body("nobody")
    assert "open_body" in caught.value.hint


def test_imported_body_is_listed_and_loads(tmp_path, smpl, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    file = tmp_path / "mine.npz"
    np.savez(file, **smpl)
    import_body(file, "mine")
    (tmp_path / "home" / "data" / "bodies" / "broken.npz").write_bytes(b"no zip")  # must not hide the others
    assert [spec.name for spec in available_bodies()] == ["open_body", "mine"]
    body = load_body("mine")
    np.testing.assert_allclose(body.v_template.numpy(), smpl["v_template"], atol=1e-6)
    with pytest.raises(BadInput, match="cannot be the name"):
        import_body(file, "../evil")
