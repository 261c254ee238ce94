"""Body files: official pickles, npz, other files, and the import of a user's body."""

import io
import pickle
import re
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from backend.body.files import read_body
from backend.body.joint_sets import MANO16_PARENTS
from backend.body.loader import import_body, load_body
from backend.body.registry import available_bodies
from backend.body.wire import body_message
from backend.errors import BadInput, RecoverMeshError
from backend.paths import HOME_VARIABLE
from backend.protocol import encode


@pytest.mark.parametrize("numpy_name", [b"numpy.core.", b"numpy._core."])
@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_official_pickle(tmp_path, smpl, official, monkeypatch, protocol, numpy_name):
    data = pickle.dumps(official, protocol=protocol)
    if protocol <= 2:  # module names are plain text there
        data = re.sub(rb"numpy\._?core\.", numpy_name, data)
        data = data.replace(b"scipy.sparse._csc\n", b"scipy.sparse.csc\n").replace(
            b"scipy.sparse._csr\n", b"scipy.sparse.csr\n"
        )
    path = tmp_path / "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl"
    path.write_bytes(data)
    for name in [name for name in sys.modules if name.split(".")[0] == "chumpy"]:
        monkeypatch.delitem(sys.modules, name)
    body = read_body(path)
    keys = {"joint_regressor": "J_regressor", "faces": "f"}
    for name in ("v_template", "joint_regressor", "posedirs", "weights", "faces"):
        np.testing.assert_array_equal(getattr(body, name), smpl[keys.get(name, name)])
    np.testing.assert_array_equal(body.shapedirs, smpl["shapedirs"][:, :, :10])
    np.testing.assert_array_equal(body.mirror, np.arange(50)[::-1])
    assert body.regressors == {}  # SMPL's `J_regressor_prior` is not a joint set
    assert "non-commercial" in body.license
    assert body.parents.tolist()[:4] == [-1, 0, 0, 0]


def test_official_hand_pickle(tmp_path, chumpy, mano):
    data = mano | {
        "shapedirs": chumpy.Ch(x=mano["shapedirs"]), "J_regressor": sp.csc_matrix(mano["J_regressor"]),
        "hands_coeffs": np.random.default_rng(0).normal(size=(1554, 45)), "bs_type": "lrotmin",
    }  # fmt: skip
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickle.dumps(data, protocol=2))
    body = read_body(path)
    np.testing.assert_array_equal(body.hand_mean, data["hands_mean"])
    np.testing.assert_array_equal(body.hand_components, data["hands_components"])
    assert body.license.startswith("MANO") and body.joint_names[13] == "thumb1"
    assert body.parents.tolist() == list(MANO16_PARENTS)


def test_official_smplx_archive(tmp_path, smpl):
    """SMPL-X: 55 joints, 400 shape components, and tables of Python objects that are not read."""
    rng = np.random.default_rng(0)
    weights = rng.random((50, 55))
    path = tmp_path / "SMPLX_NEUTRAL.npz"
    np.savez(
        path,
        **smpl
        | {
            "shapedirs": rng.normal(size=(50, 3, 400)), "posedirs": rng.normal(size=(50, 3, 486)),
            "weights": weights / weights.sum(1, keepdims=True), "J_regressor": np.eye(55, 50),
            "kintree_table": np.array([[2**32 - 1, *range(54)], range(55)], np.uint32), "vt": np.zeros((60, 2)),
            "joint2num": np.array({"Pelvis": 0}, dtype=object), "hands_meanl": np.zeros(45),
        },
    )  # fmt: skip
    body = read_body(path)
    assert body.shapedirs.shape == (50, 3, 10) and body.posedirs.shape == (50, 3, 486)
    assert (body.joint_names[22], body.joint_names[54], body.parents[0]) == ("jaw", "right_thumb3", -1)


def test_a_huge_sparse_matrix_is_not_made_dense(tmp_path, smpl):
    path = tmp_path / "huge.pkl"
    huge = sp.csc_matrix((np.ones(1), ([0], [0])), shape=(200_000, 200_000))
    path.write_bytes(pickle.dumps(smpl | {"J_regressor": huge}))
    with pytest.raises(BadInput, match="expected"):
        read_body(path)


