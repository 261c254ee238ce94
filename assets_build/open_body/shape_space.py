"""Template and shape blend shapes: mean and ten principal components of a population of adults."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assets_build.open_body import skeleton
from assets_build.open_body.source import Source
from assets_build.open_body.tpose import rest_pose

PEOPLE = 400
BETAS = 10
PELVIS = np.array([0.0, -0.2233, 0.0282])  # position in SMPL's template


@dataclass
class Population:
    """N people in the rest pose, m; the pelvis is at the origin."""

    vertices: np.ndarray  # (N, V, 3)
    joints: np.ndarray  # (N, 24, 3)
    eyes: np.ndarray  # (N, 2, 3) eye centres, left first


def sample_phenotypes(phenotypes: list[str], seed: int = 0) -> dict[str, np.ndarray]:
    """phenotype -> values (PEOPLE,), 0..1.

    The sd of height is small on purpose: with the others' 0.18 the tallest person would be 2.4 m.
    """
    rng = np.random.default_rng(seed)
    people = {name: np.clip(rng.normal(0.5, 0.18, PEOPLE), 0.02, 0.98) for name in phenotypes}
    people["height"] = np.clip(rng.normal(0.46, 0.06, PEOPLE), 0.2, 0.75)
    people["proportions"] = np.clip(rng.normal(0.5, 0.2, PEOPLE), 0, 1)
    sex = np.where(rng.random(PEOPLE) < 0.5, 0.12, 0.88)
    people["gender"] = np.clip(sex + rng.normal(0, 0.1, PEOPLE), 0, 1)
    people["age"] = rng.uniform(0.6, 0.95, PEOPLE)
    return people


def sample(source: Source, kept: np.ndarray, mirror: np.ndarray, seed: int = 0) -> Population:
    """PEOPLE random people.  kept: (V,) source vertices of the decimated skin; mirror: (V,) mirror permutation."""
    people = sample_phenotypes(source.phenotypes, seed)
    vertices, joints, eyes = [], [], []
    for start in range(0, PEOPLE, 50):
        batch = source.sample({name: values[start : start + 50] for name, values in people.items()})
        for body, heads in zip(*batch, strict=True):
            points, bones = rest_pose(source, body, heads)
            found = skeleton.joints(source, bones)
            origin = found[0] * [0, 1, 1]
            vertices.append(points[kept] - origin)
            joints.append(found - origin)
            eyes.append(bones[[source.bone("eye.L"), source.bone("eye.R")]] - origin)
    flip = np.array([-1.0, 1, 1])
    points, found, seen = np.array(vertices), np.array(joints), np.array(eyes)
    return Population(
        (points + points[:, mirror] * flip) / 2,
        (found + found[:, skeleton.MIRROR] * flip) / 2,
        (seen + seen[:, ::-1] * flip) / 2,
    )


def principal_components(people: Population) -> tuple[np.ndarray, np.ndarray, float]:
    """Template (V, 3), shapedirs (V, 3, BETAS) m per sd, residual (m, rms over vertices).

    Positive betas increase the height, beta 0 most.
    """
    mean, shapedirs, residual = components(people.vertices)
    top, sole = mean[:, 1].argmax(), mean[:, 1].argmin()
    shapedirs = shapedirs * np.where(shapedirs[top, 1] - shapedirs[sole, 1] < 0, -1.0, 1.0)
    return mean + PELVIS, shapedirs, residual


def components(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean (V, 3), directions (V, 3, BETAS) m per sd, residual (m, rms over vertices) of vertices (N, V, 3)."""
    mean = vertices.mean(0)
    centred = (vertices - mean).reshape(len(vertices), -1)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    rest = centred - centred @ directions[:BETAS].T @ directions[:BETAS]
    residual = float(np.sqrt((rest.reshape(len(rest), -1, 3) ** 2).sum(-1).mean()))
    scaled = directions[:BETAS] * (sizes[:BETAS] / np.sqrt(len(centred) - 1))[:, None]
    return mean, scaled.reshape(BETAS, -1, 3).transpose(1, 2, 0), residual
