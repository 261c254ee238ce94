"""The vertices that Blender shows, after shape keys, drivers and modifiers; and those of the backend."""

import bpy
import numpy as np
import torch


def evaluated_vertices(obj: bpy.types.Object) -> np.ndarray:
    """(V, 3) vertices of the evaluated mesh in the world."""
    bpy.context.view_layer.update()
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = np.empty(3 * len(evaluated.data.vertices), np.float32)
    evaluated.data.vertices.foreach_get("co", points)
    matrix = np.array(evaluated.matrix_world)
    return points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


def backend_vertices(model, one, t=...) -> np.ndarray:
    """(V, 3) float32 vertices in the camera frame.  one: with poses, betas, trans, of a motion in frame t."""
    with torch.inference_mode():
        fields = (torch.as_tensor(np.asarray(a, np.float32))[None] for a in (one.poses[t], one.betas, one.trans[t]))
        return model(*fields).vertices[0].numpy()
