"""Left and right hands in Blender: mesh, 16 bones, weights and shape keys; vertices match the backend's."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from evaluated_mesh import backend_vertices, evaluated_vertices
from mathutils import Quaternion
from test_scene import expected_in_blender, people_of

from assets_build.open_hand.poses import hinges, named_pose, random_poses
from backend.body.joint_sets import MANO16, MANO16_PARENTS
from backend.body.loader import load_body
from backend.body.wire import body_message
from blender_addon.scene import basis, body, build, correctives, records

TOLERANCE = 0.05e-3  # m
SIDES = pytest.mark.parametrize("mirrored", [False, True], ids=["right", "left"])


@pytest.fixture(scope="module")
def models():
    return {False: load_body("open_hand"), True: load_body("open_hand_left")}


@pytest.fixture(scope="module")
def addon_body(models) -> records.Body:
    """The right hand; the protocol has no left one, the add-on mirrors this."""
    return records.body_from_wire(*body_message(models[False]))


def photo_of(people: list[records.Person]) -> records.Photo:
    return records.Photo("hand.jpg", (640, 480), (700.0, 700.0, 319.5, 239.5), "m", "open_hand", "CC0-1.0", people)


def hand_at(poses: np.ndarray, mirrored: bool, seed: int = 0, shape: float = 1.0) -> records.Person:
    """A hand at a random position with a random global orientation.  poses: (16, 3) of the right hand."""
    rng = np.random.default_rng(seed)
    poses = poses.copy()
    poses[0] = rng.normal(0, 1, 3)
    return records.Person(
        (poses * ([1, -1, -1] if mirrored else [1, 1, 1])).astype(np.float32),
        (shape * rng.standard_normal(10)).astype(np.float32),
        np.array([*rng.uniform(-0.1, 0.1, 2), rng.uniform(0.4, 0.8)], np.float32),
        rng.random(16).astype(np.float32),
        mirrored=mirrored,
    )


@pytest.mark.parametrize("count", [8, pytest.param(40, marks=pytest.mark.slow)])
def test_vertices_are_the_backends(models, addon_body, scene, count):
    poses = random_poses(count, addon_body.joints_template, seed=5)
    worst = 0.0
    for first in range(0, count, 4):
        hands = [hand_at(poses[k], bool(k % 2), k) for k in range(first, first + 4)]
        collection = build.build_photo(photo_of(hands), addon_body)
        for (_, skin), one in zip(people_of(collection), hands, strict=True):
            expected = expected_in_blender(backend_vertices(models[one.mirrored], one), collection)
            worst = max(worst, np.linalg.norm(evaluated_vertices(skin) - expected, axis=1).max())
        bpy.data.batch_remove(list(collection.objects))
        bpy.data.collections.remove(collection)
    print(f"\nworst of {count}: {worst * 1e3:.4f} mm")
    assert worst < TOLERANCE


@SIDES
def test_hand_mesh_bones_weights_and_shape_keys(models, addon_body, scene, mirrored):
    collection = build.build_photo(photo_of([hand_at(np.zeros((16, 3)), mirrored, shape=0.0)]), addon_body)
    ((rig, skin),) = people_of(collection)
    assert [bone.name for bone in rig.data.bones] == list(MANO16)
    parents = [bone.parent.name if bone.parent else None for bone in rig.data.bones]
    assert parents == [None if p < 0 else MANO16[p] for p in MANO16_PARENTS]
    assert len(skin.data.vertices) == 778 and len(skin.data.polygons) == 1538
    assert [group.name for group in skin.vertex_groups] == list(MANO16)
    weights = np.zeros((778, 16))
    for vertex in skin.data.vertices:
        for entry in vertex.groups:
            weights[vertex.index, entry.group] = entry.weight
    np.testing.assert_allclose(weights, addon_body.weights, atol=1e-6)
    keys = [key.name for key in skin.data.shape_keys.key_blocks]
    assert [key for key in keys if key.startswith("Shape")] == [body.SHAPE_KEY.format(k) for k in range(10)]
    drivers = skin.data.shape_keys.animation_data.drivers
    assert len(drivers) == int((np.abs(addon_body.posedirs).max((0, 1)) > correctives.NEGLIGIBLE).sum()) > 0
    assert all(d.driver.is_simple_expression and d.driver.is_valid for d in drivers)
    # normals point outward: away from the bone with the largest weight
    rest = np.array([v.co for v in skin.data.vertices])
    normals = np.array([v.normal for v in skin.data.vertices])
    heads = np.array([bone.head_local for bone in rig.data.bones])
    tails = np.array([bone.tail_local for bone in rig.data.bones])
    owner = addon_body.weights.argmax(1)
    share = np.clip(
        ((rest - heads[owner]) * (tails - heads)[owner]).sum(1) / ((tails - heads) ** 2).sum(1)[owner], 0, 1
    )
    outward = rest - heads[owner] - share[:, None] * (tails - heads)[owner]
    fingers = owner > 0
    assert ((outward * normals).sum(1) > 0)[fingers].mean() > 0.95


@SIDES
def test_finger_bones_and_bending_axes(models, addon_body, scene, mirrored):
    """Tails are inside the finger; a rotation about local X bends every finger towards the palm, on both sides."""
    collection = build.build_photo(photo_of([hand_at(np.zeros((16, 3)), mirrored, shape=0.0)]), addon_body)
    ((rig, skin),) = people_of(collection)
    for bone in rig.pose.bones:
        bone.rotation_quaternion = Quaternion()
    rig.location = (0, 0, 0)
    rig.pose.bones[0].location = (0, 0, 0)
    rest = evaluated_vertices(skin)
    axes = hinges(addon_body.joints_template)
    flip = np.array([-1.0, 1, 1]) if mirrored else np.ones(3)
    tips = {name[:-1]: row for name, row in zip(MANO16, range(16), strict=True) if name.endswith("3")}
    for name, bone in zip(MANO16, rig.data.bones, strict=True):
        if name == "wrist":
            continue
        local = np.array(bone.matrix_local.to_3x3())
        # a rotation axis is mirrored like a pose: x stays, y and z change sign
        expected = basis.body_points(axes[MANO16.index(name), 0] * ([1, -1, -1] if mirrored else [1, 1, 1]))
        assert local[:, 0] @ expected > np.cos(np.radians(10)), name
        if not name.endswith("3"):
            nearest = rig.data.bones[MANO16.index(name) + 1].head_local
            assert (bone.tail_local - nearest).length < 1e-5  # at betas 0 the tail is at the next head
        else:
            tip = rest[addon_body.weights[:, MANO16.index(name)] > 0.9]
            reach = (tip - np.array(bone.head_local)) @ local[:, 1]
            assert 0.6 * reach.max() < bone.length < reach.max(), name
    for finger, joint in tips.items():
        for k in range(joint - 2, joint + 1):
            rig.pose.bones[MANO16[k]].rotation_quaternion = Quaternion((1, 0, 0), 1.0)
        own = addon_body.weights[:, joint] > 0.9
        moved = (evaluated_vertices(skin) - rest)[own].mean(0)
        towards = np.array([0, 1, 0]) if finger == "thumb" else np.array([0, 0, -1])
        assert moved @ towards > 0.02, finger
        assert moved @ (basis.body_points([1.0, 0, 0]) * flip) > 0 or finger == "thumb", finger  # and back
    others = addon_body.weights[:, 0] > 0.999
    assert np.abs((evaluated_vertices(skin) - rest)[others]).max() < 1e-6


def test_left_and_right_are_mirror_images(addon_body, scene):
    """The same grasp on both sides has equal local rotations up to Blender's mirroring (y and z change sign)."""
    grasp = named_pose("fist", addon_body.joints_template)
    collection = build.build_photo(photo_of([hand_at(grasp, False), hand_at(grasp, True)]), addon_body)
    (right, _), (left, _) = people_of(collection)
    for name in MANO16[1:]:
        w, x, y, z = right.pose.bones[name].rotation_quaternion
        np.testing.assert_allclose(left.pose.bones[name].rotation_quaternion, (w, x, -y, -z), atol=1e-5)