def test_damaged_pickles_and_archives_raise_bad_input(tmp_path, official, smpl):
    archive = io.BytesIO()
    np.savez_compressed(archive, **smpl)
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged"
    failed = 0
    for whole in (pickle.dumps(official, protocol=2), archive.getvalue()):
        for _ in range(60):
            broken = bytearray(whole)
            for at in rng.integers(0, len(whole) if rng.random() < 0.5 else 400, 8):
                broken[at] = rng.integers(256)
            path.write_bytes(broken[: rng.integers(len(whole))] if rng.random() < 0.3 else broken)
            try:
                read_body(path)
            except BadInput as error:
                failed += 1
                assert error.code in ("not_a_body", "refused_pickle") and error.hint
    assert failed > 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": None}, "lacks weights"),
        ({"v_template": np.zeros((49, 3))}, "is (50, 24), expected (49, any)"),
        ({"v_template": np.full((50, 3), np.nan)}, "not finite"),
        ({"weights": np.ones((50, 24))}, "do not sum to 1"),
        ({"weights": np.float64(1)}, "is (), expected (50, any)"),
        ({"v_template": np.array("text")}, "is (), expected (any, 3)"),
        ({"v_template": np.full((50, 3), "text")}, "does not contain numbers"),
        ({"f": np.full((96, 3), 50)}, "indices outside 0..49"),
        ({"f": np.zeros((0, 3), int)}, "is (0, 3), expected (any, 3)"),
        ({"uv": np.zeros((9, 2)), "uv_faces": np.full((96, 3), 9)}, "uv_faces of body.npz contains indices"),
        ({"mirror": np.full(50, -1)}, "mirror of body.npz contains indices"),
        ({"part_ids": np.full(50, 24)}, "part_ids of body.npz contains indices"),
        ({"J_regressor_coco17": np.zeros((16, 50))}, "expected (17, 50)"),
        ({"kintree_table": np.stack([np.full(24, 23), np.arange(24)])}, "not a tree"),
    ],
)
def test_messages_name_the_wrong_field(tmp_path, smpl, change, message):
    path = tmp_path / "body.npz"
    np.savez(path, **{k: v for k, v in (smpl | change).items() if v is not None})
    with pytest.raises(BadInput) as caught:
        read_body(path)
    assert message in caught.value.message and caught.value.code == "not_a_body"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "placeholder"),
        (b"", "damaged"),
        (b"PK\x03\x04 half a zip", "cannot be read"),
        (bytes(range(200, 256)), "SMPL_NEUTRAL.pkl was refused|damaged"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        read_body(path)


def test_missing_file_and_unknown_name(tmp_path):
    with pytest.raises(BadInput, match="no file"):
        load_body(tmp_path / "none.npz")
    with pytest.raises(BadInput, match="no body 'nobody'") as caught:
        load_body("nobody")
    assert "open_body" in caught.value.hint


def test_imported_body_is_listed_and_loads(file, home, smpl):
    import_body(file, "mine")
    (home / "data" / "bodies" / "broken.npz").write_bytes(b"no zip")  # must not hide the others
    assert [spec.name for spec in available_bodies()] == ["open_body", "open_hand", "mine"]
    body = load_body("mine")
    np.testing.assert_allclose(body.v_template.numpy(), smpl["v_template"], atol=1e-6)
    with pytest.raises(BadInput, match="cannot be the name"):
        import_body(file, "../evil")


def test_optional_fields_may_be_absent(tmp_path, smpl):
    path = tmp_path / "bare.npz"
    np.savez(path, **{key: value for key, value in smpl.items() if key != "posedirs"})
    body = load_body(path)
    assert body.posedirs.shape == (50, 3, 207) and not body.posedirs.any()
    assert body.uv is None and body.mirror is None and body.regressors == {}
    assert body.name == "bare"


def test_long_texts_are_cut_to_the_protocols_limits(tmp_path, smpl):
    path = tmp_path / "long.npz"
    np.savez(path, **smpl, license=np.array("words of a licence\n" * 500), name=np.array("n" * 500))
    fields, arrays = body_message(load_body(path))
    assert encode("body", "r", arrays, **fields)
    assert fields["license"].startswith("words of a licence words")


def test_a_name_with_a_dot_is_found(file):
    import_body(file, "mine.v2")
    assert load_body("mine.v2").name == "mine.v2"


def test_a_data_folder_that_cannot_be_written(file, home):
    """Loading the embedded body needs no data folder; an import raises `unwritable`."""
    home.write_text("a file where the folder should be")
    assert load_body("open").name == "open_body"
    assert [spec.name for spec in available_bodies()] == ["open_body", "open_hand"]
    with pytest.raises(RecoverMeshError) as caught:
        import_body(file)
    assert caught.value.code == "unwritable" and HOME_VARIABLE in caught.value.hint


def test_a_failed_import_leaves_nothing_behind(file, home):
    taken = home / "data" / "bodies" / "mine.npz"
    taken.mkdir(parents=True)  # a folder where the file should go
    with pytest.raises(RecoverMeshError) as caught:
        import_body(file)
    assert caught.value.code == "unwritable"
    assert list(taken.parent.iterdir()) == [taken]
