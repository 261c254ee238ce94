"""A body as the protocol's `body` message."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.body.model import BodyModel


def body_message(body: BodyModel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """-> (fields, arrays) for `protocol.encode("body", …)`, as described in `docs/protocol.md`."""
    fields = {"name": body.name, "license": body.license, "joint_names": list(body.joint_names)}
    tensors = (
        "v_template",
        "faces",
        "shapedirs",
        "posedirs",
        "weights",
        "joints_template",
        "joints_shapedirs",
    )
    arrays = {name: getattr(body, name).detach().cpu().numpy() for name in tensors}
    arrays["parents"] = body.parents
    if body.uv is not None and body.uv_faces is not None:
        arrays["uv"] = body.uv[body.uv_faces].reshape(-1, 2)  # one per face corner
    if body.part_ids is not None:
        arrays["part_ids"] = body.part_ids
    return fields, arrays
