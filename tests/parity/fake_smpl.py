"""Synthetic SMPL-format body model for parity tests. Written from scratch; contains no SMPL data.

Only two facts are taken from the SMPL format: tensor shapes and the 24-joint parent list.
Everything else comes from numpy.random.RandomState streams with fixed seeds:

    stream            seed   draws, in order
    rest skeleton     -      hand-written metres (y up, pelvis near the origin, about 1.7 m tall)
    vertices          101    uniform(6890) position along the bone; standard_normal(6890, 3) * 0.04 m offset
    shapedirs         102    standard_normal(6890, 3, 10) * 0.01
    posedirs          103    standard_normal(6890, 3, 207) * 0.002
    skinning weights  104    uniform(6890) w in [0.5, 1): w to the owning joint, 1 - w to its parent (root keeps all)
    J_regressor       105    uniform(24, 6890) kept on the vertices owned by the row's joint, rows divided by their sum
    J_regressor_h36m  106    uniform(17, 6890) kept on the vertices owned by H36M_TO_SMPL[row], rows / sum
    J_regressor_3dpw  107    same as 106
    mean parameters   108    pose: 6D identity (1,0,0,1,0,0) per joint (root: 180 degrees about x: (1,0,0,-1,0,0))
                             + 0.1 * standard_normal(144); shape: 0.1 * standard_normal(10); cam: (0.9, 0, 0)

Vertex v is owned by joint v % 24 and lies on the bone from that joint's parent to it (root: at the joint).
All arithmetic is float64; arrays are cast to float32 at the end.

    build()          -> dict of arrays (SMPL file tensors, regressors, mean parameters)
    buffers(prefix)  -> {state_dict name: array} for the body-model entries of a SMPLer checkpoint
    state_dict(entries, seed) -> the complete checkpoint of the golden files: buffers() for body-model entries,
                                 fill.fill_state_dict(.., seed) for the rest, then the CONDITION multipliers
    write(folder)    -> the files upstream opens, under folder/meta_data
"""

from __future__ import annotations

import hashlib
import pickle
import re
import sys
from pathlib import Path

import numpy as np

V, J = 6890, 24
PARENTS = np.array([-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21])
SKELETON = np.array(
    [
        [0.00, 0.00, 0.00], [0.09, -0.09, 0.00], [-0.09, -0.09, 0.00], [0.00, 0.12, -0.02], [0.10, -0.48, 0.00],
        [-0.10, -0.48, 0.00], [0.00, 0.25, 0.00], [0.09, -0.88, -0.04], [-0.09, -0.88, -0.04], [0.00, 0.31, 0.02],
        [0.11, -0.94, 0.09], [-0.11, -0.94, 0.09], [0.00, 0.52, -0.02], [0.08, 0.42, -0.01], [-0.08, 0.42, -0.01],
        [0.00, 0.60, 0.03], [0.19, 0.45, -0.02], [-0.19, 0.45, -0.02], [0.45, 0.44, -0.04], [-0.45, 0.44, -0.04],
        [0.70, 0.45, -0.04], [-0.70, 0.45, -0.04], [0.79, 0.44, -0.05], [-0.79, 0.44, -0.05],
    ]
)  # fmt: skip
H36M_TO_SMPL = [0, 2, 5, 8, 1, 4, 7, 6, 12, 15, 15, 16, 18, 20, 17, 19, 21]
# Vertex indices that smplx 0.1.28 appends as 21 extra joints (face, feet, finger tips); constants of that package.
EXTRA_JOINT_VERTICES = [332, 6260, 2800, 4071, 583, 3216, 3226, 3387, 6617, 6624, 6787,
                        2746, 2319, 2445, 2556, 2673, 6191, 5782, 5905, 6016, 6133]  # fmt: skip
OWNER = np.arange(V) % J


def _regressor(seed: int, owners) -> np.ndarray:
    w = np.random.RandomState(seed).uniform(size=(len(owners), V))
    w = w * (OWNER[None, :] == np.asarray(owners)[:, None])
    return (w / w.sum(1, keepdims=True)).astype(np.float32)


