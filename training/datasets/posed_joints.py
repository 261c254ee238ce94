"""Joints of a posed body in numpy, fast: only the vertices that a regressor looks at are skinned.

Readers need it for what the benchmarks derive from the mesh: where the root rests (world to camera), how well a fit
meets the annotated joints, 2D of sets that have no pictures.  Equal to `BodyModel` and its regressors up to rounding.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from backend.body.loader import read_body
from backend.body.model import BodyArrays
from backend.body.registry import find_body
from backend.errors import BadInput
from training.datasets.joint_sets import JOINT_SETS, MANO_TIPS

_BODY_SOURCES = ("h36m17", "coco17", "lsp14", "smpl24")
# What a name means in the sets that are made of others: Human3.6M's `nose` is low, where METRO has its jaw
_MEANS = {
    "nose": ("coco17", "nose"), "jaw": ("h36m17", "nose"), "spine": ("h36m17", "torso"), "thorax": ("h36m17", "neck"),
    "right_toe": ("smpl24", "right_foot"), "left_toe": ("smpl24", "left_foot"),
    **{f"{s}_{t}": ("smpl24", f"{s}_foot") for s in ("left", "right") for t in ("big_toe", "small_toe")},
    **{f"{s}_heel": ("smpl24", f"{s}_ankle") for s in ("left", "right")},
}  # fmt: skip


class _Part:
    """The rows of one regressor and the vertices they look at."""

    def __init__(self, body: BodyArrays, rows: np.ndarray) -> None:
        used = np.flatnonzero(np.abs(rows).max(0) > 0)
        self.rows = rows[:, used]
        self.template, self.weights = body.v_template[used], body.weights[used]
        self.shapedirs = body.shapedirs[used].reshape(len(used) * 3, -1)
        self.posedirs = body.posedirs[used].reshape(len(used) * 3, -1)

    def joints(
        self, rotations: np.ndarray, turns: np.ndarray, shifts: np.ndarray, betas: np.ndarray
    ) -> np.ndarray:
        """rotations, turns (J, 3, 3), shifts (J, 3) -> (K, 3) m."""
        feature = (rotations[1:] - np.eye(3)).ravel()
        offsets = self.shapedirs @ betas + self.posedirs @ feature
        vertices = self.template + offsets.reshape(-1, 3)
        blended = np.einsum("vj,jab->vab", self.weights, turns)
        return self.rows @ (np.einsum("vab,vb->va", blended, vertices) + self.weights @ shifts)


class PosedJoints:
    """Joints of one body by joint set.  Cheap to pickle only through `posed_joints`."""

    def __init__(self, body: BodyArrays) -> None:
        self.body, self.name = body, body.name
        self.is_hand = len(body.parents) == 16
        self._parts: dict[str, _Part] = {}
        self._rest = body.joint_regressor @ body.v_template
        self._rest_shape = np.einsum("jv,vkb->jkb", body.joint_regressor, body.shapedirs)

    def rest_root(self, betas: np.ndarray) -> np.ndarray:
        """(B,) -> (3,) m: the root joint of the unposed body."""
        return self._rest[0] + self._rest_shape[0] @ self._betas(betas)

    def joints(
        self, joint_set: str, pose: np.ndarray, betas: np.ndarray, trans: np.ndarray | None = None
    ) -> np.ndarray:
        """pose (3 J,), betas (<= B,), trans (3,) -> (K, 3) float64 m, in the frame that the root's pose leads to."""
        betas = self._betas(betas)
        vectors = np.array(pose, np.float64).reshape(-1, 3)
        if len(vectors) != len(self.body.parents):
            raise BadInput(
                "wrong_body",
                f"A pose of {len(vectors)} joints cannot be given to {self.name!r} of {len(self.body.parents)}.",
                "Name the right body in the run's file: SMPL's for bodies, MANO's for hands.",
            )
        if self.is_hand and self.body.hand_mean is not None:
            vectors[1:] += self.body.hand_mean.reshape(-1, 3)
        rotations = Rotation.from_rotvec(vectors).as_matrix()
        rest = self._rest + self._rest_shape @ betas
        turns, places = rotations.copy(), rest.copy()
        for j in range(1, len(rest)):
            p = self.body.parents[j]
            places[j] = places[p] + turns[p] @ (rest[j] - rest[p])
            turns[j] = turns[p] @ rotations[j]
        shifts = places - np.einsum("jab,jb->ja", turns, rest)
        found = self._of_set(joint_set, places, (rotations, turns, shifts, betas))
        return found if trans is None else found + np.asarray(trans, np.float64)

    def _betas(self, betas: np.ndarray) -> np.ndarray:
        known = self.body.shapedirs.shape[2]
        given = np.asarray(betas, np.float64)[:known]
        return np.pad(given, (0, known - len(given)))

    def _of_set(self, joint_set: str, places: np.ndarray, state: tuple[np.ndarray, ...]) -> np.ndarray:
        if joint_set == "smpl24":
            return places
        if joint_set == "hand21":
            return self._regressed("freihand21", state)
        if joint_set in self.body.regressors:
            return self._regressed(joint_set, state)
        if joint_set == "coco19":
            coco = self._regressed("coco17", state)
            return np.concatenate(
                [coco, coco[[11, 12]].mean(0, keepdims=True), coco[[5, 6]].mean(0, keepdims=True)]
            )
        made: dict[str, np.ndarray] = {}
        joints = []
        for name in JOINT_SETS[joint_set].names:
            source, index = self._source(name.removeprefix("op_"))
            if source not in made:
                made[source] = self._of_set(source, places, state)
            joints.append(made[source][index])
        return np.stack(joints)

    def _source(self, name: str) -> tuple[str, int]:
        if name in _MEANS:
            source, name = _MEANS[name]
            return source, JOINT_SETS[source].names.index(name)
        source = next((s for s in _BODY_SOURCES if name in JOINT_SETS[s].names), "")
        if not source:
            raise BadInput("no_regressor", f"The body {self.name!r} has no joint {name!r}.")
        return source, JOINT_SETS[source].names.index(name)

    def _regressed(self, name: str, state: tuple[np.ndarray, ...]) -> np.ndarray:
        if name not in self._parts:
            self._parts[name] = _Part(self.body, self._rows(name))
        return self._parts[name].joints(*state)

    def _rows(self, name: str) -> np.ndarray:
        if name in self.body.regressors:
            return self.body.regressors[name]
        if name == "freihand21":  # of an official MANO file: 16 joints of its regressor, 5 vertices
            tips = np.eye(len(self.body.v_template))[list(MANO_TIPS)]
            stacked = np.concatenate([self.body.joint_regressor, tips])
            return stacked[[0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]]
        raise BadInput(
            "no_regressor",
            f"The body {self.name!r} has no regressor of {name} joints.",
            "Import it with J_regressor_h36m_correct.npy and J_regressor_coco.npy (recover-mesh bodies import).",
        )


@lru_cache(maxsize=4)
def posed_joints(body: str | Path) -> PosedJoints:
    """The body of a name or file, read once per process."""
    return PosedJoints(read_body(find_body(body)))
