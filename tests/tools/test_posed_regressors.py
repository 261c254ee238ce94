"""Keypoint regressors of the open body: accurate in bent poses, fitted from the file alone, reproducible."""

from __future__ import annotations

import re

import numpy as np
import pytest

from assets_build.open_body import posed_regressors
from assets_build.open_body.regressors import SETS, joint_combination
from backend.body.files import read_body
from backend.body.joint_sets import SMPL24
from backend.body.loader import load_body
from backend.body.model import BodyModel
from backend.body.registry import find_body

SPINE = ("pelvis", "torso", "neck")


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture(scope="module")
def rows(body) -> dict[str, np.ndarray]:
    return {label: body.regressors[label].numpy() for label in SETS}


def _content(path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_keypoints_defined_by_joints():
    knee = joint_combination("blazepose33", "left_knee")
    assert knee[SMPL24.index("left_knee")] == 1 and knee.sum() == 1
    assert joint_combination("h36m17", "neck")[SMPL24.index("left_shoulder")] == 0.25
    assert joint_combination("lsp14", "neck")[SMPL24.index("neck")] == 1  # not h36m17's neck
    assert joint_combination("h36m17", "torso").sum() == pytest.approx(1)
    for label, name in (("h36m17", "head"), ("coco17", "nose"), ("blazepose33", "left_foot_index")):
        assert joint_combination(label, name) is None


def test_regressor_rows_hold_in_bent_poses(body, rows):
    """Poses and betas of neither the fit nor the card; earlier rows were 30 to 70 mm off on average."""
    found = posed_regressors.errors(rows, posed_regressors.bodies(body, 100, seed=77))
    assert len(found) == 12 + 15 + 13 + 12
    for (label, name), error in found.items():
        mean, high = (8, 16) if "hip" in name else (5, 12)
        assert error.mean() < mean and np.percentile(error, 95) < high, (label, name)
        if name in SPINE or name.endswith("wrist"):
            assert error.mean() < 4, (label, name)


def test_regressor_rows_hold_in_the_rest_pose(body, rows):
    for key, error in posed_regressors.errors(rows, posed_regressors.average(body)).items():
        assert error.item() < 1, key
    for key, error in posed_regressors.errors(rows, posed_regressors.bodies(body, 50, 78, posed=False)).items():
        assert error.mean() < 7, key


def test_smpl_regressor_fails_on_posed_bodies(body):
    """Why the rows exist: SMPL's regressor is exact for the unposed body, and wrong at a bent elbow."""
    own = {
        "lsp14": np.stack([joint_combination("lsp14", n) for n in SETS["lsp14"][:13]]) @ body.joint_regressor.numpy()
    }
    own["lsp14"] = np.concatenate([own["lsp14"], body.regressors["lsp14"][13:].numpy()])
    others = {label: body.regressors[label].numpy() for label in SETS} | own
    bent = posed_regressors.errors(others, posed_regressors.bodies(body, 60, seed=79))
    assert bent["lsp14", "left_elbow"].mean() > 40
    still = posed_regressors.errors(others, posed_regressors.bodies(body, 20, seed=79, posed=False))
    assert still["lsp14", "left_elbow"].max() < 0.1


def test_rows_are_rounded_to_a_sum_of_one():
    row = posed_regressors.rounded(np.array([0.0, 1 / 3, 1 / 3, 0.5, 1e-6]))
    assert row.sum() == 1 and row[0] == row[4] == 0
    assert (row * posed_regressors.WEIGHT_STEPS % 1 == 0).all()
    np.testing.assert_array_equal(row.astype(np.float32).astype(np.float64), row)


def test_the_step_changes_keypoint_rows_only_and_gives_the_same_bytes(tmp_path, monkeypatch):
    for name, value in {"POSED": 12, "UNPOSED": 6, "NEAREST": 150, "CHECKED": 20}.items():
        monkeypatch.setattr(posed_regressors, name, value)
    source = find_body("open")
    before = _content(source)
    files = [tmp_path / "one.npz", tmp_path / "two.npz"]
    for path in files:
        path.write_bytes(source.read_bytes())
        report = posed_regressors.refit_file(path)
    assert files[0].read_bytes() == files[1].read_bytes() and sorted(tmp_path.iterdir()) == files
    after = _content(files[0])
    assert list(after) == list(before)
    changed = {name for name in after if not np.array_equal(after[name], before[name])}
    assert changed == {f"J_regressor_{label}" for label in SETS}
    for label, names in SETS.items():  # rows of surface points stay
        kept = [k for k, name in enumerate(names) if joint_combination(label, name) is None]
        np.testing.assert_array_equal(after[f"J_regressor_{label}"][kept], before[f"J_regressor_{label}"][kept])
    assert posed_regressors.arrays_hash(after) in report and "coco17 left_elbow" in report
    once = files[0].read_bytes()
    posed_regressors.refit_file(files[0])  # its input is not what it changes
    assert files[0].read_bytes() == once
    assert read_body(files[0]).name == "open_body"


def test_the_card_records_the_files_hash():
    path = find_body("open")
    recorded = re.findall(r"`([0-9a-f]{64})`", path.with_suffix(".md").read_text())
    assert recorded == [posed_regressors.arrays_hash(_content(path))]
