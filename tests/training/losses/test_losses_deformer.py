"""DeFormer's loss against plain formulas and numerical gradients, since no original is published."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.losses.deformer import DeFormerLoss, DeFormerWeights
from training.losses.mesh_targets import MeshTargets
from training.losses.surface import Surface
from training.run.spec import load_run, run_names

SIZES = (20, 12, 8)
FACES = {n: np.stack([np.arange(n), (np.arange(n) + 1) % n, (np.arange(n) + 3) % n], 1) for n in SIZES}


def sample(rng, size=SIZES[1]):
    """An estimate, its output of `DeFormer.measure`, and targets, float64, of 2 samples."""

    def t(*shape):
        return torch.as_tensor(rng.normal(size=shape))

    pred = {"joints": t(2, 14, 3), "mesh_joints": t(2, 14, 3), "vertices": t(2, SIZES[0], 3)}
    pred |= {**{f"vertices_{n}": t(2, n, 3) for n in SIZES[1:]}, "camera": t(2, 3)}
    visible = (t(2, 14, 1) > 0).double()
    targets = MeshTargets(
        joints3d=torch.cat([t(2, 14, 3), t(2, 14, 1).abs()], 2),
        joints2d=torch.cat([t(2, 14, 2), visible], 2),
        meshes={n: t(2, n, 3) for n in SIZES},
        rotations=t(2, 24, 3, 3),
        betas=t(2, 10),
        has_3d=torch.tensor([True, False]),
        has_2d=torch.tensor([True, True]),
        has_mesh=torch.tensor([False, True]),
    )
    return t(2, 14 + SIZES[2], 3), pred, targets


def test_loss_equals_plain_formulas():
    x, pred, targets = sample(np.random.default_rng(0))
    weights = DeFormerWeights({8: 0.25, 12: 0.5, 20: 0.25}, laplacian=100)
    out = DeFormerLoss(Surface(FACES[12]), 12, weights).double()([x, x], [pred, pred], targets)
    f = {name: value.numpy() for name, value in pred.items()}
    gt3d, gt2d = targets.joints3d.numpy(), targets.joints2d.numpy()
    mesh, gt = f["vertices_12"][1], targets.meshes[12].numpy()[1]

    def hips(j):
        return j - (j[2] + j[3]) / 2

    kp3d = [(gt3d[0, :, 3:] * abs(hips(f[n][0]) - hips(gt3d[0, :, :3]))).mean() for n in ("joints", "mesh_joints")]
    camera = f["camera"][:, None]
    projected = [x.numpy()[:, :14, :2], camera[..., :1] * (f["mesh_joints"][..., :2] + camera[..., 1:])]
    kp2d = [(gt2d[..., 2:] * abs(p - gt2d[..., :2])).mean() for p in projected]
    shares = {"vertices_8": 0.25, "vertices_12": 0.5, "vertices": 0.25}
    edges = np.array(sorted({tuple(sorted(e)) for a, b, c in FACES[12] for e in ((a, b), (a, c), (b, c))}))

    def mesh_error(name):
        return abs(f[name][1] - targets.meshes[f[name].shape[1]].numpy()[1]).mean()

    def lengths(v):
        return np.linalg.norm(v[edges[:, 0]] - v[edges[:, 1]], axis=1)

    def unit(v):
        return v / np.linalg.norm(v, axis=-1, keepdims=True)

    a, b, c = FACES[12].T
    normal = unit(np.cross(gt[b] - gt[a], gt[c] - gt[a]))
    cosines = [abs((unit(mesh[e] - mesh[s]) * normal).sum(1)) for s, e in ((a, b), (a, c), (b, c))]

    def laplacian_coordinates(v):
        near = [edges[(edges == k).any(1)] for k in range(12)]
        return np.array([v[k] - v[near[k][near[k] != k]].mean(0) for k in range(12)])

    expected = {
        "joints3d": 1000 * sum(kp3d),
        "joints2d": 100 * sum(kp2d),
        "vertices": 100 * sum(s * mesh_error(n) for n, s in shares.items()),
        "edge": 500 * abs(lengths(mesh) - lengths(gt)).mean(),
        "edge_self": 0.01 * lengths(mesh).mean(),
        "normal": 10 * np.mean(cosines),
        "laplacian": 100 * abs(laplacian_coordinates(mesh) - laplacian_coordinates(gt)).mean(),
    }
    assert set(expected) == set(out) - {"loss"}
    for name, value in expected.items():  # two equal estimates
        np.testing.assert_allclose(out[name], 2 * value, rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(out["loss"], 2 * sum(expected.values()), rtol=1e-6)


@pytest.mark.parametrize("laplacian", [0.0, 100.0])
def test_gradients_equal_numerical_ones(laplacian):
    x, pred, targets = sample(np.random.default_rng(1))
    names = list(pred)
    # with weights of thousands finite differences would lose digits
    weights = DeFormerWeights({12: 0.5, 20: 0.5}, 1, 1, 1, 1, 1, 1, laplacian and 1)
    loss = DeFormerLoss(Surface(FACES[12]), 12, weights).double()

    def of(x, *values):
        return loss([x], [dict(zip(names, values, strict=True))], targets)["loss"]

    inputs = [v.clone().requires_grad_() for v in (x, *pred.values())]
    assert torch.autograd.gradcheck(of, inputs, eps=1e-6, atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("name", [name for name in run_names() if name.startswith("deformer")])
def test_weights_of_the_runs(name):
    weights = DeFormerWeights(**load_run(name).settings["weights"])
    meshes, laplacian = {431: 0.25, 1723: 0.5, 6890: 0.25}, 0
    if name.endswith("dense"):
        meshes, laplacian = {6890: 1}, 100  # nothing else smooths 6890 free vertices
    assert (weights.meshes, weights.laplacian) == (meshes, laplacian)