def build() -> dict[str, np.ndarray]:
    rng = np.random.RandomState(101)
    along = rng.uniform(size=V)
    offset = rng.standard_normal((V, 3)) * 0.04
    start = SKELETON[np.where(PARENTS[OWNER] < 0, OWNER, PARENTS[OWNER])]
    v_template = start + along[:, None] * (SKELETON[OWNER] - start) + offset

    own = np.random.RandomState(104).uniform(0.5, 1.0, size=V)
    weights = np.zeros((V, J))
    weights[np.arange(V), OWNER] = own
    parent = PARENTS[OWNER]
    weights[np.arange(V), np.where(parent < 0, OWNER, parent)] += 1.0 - own

    i = np.arange(13776)
    faces = np.stack([i, i + 1 + i // V, i + 2 + i // V], 1) % V

    rng = np.random.RandomState(108)
    pose = np.tile(np.array([1.0, 0, 0, 1, 0, 0]), J)
    pose[3] = -1.0
    pose = pose + 0.1 * rng.standard_normal(144)
    shape = 0.1 * rng.standard_normal(10)

    f32 = np.float32
    return {
        "v_template": v_template.astype(f32),
        "shapedirs": (np.random.RandomState(102).standard_normal((V, 3, 10)) * 0.01).astype(f32),
        "posedirs": (np.random.RandomState(103).standard_normal((V, 3, 207)) * 0.002).astype(f32),
        "weights": weights.astype(f32),
        "J_regressor": _regressor(105, range(J)),
        "kintree_table": np.stack([PARENTS, np.arange(J)]).astype(np.int64),
        "f": faces.astype(np.int64),
        "J_regressor_h36m": _regressor(106, H36M_TO_SMPL),
        "J_regressor_3dpw": _regressor(107, H36M_TO_SMPL),
        "mean_pose": pose.astype(f32),
        "mean_shape": shape.astype(f32),
        "mean_cam": np.array([0.9, 0.0, 0.0], f32),
    }


def buffers(prefix: str = "", regressor: str = "J_regressor_h36m") -> dict[str, np.ndarray]:
    """State-dict entries of a checkpoint that are constants, not weights."""
    m = build()
    smpl = f"{prefix}smpl_handler.smpl."
    return {
        f"{prefix}SMPL_predictor.init_pose": m["mean_pose"][None],
        f"{prefix}SMPL_predictor.init_shape": m["mean_shape"][None],
        f"{prefix}SMPL_predictor.init_cam": np.array([[1.0, 0.0, 0.0]], np.float32),
        f"{prefix}smpl_handler.J_regressor_h36m_correct": m[regressor],
        f"{smpl}shapedirs": m["shapedirs"],
        f"{smpl}faces_tensor": m["f"],
        f"{smpl}v_template": m["v_template"],
        f"{smpl}J_regressor": m["J_regressor"],
        f"{smpl}posedirs": m["posedirs"].reshape(-1, 207).T.copy(),
        f"{smpl}parents": PARENTS.astype(np.int64),
        f"{smpl}lbs_weights": m["weights"],
        f"{smpl}vertex_joint_selector.extra_joints_idxs": np.array(EXTRA_JOINT_VERTICES, np.int64),
    }


# With fill_state_dict's values alone, features grow to ~1000, all joints project far outside the image, and position
# tables are near zero, so attention would not be tested. The first matching rule is used; float32 product. Afterwards
# (1,0,0,1,0,0) is added to every theta_predictor.bias, so that rotation updates are near the identity, and
# (0.12, 0.05, 0.05) to SMPL_predictor.deccam.bias, so that some joints project outside the image.
CONDITION = [
    (r"^backbone\.stage\d\.\d\.branches\..*\.bn2\.weight$", 0.5),
    (r"^backbone\.stage\d\.\d\.fuse_layers\.(\d)\.\d\.1\.weight$", 0.5),  # j > i paths: conv, BN, upsample
    (r"^backbone\.stage\d\.\d\.fuse_layers\.\d\.\d\.\d\.1\.weight$", 0.5),  # j < i paths: strided conv, BN
    (r"SMPL_predictor\.decpose\.(weight|bias)$", 0.1),
    (r"SMPL_predictor\.decshape\.(weight|bias)$", 0.5),
    (r"SMPL_predictor\.deccam\.(weight|bias)$", 0.1),
    (r"^global_feat_projection\.weight$", 0.3),
    (r"\.theta_predictor\.weight$", 0.1),
    (r"\.beta_predictor\.weight$", 0.1),
    (r"\.cam_predictor\.(weight|bias)$", 0.05),
    (r"\.feat_position_embedding$", 200.0),
    (r"\.relative_position_encoding_table\.0$", 10.0),
    (r"\.position_embeddings\.weight$", 5.0),
]


def state_dict(entries, seed: int = 0, regressor: str = "J_regressor_h36m", condition: bool = True) -> dict:
    from fill import fill_state_dict

    fixed = buffers(regressor=regressor)
    out = fill_state_dict([e for e in entries if e[0] not in fixed], seed)
    for name in out if condition else ():
        for pattern, factor in CONDITION:
            if re.search(pattern, name):
                out[name] = (out[name] * np.float32(factor)).astype(np.float32)
                break
        if condition and name.endswith(".theta_predictor.bias"):
            out[name] = out[name] + np.array([1, 0, 0, 1, 0, 0], np.float32)
        if condition and name.endswith("SMPL_predictor.deccam.bias"):
            out[name] = out[name] + np.array([0.12, 0.05, 0.05], np.float32)
    out.update({n: v for n, v in fixed.items() if n in {e[0] for e in entries}})
    return out


def checksums() -> dict[str, str]:
    return {k: hashlib.sha256(np.ascontiguousarray(v).tobytes()).hexdigest()[:16] for k, v in build().items()}


def write(folder: str | Path) -> None:
    m = build()
    meta = Path(folder) / "meta_data"
    meta.mkdir(parents=True, exist_ok=True)
    keys = ("v_template", "shapedirs", "posedirs", "weights", "J_regressor", "kintree_table", "f")
    with (meta / "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl").open("wb") as out:
        pickle.dump({k: m[k] for k in keys}, out, protocol=2)
    np.save(meta / "J_regressor_h36m_correct.npy", m["J_regressor_h36m"])
    np.save(meta / "J_regressor_3dpw.npy", m["J_regressor_3dpw"])
    np.savez(meta / "smpl_mean_params.npz", pose=m["mean_pose"], shape=m["mean_shape"], cam=m["mean_cam"])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write(sys.argv[1])
    for name, digest in checksums().items():
        print(name, digest)
