"""Joint regressors imported with a body: each is saved under its own name, damaged ones are refused."""

from __future__ import annotations

import numpy as np
import pytest

from backend.body.loader import import_body, load_body
from backend.errors import BadInput
from backend.models.adapter import evaluation_regressor


def regressor(folder, name, seed, shape=(17, 50), dtype=np.float64):
    rows = np.random.default_rng(seed).random(shape).astype(dtype)
    np.save(folder / name, rows)
    return folder / name, rows


def test_each_regressor_is_saved_under_its_own_name(file, tmp_path):
    h36m, h36m_rows = regressor(tmp_path, "J_regressor_h36m_correct.npy", 0)
    pw3d, pw3d_rows = regressor(tmp_path, "J_regressor_3dpw.npy", 1)
    import_body(file, "both", [h36m, pw3d])
    body = load_body("both")
    np.testing.assert_allclose(evaluation_regressor(body), h36m_rows, rtol=1e-6)
    np.testing.assert_allclose(evaluation_regressor(body, "h36m17_3dpw"), pw3d_rows, rtol=1e-6)

    import_body(file, "one", [h36m])
    with pytest.raises(BadInput, match="no regressor h36m17_3dpw") as caught:
        evaluation_regressor(load_body("one"), "h36m17_3dpw")
    assert "J_regressor_3dpw.npy" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "message"),
    [
        ("J_regressor.npy", (17, 50), float, "not the name of a known joint regressor"),
        ("J_regressor_3dpw.npy", (24, 50), float, r"expected finite floats of \(17, 50\)"),
        ("J_regressor_3dpw.npy", (17, 50), int, r"expected finite floats of \(17, 50\)"),
    ],
)
def test_other_files_are_refused(file, tmp_path, name, shape, dtype, message):
    path, _ = regressor(tmp_path, name, 0, shape, dtype)
    with pytest.raises(BadInput, match=message) as caught:
        import_body(file, "mine", [path])
    assert caught.value.code == "not_a_regressor"
