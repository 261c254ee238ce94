"""Left hands: the mirror image in x of a right hand's body model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.body.arrays import BodyArrays
from backend.body.joint_sets import mirror_indices
from backend.body.registry import LEFT
from backend.errors import BadInput

FLIP = np.array([-1.0, 1.0, 1.0])


def mirrored(body: BodyArrays) -> BodyArrays:
    """The mirror image in x of a body without left and right joints, as MANO's hand; `_left` is appended to its name.

    A rotation R of the body is M R M of its image, M = diag(-1, 1, 1): an axis-angle (x, y, z) becomes (x, -y, -z).
    Vertices, joints and betas keep their order and meaning; faces are reversed, so that they stay counter-clockwise
    from outside.  Raises BadInput `not_a_hand` for a body with left and right joints.
    """
    joints = len(body.parents)
    if mirror_indices(body.joint_names) != list(range(joints)):
        raise BadInput(
            "not_a_hand",
            f"{body.name} has a left and a right side, so it has no mirror image of its own.",
            f"Give the name without {LEFT}.",
        )
    entries = np.outer(FLIP, FLIP).ravel()  # of R - I
    axis_signs = np.array([1.0, -1.0, -1.0])
    components, mean = body.hand_components, body.hand_mean
    return replace(
        body,
        name=body.name + LEFT,
        v_template=body.v_template * FLIP,
        faces=np.ascontiguousarray(body.faces[:, ::-1]),
        shapedirs=body.shapedirs * FLIP[:, None],
        posedirs=body.posedirs * FLIP[:, None] * np.tile(entries, joints - 1),
        uv_faces=None if body.uv_faces is None else np.ascontiguousarray(body.uv_faces[:, ::-1]),
        hand_components=None if components is None else components * np.tile(axis_signs, joints - 1),
        hand_mean=None if mean is None else mean * np.tile(axis_signs, joints - 1),
    )
