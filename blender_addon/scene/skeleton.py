# SPDX-License-Identifier: GPL-3.0-or-later
"""Axes and lengths of the bones in the rest pose, in Blender's axes.  No bpy here.

The axes come from the body at betas 0 and are equal for all people; heads and lengths follow a person's betas.  So
actions can be exchanged between people, the drivers of the pose correctives never change, and new betas do not change
an animation.  The price: a tail may be some millimetres off the next head.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import basis

# Of a joint with several children, the one that its bone points to, on the same side
MAIN_CHILD = {"pelvis": "spine1", "spine3": "neck", "wrist": "middle1"}
FINGERS = ("index", "middle", "ring", "pinky", "thumb")
# Lengths of the last bones of chains, relative to the parent's bone; origin not recorded
LEAF_LENGTH = {"head": 1.3, "foot": 0.5, "hand": 0.9} | dict.fromkeys(FINGERS, 0.85) | {"thumb": 0.7}
LEAF_DEFAULT = 0.6

# Direction of each bone's local Z.  Local X, the hinge, follows from it: a positive rotation about it bends knees,
# elbows, fingers, toes and the spine forward on both sides, and left and right mirror each other (Paste Flipped works).
FORWARD, BACK, DOWN = (0.0, -1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)
LOCAL_Z = {"hip": BACK, "knee": BACK, "ankle": DOWN, "foot": DOWN, "wrist": DOWN, "hand": DOWN}
LOCAL_Z |= dict.fromkeys(FINGERS, DOWN) | {"thumb": BACK}  # palms face down at rest, thumbnails forward


def main_children(names: Sequence[str], parents: np.ndarray) -> list[int]:
    """(J,) index of the joint that each bone points to; -1 for the last of a chain."""
    chosen = []
    for j, name in enumerate(names):
        children = [c for c in range(len(names)) if parents[c] == j]
        side, divider, part = name.rpartition("_")
        wanted = side + divider + MAIN_CHILD.get(part, "")
        named = [c for c in children if names[c] == wanted]
        chosen.append((named or children or [-1])[0])
    return chosen


def _joint_kind(name: str) -> str:
    """A joint's name without side and number: `left_index2` -> `index`."""
    return name.rpartition("_")[2].rstrip("0123456789")


def bone_axes(names: Sequence[str], parents: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(J, 3, 3) rest axes of the bones: columns are local X, Y (along the bone), Z.

    joints: (J, 3) rest joints at betas 0, body frame.
    """
    points = basis.body_points(joints)
    axes = np.empty((len(names), 3, 3))
    for j, child in enumerate(main_children(names, parents)):
        # the last bone of a chain continues in its parent's direction
        direction = points[child] - points[j] if child >= 0 else points[j] - points[parents[j]]
        y = direction / np.linalg.norm(direction)
        z = np.array(LOCAL_Z.get(_joint_kind(names[j]), FORWARD))
        z = z - y * (z @ y)
        if np.linalg.norm(z) < 1e-3:  # the bone itself points there
            z = np.array([1.0, 0.0, 0.0]) - y * y[0]
        z /= np.linalg.norm(z)
        axes[j] = np.stack([np.cross(y, z), y, z], -1)
    return axes


def bone_lengths(names: Sequence[str], parents: np.ndarray, joints: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(J,) lengths of the bones, m: the distance to the main child along the bone.

    joints: (J, 3) rest joints of this person, body frame.  axes: of `bone_axes`.
    """
    points = basis.body_points(joints)
    lengths = np.zeros(len(names))
    children = main_children(names, parents)
    for j, child in enumerate(children):  # parents come before their children
        if child >= 0:
            lengths[j] = (points[child] - points[j]) @ axes[j, :, 1]
        else:
            share = LEAF_LENGTH.get(_joint_kind(names[j]), LEAF_DEFAULT)
            lengths[j] = share * np.linalg.norm(points[j] - points[parents[j]])
    return np.maximum(lengths, 0.01)  # Blender removes bones of no length
