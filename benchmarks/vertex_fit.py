"""`python -m benchmarks.vertex_fit`: parameters from vertices, by ours and smplfitter (where installed), in one run.

Exact open bodies with random poses (normal, sd 0.35 rad per axis, at most 1.2 rad), betas and orientations.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# waiting threads must not use CPU time; read when torch is loaded
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from backend.body.files import read_body  # noqa: E402
from backend.body.loader import load_body  # noqa: E402
from backend.body.registry import OPEN_BODY  # noqa: E402
from backend.body.vertex_fit import fit_vertices  # noqa: E402
from backend.geometry.rotations import matrix_from_axis_angle  # noqa: E402

BATCHES = (1, 8, 64)
BODY = load_body("open")


def bodies(count: int) -> Tensor:
    """(count, V, 3) m, vertices of random bodies."""
    generator = torch.Generator().manual_seed(0)
    poses = 0.35 * torch.randn(count, 24, 3, generator=generator)
    size = poses.norm(dim=-1, keepdim=True)
    rotations = matrix_from_axis_angle(poses * (size.clamp(max=1.2) / size))
    root_rotations = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator))[0]
    rotations[:, 0] = root_rotations * torch.linalg.det(root_rotations)[:, None, None]
    betas = torch.randn(count, 10, generator=generator)
    return BODY(None, betas, torch.zeros(count, 3), rotations=rotations).vertices


def ours(vertices: Tensor) -> Tensor:
    """(N, V, 3) m: vertices of the fitted parameters."""
    fit = fit_vertices(BODY, vertices)
    return BODY(None, fit.betas, fit.trans, rotations=fit.rotations).vertices


def smplfitter() -> Callable[[Tensor], Tensor] | None:
    """The library's fit on the same body, written to a folder in its format; None where it is not installed."""
    try:
        from smplfitter.pt import BodyFitter, BodyModel
    except ImportError:
        return None
    arrays = read_body(OPEN_BODY)
    folder = Path(tempfile.mkdtemp()) / "smpl"
    folder.mkdir()
    content = {
        "v_template": arrays.v_template,
        "f": arrays.faces.astype(np.uint32),
        "shapedirs": arrays.shapedirs,
        "posedirs": arrays.posedirs,
        "J_regressor": arrays.joint_regressor,
        "weights": arrays.weights,
        "kintree_table": np.stack([arrays.parents, np.arange(24)]).astype(np.int64),
    }
    (folder / "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl").write_bytes(pickle.dumps(content))
    (folder / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(content))
    np.save(folder / "kid_template.npy", np.zeros_like(arrays.v_template))
    model = BodyModel("smpl", "neutral", model_root=str(folder))
    fitter = BodyFitter(model)

    def fit(vertices: Tensor) -> Tensor:
        fitted = fitter.fit(vertices, num_iter=3, beta_regularizer=1.0)
        posed = model(pose_rotvecs=fitted["pose_rotvecs"], shape_betas=fitted["shape_betas"], trans=fitted["trans"])
        return posed["vertices"]

    return fit


def main() -> None:
    methods: dict[str, Callable[[Tensor], Tensor]] = {"ours": ours}
    try:
        library = smplfitter()
    except Exception as error:  # another release may need another folder
        print(f"smplfitter could not be set up: {type(error).__name__}: {error}")
        library = None
    if library is not None:
        methods["smplfitter"] = library
    vertices = bodies(max(BATCHES))
    print(f"{'method':<12}{'batch':>6}{'bodies/s':>10}{'MPVPE mm':>10}{'worst mm':>10}")
    with torch.inference_mode():
        for batch in BATCHES:
            best = dict.fromkeys(methods, float("inf"))
            outputs: dict[str, Tensor] = {}
            for _ in range(4):
                for name, fit in methods.items():
                    start = time.process_time()
                    outputs[name] = fit(vertices[:batch])
                    best[name] = min(best[name], (time.process_time() - start) / torch.get_num_threads())
            for name, output in outputs.items():
                distance = (output - vertices[:batch]).norm(dim=-1).mean(-1) * 1000
                print(f"{name:<12}{batch:>6}{batch / best[name]:>10.1f}{distance.mean():>10.4f}{distance.max():>10.4f}")


if __name__ == "__main__":
    main()
