"""Fits the finished body's keypoint regressors to the skeleton's joints in bent poses.

    python -m assets_build.open_body regressors [BODY.npz]      # needs the file alone; about a minute

SMPL's `J_regressor` is made for the unposed body; on a posed mesh it is 70 mm off at a bent elbow.  A network's mesh
has no rest pose, so evaluation needs other regressors.  Each row is the non-negative least-squares solution with sum 1
over bodies in poses of the synthetic data's sampler and over unposed ones.  Rows of surface points (face, heels, toes,
fingers) are not changed.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls

from assets_build.open_body import VERSION
from assets_build.open_body.regressors import SETS, joint_combination
from backend.atomic import atomic_path
from backend.body.files import read_body
from backend.body.joint_sets import SMPL24, mirror_indices
from backend.body.model import BodyModel
from training.synthetic.poses import PoseSampler

POSED, UNPOSED = 500, 100  # bodies of random betas
MEAN_BODY_WEIGHT = 2.0  # weight of the template, relative to the mean of the posed bodies
NEAREST = 2500  # vertices that a row may use
RIDGE = 1e-5  # m^2: spreads a row over more vertices
WEIGHT_STEPS = 2**20  # weights are multiples of 1 / WEIGHT_STEPS, to hide the rounding of sums
SEED, HELD_OUT = 0, 1
CHECKED = 1000  # held-out bodies for the reported errors


@dataclass
class Bodies:
    """N posed bodies.  vertices (N, V, 3), joints (N, 24, 3): m, float32."""

    vertices: np.ndarray
    joints: np.ndarray


def bodies(body: BodyModel, count: int, seed: int, posed: bool = True) -> Bodies:
    """`count` bodies of random betas, in poses of the sampler or unposed."""
    poses = PoseSampler(body).sample(np.random.default_rng(seed), count)
    rotations = torch.from_numpy(np.ascontiguousarray(poses.rotations.transpose(3, 0, 1, 2)))
    if not posed:
        rotations = torch.eye(3).expand_as(rotations)
    parts = []
    with torch.inference_mode():
        for start in range(0, count, 50):
            rows = slice(start, start + 50)
            parts.append(body(None, torch.from_numpy(poses.betas[rows]), rotations=rotations[rows]))
    return Bodies(
        np.concatenate([p.vertices.numpy() for p in parts]), np.concatenate([p.joints.numpy() for p in parts])
    )


def average(body: BodyModel) -> Bodies:
    """The unposed body of mean shape."""
    return Bodies(body.v_template.numpy()[None], body.joints_template.numpy()[None])


class RegressorRowFit:
    """Fits rows to points that are weighted means of joints."""

    def __init__(self, body: BodyModel, seed: int = SEED) -> None:
        self.template, self.joints = body.v_template.double().numpy(), body.joints_template.double().numpy()
        self.mirror = np.asarray(body.mirror)
        self.samples = (
            (bodies(body, POSED, seed), 1.0),
            (bodies(body, UNPOSED, seed, posed=False), 1.0),
            (average(body), MEAN_BODY_WEIGHT),
        )

    def row(self, joint_weights: np.ndarray) -> np.ndarray:
        """joint_weights (24,): the point's weights over the joints -> (V,) non-negative, sum 1."""
        distance = np.linalg.norm(self.template - joint_weights @ self.joints, axis=1)
        near = np.argsort(distance, kind="stable")[:NEAREST]
        # sum |row @ (vertices - point)|^2 / N as a quadratic form of the row
        quadratic_form = RIDGE * np.eye(len(near))
        for sample, weight in self.samples:
            points = np.einsum("j,njc->nc", joint_weights, sample.joints.astype(np.float64))
            offsets = sample.vertices[:, near] - points[:, None]
            flat = offsets.transpose(0, 2, 1).reshape(-1, len(near))
            quadratic_form += weight / len(offsets) * (flat.T @ flat)
        matrix = np.concatenate([np.linalg.cholesky(quadratic_form).T, np.full((1, len(near)), 10.0)])
        solved = nnls(matrix, np.append(np.zeros(len(near)), 10.0), maxiter=20 * len(near))[0]
        row = np.zeros(len(self.template))
        row[near] = solved
        return rounded(row)

    def mirrored(self, row: np.ndarray) -> np.ndarray:
        """The row of the mirrored point."""
        return row[self.mirror]


