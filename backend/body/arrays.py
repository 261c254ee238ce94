"""The arrays of a body file."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from backend.body.joint_sets import MANO16


@dataclass
class BodyArrays:
    """A validated body model as numpy arrays, float64 where not said; body frame (y up, facing +z, left +x), metres."""

    name: str
    license: str
    joint_names: tuple[str, ...]
    parents: np.ndarray  # (J,) int64, -1 for the root; parents precede their children
    v_template: np.ndarray  # (V, 3)
    faces: np.ndarray  # (F, 3) int64
    shapedirs: np.ndarray  # (V, 3, B)
    posedirs: np.ndarray  # (V, 3, 9 (J - 1))
    joint_regressor: np.ndarray  # (J, V)
    weights: np.ndarray  # (V, J)
    uv: np.ndarray | None = None  # (T, 2) float32, 0..1, v up
    uv_faces: np.ndarray | None = None  # (F, 3) indices into uv
    part_ids: np.ndarray | None = None  # (V,) int32 joint index of each vertex's body part
    mirror: np.ndarray | None = None  # (V,) int64 index of each vertex's left/right counterpart
    regressors: dict[str, np.ndarray] = field(default_factory=dict)  # joint set -> (K, V)
    hand_components: np.ndarray | None = None  # MANO: (45, 45) PCA of the finger pose, rows are components
    hand_mean: np.ndarray | None = None  # MANO: (45,) mean finger pose, axis-angle

    @property
    def part(self) -> str:
        """`hand` for MANO's 16 joints, else `body`."""
        return "hand" if len(self.parents) == len(MANO16) else "body"
