"""Joints of a posed body in numpy, fast: only the vertices with weight in a regressor are skinned.

Data sets need them for what benchmarks derive from the mesh: the rest position of the root (world to camera), the error
of a fit, 2D joints of sets without images.  Equal to `BodyModel` and its regressors up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from backend.body.arrays import BodyArrays
from backend.body.files import read_body
from backend.body.joint_sets import COCO17, left_right
from backend.body.registry import find_body
from backend.errors import BadInput
from training.datasets.joint_sets import JOINT_SETS, MANO21_TO_HAND21, MANO_TIPS

_BODY_SOURCES = ("h36m17", "coco17", "lsp14", "smpl24")
# joint -> (source set, its name there), for sets that are composed of others.  Human3.6M's low `nose` is METRO's jaw
_JOINT_ALIASES = {
    "nose": ("coco17", "nose"), "jaw": ("h36m17", "nose"), "spine": ("h36m17", "torso"), "thorax": ("h36m17", "neck"),
    "right_toe": ("smpl24", "right_foot"), "left_toe": ("smpl24", "left_foot"),
    **{f"{s}_{t}": ("smpl24", f"{s}_foot") for s in ("left", "right") for t in ("big_toe", "small_toe")},
    **{f"{s}_heel": ("smpl24", f"{s}_ankle") for s in ("left", "right")},
}  # fmt: skip


@dataclass
class _PosedState:
    """A posed body: global_rotations (J, 9), translations (J, 3) m, pose_feature (9 (J - 1),); joints by set."""

    key: tuple[bytes, bytes]
    global_rotations: np.ndarray
    translations: np.ndarray
    betas: np.ndarray
    pose_feature: np.ndarray
    joints: dict[str, np.ndarray]


class _SparseRegressor:
    """The rows of one regressor and the vertices with weight in them."""

    def __init__(self, body: BodyArrays, rows: np.ndarray) -> None:
        used = np.flatnonzero(np.abs(rows).max(0) > 0)
        self.rows = rows[:, used]
        self.template, self.weights = body.v_template[used], body.weights[used]
        self.shapedirs = body.shapedirs[used].reshape(len(used) * 3, -1)
        # float32: most of the time goes into reading this array; error about 1e-8 m
        self.posedirs = body.posedirs[used].reshape(len(used) * 3, -1).astype(np.float32)

    def joints(self, state: _PosedState) -> np.ndarray:
        """Joints (K, 3) m."""
        offsets = self.shapedirs @ state.betas + self.posedirs @ state.pose_feature.astype(np.float32)
        vertices = self.template + offsets.reshape(-1, 3)
        blended = (self.weights @ state.global_rotations).reshape(-1, 3, 3)
        return self.rows @ ((blended @ vertices[..., None])[..., 0] + self.weights @ state.translations)


class PosedJoints:
    """Joints of one body by joint set.  To pickle, pass the body's name and use `posed_joints`."""

    def __init__(self, body: BodyArrays) -> None:
        self.body, self.name = body, body.name
        self._regressors: dict[str, _SparseRegressor] = {}
        self._last_state: _PosedState | None = None
        self._rest = body.joint_regressor @ body.v_template
        self._rest_shapedirs = np.einsum("jv,vkb->jkb", body.joint_regressor, body.shapedirs)

    def rest_root(self, betas: np.ndarray) -> np.ndarray:
        """The root joint (3,) m in the rest pose, for betas (B,)."""
        return self._rest[0] + self._rest_shapedirs[0] @ self._betas(betas)

    def joints(
        self, joint_set: str, pose: np.ndarray, betas: np.ndarray, trans: np.ndarray | None = None
    ) -> np.ndarray:
        """Joints (K, 3) float64 m, for pose (3 J,) rad, betas (<= B,), trans (3,) m, in the root rotation's frame.

        Raises BadInput `wrong_body`, `no_regressor`.
        """
        state = self._state(np.asarray(pose, np.float64), self._betas(betas))
        positions = self._joints_of_set(joint_set, state)
        return positions.copy() if trans is None else positions + np.asarray(trans, np.float64)

    def _state(self, pose: np.ndarray, betas: np.ndarray) -> _PosedState:
        """The posed body; the last one is cached, since data set and preparer request the same one in turn."""
        key = (pose.tobytes(), betas.tobytes())
        state = self._last_state
        if state is None or state.key != key:
            self._last_state = state = self._posed(key, pose, betas)
        return state

    def _posed(self, key: tuple[bytes, bytes], pose: np.ndarray, betas: np.ndarray) -> _PosedState:
        vectors = pose.reshape(-1, 3).copy()
        if len(vectors) != len(self.body.parents):
            raise BadInput(
                "wrong_body",
                f"A pose of {len(vectors)} joints cannot be given to {self.name!r} of {len(self.body.parents)}.",
                "Name the right body in the run's file: SMPL's for bodies, MANO's for hands.",
            )
        if self.body.part == "hand" and self.body.hand_mean is not None:
            vectors[1:] += self.body.hand_mean.reshape(-1, 3)
        rotations = Rotation.from_rotvec(vectors).as_matrix()
        rest = self._rest + self._rest_shapedirs @ betas
        global_rotations, positions = rotations.copy(), rest.copy()
        for j in range(1, len(rest)):
            p = self.body.parents[j]
            positions[j] = positions[p] + global_rotations[p] @ (rest[j] - rest[p])
            global_rotations[j] = global_rotations[p] @ rotations[j]
        translations = positions - np.einsum("jab,jb->ja", global_rotations, rest)
        pose_feature = (rotations[1:] - np.eye(3)).ravel()
        return _PosedState(
            key, global_rotations.reshape(-1, 9), translations, betas, pose_feature, {"smpl24": positions}
        )

    def _betas(self, betas: np.ndarray) -> np.ndarray:
        known = self.body.shapedirs.shape[2]
        given = np.zeros(known)
        given[: len(betas)] = betas[:known]
        return given

    def _joints_of_set(self, joint_set: str, state: _PosedState) -> np.ndarray:
        if joint_set not in state.joints:
            state.joints[joint_set] = self._compute_joints(joint_set, state)
        return state.joints[joint_set]

    def _compute_joints(self, joint_set: str, state: _PosedState) -> np.ndarray:
        if joint_set == "hand21":
            return self._regressed("freihand21", state)
        if joint_set in self.body.regressors or joint_set in _BODY_SOURCES:
            return self._regressed(joint_set, state)
        if joint_set == "coco19":
            coco = self._joints_of_set("coco17", state)
            midpoints = [coco[list(pair)].mean(0, keepdims=True) for pair in left_right(COCO17, "hip", "shoulder")]
            return np.concatenate([coco, *midpoints])
        sources = [self._source(name.removeprefix("op_")) for name in JOINT_SETS[joint_set].names]
        return np.stack([self._joints_of_set(source, state)[index] for source, index in sources])

    def _source(self, name: str) -> tuple[str, int]:
        if name in _JOINT_ALIASES:
            source, name = _JOINT_ALIASES[name]
            return source, JOINT_SETS[source].names.index(name)
        source = next((s for s in _BODY_SOURCES if name in JOINT_SETS[s].names), "")
        if not source:
            raise BadInput("no_regressor", f"The body {self.name!r} has no joint {name!r}.")
        return source, JOINT_SETS[source].names.index(name)

    def _regressed(self, name: str, state: _PosedState) -> np.ndarray:
        if name not in self._regressors:
            self._regressors[name] = _SparseRegressor(self.body, self._rows(name))
        return self._regressors[name].joints(state)

    def _rows(self, name: str) -> np.ndarray:
        if name in self.body.regressors:
            return self.body.regressors[name]
        if name == "freihand21":  # for an official MANO file: 16 joints of its regressor, 5 vertices
            tips = np.eye(len(self.body.v_template))[list(MANO_TIPS)]
            stacked = np.concatenate([self.body.joint_regressor, tips])
            return stacked[list(MANO21_TO_HAND21)]
        raise BadInput(
            "no_regressor",
            f"The body {self.name!r} has no regressor of {name} joints.",
            "Import it with J_regressor_h36m_correct.npy and J_regressor_coco.npy (recover-mesh bodies import).",
        )


@lru_cache(maxsize=4)
def posed_joints(body: str | Path) -> PosedJoints:
    """The `PosedJoints` of a body by name or file, read once per process."""
    return PosedJoints(read_body(find_body(body)))