def rounded(row: np.ndarray) -> np.ndarray:
    """(V,) the row without its smallest weights, in multiples of 1 / WEIGHT_STEPS that sum to 1; exact in float32."""
    row = np.where(row < 1e-4 * row.sum(), 0, row)
    steps = np.round(row / row.sum() * WEIGHT_STEPS)
    steps[steps.argmax()] += WEIGHT_STEPS - steps.sum()
    return steps / WEIGHT_STEPS


def refit_regressors(body: BodyModel, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Regressors by set, with the rows of skeleton joints fitted again."""
    fit = RegressorRowFit(body)
    fitted_rows: dict[bytes, np.ndarray] = {}
    mirror_joints = mirror_indices(SMPL24)

    def row(joint_weights: np.ndarray) -> np.ndarray:
        if joint_weights.tobytes() not in fitted_rows:
            other = joint_weights[mirror_joints]
            solved = fit.row(joint_weights)
            if (other == joint_weights).all():  # on the mirror plane: made symmetric
                solved = rounded((solved + fit.mirrored(solved)) / 2)
                solved = (solved + fit.mirrored(solved)) / 2  # also the rounding's remainder
            fitted_rows[joint_weights.tobytes()], fitted_rows[other.tobytes()] = solved, fit.mirrored(solved)
        return fitted_rows[joint_weights.tobytes()]

    out = {}
    for label, names in SETS.items():
        table = rows[label].astype(np.float64)
        for k, name in enumerate(names):
            joint_weights = joint_combination(label, name)
            if joint_weights is not None:
                table[k] = row(joint_weights)
        out[label] = table.astype(np.float32)
    return out


def errors(rows: dict[str, np.ndarray], sample: Bodies) -> dict[tuple[str, str], np.ndarray]:
    """(set, joint) -> (N,) mm, distance from the skeleton's joint, of the rows that are joints."""
    out = {}
    for label, names in SETS.items():
        for name, row in zip(names, rows[label], strict=True):
            joint_weights = joint_combination(label, name)
            if joint_weights is not None:
                used = np.flatnonzero(row)
                solved = np.einsum("v,nvc->nc", row[used].astype(np.float64), sample.vertices[:, used])
                out[label, name] = 1e3 * np.linalg.norm(
                    solved - np.einsum("j,njc->nc", joint_weights, sample.joints), axis=1
                )
    return out


def table(body: BodyModel, before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> str:
    """Errors of both on held-out bodies, as Markdown."""
    samples = (
        bodies(body, CHECKED, HELD_OUT),
        bodies(body, CHECKED // 5, HELD_OUT, posed=False),
        average(body),
    )
    old, new = ([errors(rows, sample) for sample in samples] for rows in (before, after))
    lines = ["| joint | posed: mean, 95 %, mm | before | unposed: mean, 95 % | mean body | vertices |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    seen: set[bytes] = set()
    for (label, name), posed in new[0].items():
        joint_weights = joint_combination(label, name)
        if name.startswith("right_") or joint_weights is None or joint_weights.tobytes() in seen:
            continue
        seen.add(joint_weights.tobytes())
        was = old[0][label, name]
        count = np.count_nonzero(after[label][SETS[label].index(name)])
        rest, mean = new[1][label, name], new[2][label, name].item()
        lines.append(
            f"| {label} {name} | {posed.mean():.1f}, {np.percentile(posed, 95):.1f} | {was.mean():.1f}, "
            f"{np.percentile(was, 95):.1f} | {rest.mean():.1f}, {np.percentile(rest, 95):.1f} | {mean:.1f} | {count} |"
        )
    return "\n".join(lines)


def arrays_hash(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of the bytes of all arrays, sorted by name, as in the body's card."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(arrays[k]).tobytes() for k in sorted(arrays))).hexdigest()


def refit_file(path: Path) -> str:
    """Fit the rows in the body's file again and set its version, nothing else; returns the errors as Markdown."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    body = BodyModel(read_body(path))
    before = {label: arrays[f"J_regressor_{label}"] for label in SETS}
    after = refit_regressors(body, before)
    arrays |= {f"J_regressor_{label}": rows for label, rows in after.items()}
    arrays["version"] = np.array(VERSION)
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)
    return f"{table(body, before, after)}\n\narrays sha256 {arrays_hash(arrays)}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(refit_file(Path(sys.argv[1])))
