"""Weights files: import, refused files, and the checks on loading.

`tests/parity` imports all networks in the official format.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file, save_file

from backend.body.loader import import_body, load_body
from backend.body.mesh_levels import body_levels
from backend.body.registry import OPEN_BODY
from backend.cli import main
from backend.errors import BadInput, RecoverMeshError
from backend.models.registry import available_models, get_model
from backend.models.spec import NETWORKS
from backend.models.weights import TEST_NOTICE, import_weights, load_network, make_test_weights
from backend.models.weights_files import find_weights, read_card, weights_path
from backend.recovery import Recoverer

NAME = "fastmetro-s-r50"
SMALL = "fastmetro-small"
SAMPLER = "mesh_downsampling.npz"


@pytest.fixture(autouse=True)
def home(files, tmp_path, monkeypatch):
    """A home without imported weights, with the open body's mesh levels in its cache."""
    shutil.copytree(files / "home" / "cache", tmp_path / "home" / "cache")
    monkeypatch.setenv("RECOVER_MESH_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Test weights in our format, a state dict as the authors save it, METRO's file for the open body's levels."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOVER_MESH_HOME", str(folder / "home"))
        path, _ = make_test_weights(NAME, seed=3)
        path.rename(folder / path.name)
        torch.save(load_network(NAME, path=folder / path.name).module.state_dict(), folder / "state_dict.bin")
    body = load_body("open")
    levels = body_levels(body.v_template.double().numpy(), body.faces.numpy())
    rows = {}
    for key, matrices in (("A", levels.adjacency), ("U", levels.up), ("D", levels.down)):
        rows[key] = np.empty(len(matrices), object)
        rows[key][:] = matrices
    np.savez(folder / SAMPLER, **rows)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def made(files, home):
    """Path of test weights, in the folder of imported weights."""
    path = weights_path(NAME)
    path.parent.mkdir(parents=True)
    return shutil.copyfile(files / path.name, path)


@pytest.fixture
def trained(files, home):
    """Path of the state dict, and the open body imported under another name in place of SMPL's."""
    with np.load(OPEN_BODY) as arrays:
        np.savez(home / "smpl.npz", **{k: arrays[k] for k in arrays.files if k not in ("name", "license")})
    import_body(home / "smpl.npz", "smpl")
    return shutil.copyfile(files / "state_dict.bin", home / "state_dict.bin")


@pytest.fixture
def sampler(files, home):
    """Path of METRO's file, in the checkpoint's folder."""
    return shutil.copyfile(files / SAMPLER, home / SAMPLER)


def test_an_official_file_is_imported_with_its_card(trained, sampler, capsys):
    assert not get_model(NAME).ready
    assert main(["models", "import", NAME, str(trained)]) == 0
    assert "smpl" in capsys.readouterr().out
    card = read_card(find_weights(NAME))
    assert (card.name, card.body, card.testing, card.source) == (NAME, "smpl", False, "state_dict.bin")
    assert len(card.source_sha256) == 64
    assert get_model(NAME).ready
    assert get_model(NAME).body == "smpl"
    state = torch.load(trained, weights_only=True)
    for key, value in load_network(NAME).module.state_dict().items():
        assert torch.equal(value, state[key])


def test_the_sampler_is_required_and_may_be_in_another_folder(trained, files, home):
    with pytest.raises(BadInput, match=r"mesh_downsampling\.npz") as caught:
        import_weights(NAME, trained)
    assert caught.value.code == "auxiliary_missing"
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    shutil.copyfile(files / SAMPLER, elsewhere / SAMPLER)
    with pytest.raises(BadInput):
        import_weights(NAME, trained, files=[home / "nowhere"])
    import_weights(NAME, trained, files=[elsewhere])
    assert get_model(NAME).ready


def test_another_variant_is_refused_with_the_differences(trained, sampler):
    with pytest.raises(BadInput, match="missing: transformer_1") as caught:
        import_weights("fastmetro-m-r50", trained)
    assert caught.value.code == "checkpoint_mismatch"
    assert find_weights("fastmetro-m-r50") is None


def test_without_its_body_nothing_is_imported(trained, sampler, home):
    (home / "home" / "data" / "bodies" / "smpl.npz").unlink()
    with pytest.raises(BadInput, check=lambda error: error.code == "body_missing") as caught:
        import_weights(NAME, trained)
    assert "bodies import" in caught.value.hint


def test_a_body_instead_of_a_hand_is_refused(trained, sampler):
    with pytest.raises(BadInput, check=lambda error: error.code == "body_mismatch"):
        import_weights("fastmetro-hand-s-r50", trained, body="smpl")


def test_one_of_two_bodies_must_be_named(trained, sampler, home):
    arrays = dict(np.load(home / "smpl.npz"))
    arrays["f"] = arrays["f"][:, [1, 2, 0]]
    np.savez(home / "other.npz", **arrays)
    import_body(home / "other.npz", "other")
    with pytest.raises(BadInput, check=lambda error: error.code == "body_unclear"):
        import_weights(NAME, trained)
    import_weights(NAME, trained, body="smpl")


def test_weights_of_a_body_that_has_changed_are_refused(trained, sampler, home):
    import_weights(NAME, trained)
    arrays = dict(np.load(home / "smpl.npz"))
    arrays["f"] = arrays["f"][::-1]
    np.savez(home / "smpl.npz", **arrays)
    import_body(home / "smpl.npz", "smpl")
    with pytest.raises(BadInput, check=lambda error: error.code == "body_mismatch"):
        load_network(NAME)


def test_test_weights_are_labelled_everywhere(home, capsys):
    assert main(["models", "import", NAME, "--test-weights"]) == 0
    spec = get_model(NAME)
    assert spec.ready and spec.testing
    assert "test weights" in spec.label
    assert spec.license.startswith(TEST_NOTICE)
    photo = Path(__file__).parents[2] / "data" / "rendered_person.jpg"
    assert main(["recover", str(photo), "--model", NAME, "--out", str(home / "out"), "--export", "npz"]) == 0
    assert TEST_NOTICE in capsys.readouterr().out
    with np.load(next((home / "out").glob("*.npz"))) as result:
        assert str(result["license"]).startswith(TEST_NOTICE)
        assert str(result["model"]) == NAME


def test_seeds_give_different_and_repeatable_weights(home):
    names = {}
    for seed in (0, 1, 0):
        make_test_weights(SMALL, seed=seed)
        value = load_network(SMALL).module.state_dict()["xyz_regressor.weight"]
        if seed in names:
            assert torch.equal(names[seed], value)
        names[seed] = value
    assert not torch.equal(names[0], names[1])


@pytest.mark.parametrize("content", [b"", b"rubbish", (2).to_bytes(8, "little") + b"{}", b"\xff" * 64])
def test_a_corrupt_weights_file_does_not_hide_other_models(home, content):
    path = weights_path(NAME)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    spec = get_model(NAME)
    assert not spec.ready
    assert "import" in spec.hint
    assert get_model("keypoint-fit").ready
    with pytest.raises(BadInput):
        load_network(NAME)


def test_a_card_of_another_format_is_refused(made):
    save_file(load_file(made), made, metadata={"card": json.dumps({"format": 99})})
    assert "format 99" in get_model(NAME).hint


def test_a_full_disk_leaves_no_partial_file(home, monkeypatch):
    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(RecoverMeshError, check=lambda error: error.code == "unwritable"):
        make_test_weights(SMALL)
    assert list(weights_path(SMALL).parent.iterdir()) == []


def test_every_network_is_listed_with_how_to_get_its_weights(home, capsys):
    listed = {spec.name: spec for spec in available_models()}
    for spec in NETWORKS:
        if find_weights(spec.name) is not None:  # embedded
            assert listed[spec.name].ready
            continue
        assert not listed[spec.name].ready
        assert f"recover-mesh models import {spec.name}" in listed[spec.name].hint
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert "smpler-w48" in text
    for spec in NETWORKS:
        assert main(["models", "show", spec.name]) == 0
        assert spec.published in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", "no-such-network", "x.pt"],
        ["import", NAME],
        ["import", NAME, "x.pt", "--test-weights"],
        ["import", NAME, "/no/such/file.pt"],
        ["remove", NAME],
        ["show", "no-such-network"],
    ],
)
def test_wrong_arguments_give_an_error_message(home, capsys, arguments):
    assert main(["models", *arguments]) == 2
    assert capsys.readouterr().err.startswith("recover-mesh: ")


def test_weights_can_be_removed(made):
    assert get_model(NAME).ready
    assert main(["models", "remove", NAME]) == 0
    assert not get_model(NAME).ready


def test_a_model_that_is_not_ready_says_how_to_get_its_weights(home):
    with pytest.raises(BadInput, match="cannot run yet") as caught:
        Recoverer("smpler-w32", "cpu")
    assert "recover-mesh models import smpler-w32" in caught.value.hint
