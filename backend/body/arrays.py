"""A body as arrays, as its file has it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from backend.body.joint_sets import MANO16


@dataclass
class BodyArrays:
    """A validated body as numpy arrays; body frame y up, facing +z, person's left +x, metres."""

    name: str
    license: str
    joint_names: tuple[str, ...]
    parents: np.ndarray  # (J,) int64, -1 for the root; a parent comes before its children
    v_template: np.ndarray  # (V, 3)
    faces: np.ndarray  # (F, 3) int64
    shapedirs: np.ndarray  # (V, 3, B)
    posedirs: np.ndarray  # (V, 3, 9 (J - 1))
    joint_regressor: np.ndarray  # (J, V)
    weights: np.ndarray  # (V, J)
    uv: np.ndarray | None = None  # (T, 2)
    uv_faces: np.ndarray | None = None  # (F, 3) indices into uv
    part_ids: np.ndarray | None = None  # (V,)
    mirror: np.ndarray | None = None  # (V,) index of each vertex's mirror image
    regressors: dict[str, np.ndarray] = field(default_factory=dict)  # joint set -> (K, V)
    hand_components: np.ndarray | None = None  # MANO: (45, 45) PCA of the finger pose, rows are components
    hand_mean: np.ndarray | None = None  # MANO: (45,) mean finger pose, axis-angle

    @property
    def part(self) -> str:
        """`hand` where the skeleton is MANO's, else `body`."""
        return "hand" if len(self.parents) == len(MANO16) else "body"
