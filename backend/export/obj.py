"""Wavefront OBJ: the posed mesh without a rig, for any tool."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.atomic import atomic_path
from backend.export.rasterizer import vertex_normals

Y_UP = np.array([1.0, -1.0, -1.0])  # OpenCV camera frame -> x right, y up, z towards the viewer: pi rad about x


def write_obj(
    path: Path,
    vertices: np.ndarray,
    faces: np.ndarray,
    *,
    uv: np.ndarray | None = None,
    uv_faces: np.ndarray | None = None,
    comment: str = "",
) -> None:
    """Write one mesh.

    vertices: (V, 3) metres in the camera frame (x right, y down, z forward).  In the file: metres, y up, z towards the
    viewer, the camera at the origin, so that people of one photo keep their relative positions.
    faces: (F, 3) vertex indices, counter-clockwise from outside.  uv: (L, 2) 0..1, v up, with uv_faces (F, 3) indices
    into it.  Raises RecoverMeshError `disk_full` or `unwritable`.
    """
    normals = vertex_normals(vertices, faces)
    lines = [f"# {line}" for line in ("Recover Mesh: metres, y up, camera at the origin", *comment.splitlines())]
    lines.append(f"o {_word(path.stem)}")
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in (vertices * Y_UP).tolist()]
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in (normals * Y_UP).tolist()]
    lines.append("s 1")
    corners = (np.asarray(faces, np.int64) + 1).tolist()
    if uv is None or uv_faces is None:
        lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in corners]
    else:
        lines += [f"vt {u:.6f} {v:.6f}" for u, v in np.asarray(uv).tolist()]
        pairs = zip(corners, (np.asarray(uv_faces, np.int64) + 1).tolist(), strict=True)
        lines += [f"f {a}/{s}/{a} {b}/{t}/{b} {c}/{u}/{c}" for (a, b, c), (s, t, u) in pairs]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _word(text: str) -> str:
    return "_".join(text.split()) or "body"
