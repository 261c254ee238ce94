"""F-curves written as a block: their keys equal those that Blender inserts, and can be edited in every Blender."""

import bpy
import numpy as np
import pytest
from fake_backend import make_body, random_person

from blender_addon.scene import animation, fcurves, person, records
from blender_addon.scene.motion import Motion, World

FIELDS = {
    "co": 2, "handle_left": 2, "handle_right": 2, "interpolation": 1, "handle_left_type": 1, "handle_right_type": 1,
    "easing": 1, "type": 1,
}  # fmt: skip
COUNT = 30
START = 11


@pytest.fixture
def cube(scene):
    obj = bpy.data.objects.new("Cube", None)
    scene.collection.objects.link(obj)
    return obj


def write(obj, frames, values, constant=False):
    action = fcurves.new_action(obj, "Test")
    curve = fcurves.Curve("location", 0, "Location", values, constant)
    fcurves.write(action, obj, np.asarray(frames, float), [curve])
    (found,) = fcurves.curves_of(action)
    return found


def keys_of(fcurve):
    """All fields of the keys, by name."""
    keys = fcurve.keyframe_points
    found = {}
    for name, width in FIELDS.items():
        kind = np.float32 if width == 2 else np.int32
        values = np.empty(width * len(keys), kind)
        keys.foreach_get(name, values)
        found[name] = values.reshape(len(keys), -1)
    return found


def assert_same(a, b):
    for name in FIELDS:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


SPACINGS = {
    "every frame": np.arange(1, 41),
    "every third": np.arange(7, 100, 3),
    "before the start": np.arange(-20, 20),
    "with gaps": np.array([1, 2, 3, 50, 51, 52]),
    "between frames": 1 + 0.25 * np.arange(20),
    "from a fractional frame": 1.5 + 0.25 * np.arange(20),
    "one": np.array([5]),
    "two": np.array([5, 6]),
}


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_bulk_keys_equal_keyframe_points(cube, monkeypatch, spacing, constant):
    frames = SPACINGS[spacing]
    values = np.random.default_rng(0).standard_normal(len(frames))
    bulk = keys_of(write(cube, frames, values, constant))
    np.testing.assert_array_equal(bulk["co"], np.stack([frames, values], 1).astype(np.float32))
    assert set(bulk["interpolation"].ravel()) == {0 if constant else 1}

    def keyframe_points(fcurve, points, constant):
        fcurve.auto_smoothing = "NONE"
        fcurves._insert_keyframe_points(fcurve, points)
        if constant:
            fcurve.keyframe_points.foreach_set("interpolation", np.zeros(len(points), np.int32))

    monkeypatch.setattr(fcurves, "_insert_keys", keyframe_points)
    assert_same(bulk, keys_of(write(cube, frames, values, constant)))


def test_keys_are_valid_before_update(cube):
    fcurve = write(cube, range(1, 41), np.random.default_rng(0).standard_normal(40))
    before = keys_of(fcurve)
    fcurve.update()
    assert_same(before, keys_of(fcurve))


def test_fallback_without_convert_to_samples(cube, monkeypatch):
    values = np.random.default_rng(0).standard_normal(40)
    bulk = keys_of(write(cube, range(1, 41), values))
    monkeypatch.setattr(fcurves, "_BULK_METHOD", "not_in_this_blender")
    assert_same(bulk, keys_of(write(cube, range(1, 41), values)))


def test_nothing_to_write_gives_no_curve(cube):
    action = fcurves.new_action(cube, "Test")
    fcurves.write(action, cube, np.zeros(0), [fcurves.Curve("location", 0, "Location", np.zeros(0))])
    assert fcurves.curves_of(action) == []


def test_interpolation_is_linear_or_constant(cube):
    values = np.array([0.0, 2.0, 1.0])
    line = write(cube, [1, 11, 21], values)
    assert [line.evaluate(f) for f in (-5, 1, 6, 11, 16, 21, 99)] == pytest.approx([0, 0, 1, 2, 1.5, 1, 1])
    flags = write(cube, [1, 11, 21], values, constant=True)
    assert [flags.evaluate(f) for f in (1, 10.9, 11, 20.9, 21)] == pytest.approx([0, 0, 2, 2, 1])


def test_curves_have_their_groups(scene):
    _, action = animated_person(scene)
    groups = {curve.data_path: curve.group.name for curve in fcurves.curves_of(action)}
    assert groups['pose.bones["left_knee"].rotation_quaternion'] == "left_knee"
    assert groups['pose.bones["pelvis"].location'] == "pelvis"
    assert groups['["problem"]'] == "Quality"


# ---- edits by the user -----------------------------------------------------------------------------------------


def animated_person(scene):
    """(rig, action) of a person who moves sideways and bends a knee in 30 frames."""
    body = make_body()
    one = random_person(3)
    photo = records.Photo("clip", (640, 480), (600.0, 600.0, 319.5, 239.5), "m", body.name, body.license, [one])
    rig = person.create_person(body, one, photo, "Walker", 0, scene.collection, 0.0, with_correctives=False)
    poses = np.tile(one.poses, (COUNT, 1, 1)).astype(float)
    poses[:, 4, 0] += np.linspace(0, 1, COUNT)
    trans = one.trans + np.linspace(0, 1, COUNT)[:, None] * [1.0, 0.0, 0.0]
    motion = Motion(
        frames=np.arange(COUNT), poses=poses, betas=one.betas.astype(float), trans=trans,
        confidence=np.ones((COUNT, 24)), filled=np.zeros(COUNT, bool), hidden=np.zeros(COUNT, bool),
        contacts=np.zeros((COUNT, 2), bool), reprojection_px=np.ones(COUNT),
    )  # fmt: skip
    action = animation.write_motion(rig, body, motion, World.level(), START, 30.0)
    return rig, action


def bone_matrices(rig):
    """(24, 4, 4) evaluated bone matrices in the world."""
    rig = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
    names = rig.data["joint_names"]
    return np.array([rig.matrix_world @ rig.pose.bones[name].matrix for name in names])


def path_of(scene, rig, frames=(START, START + 7, START + 29)):
    """(T, 24, 4, 4) bone matrices in these frames."""
    found = []
    for frame in frames:
        scene.frame_set(frame)
        found.append(bone_matrices(rig))
    return np.array(found)


def test_new_keys_are_evaluated_without_a_frame_change(scene):
    scene.frame_set(START + 20)
    rig, _ = animated_person(scene)
    bpy.context.view_layer.update()
    at_once = bone_matrices(rig)
    np.testing.assert_allclose(at_once, path_of(scene, rig, [START, START + 20])[1], atol=1e-6)


def test_keys_survive_saving(scene, tmp_path):
    rig, action = animated_person(scene)
    before, keys = path_of(scene, rig), [keys_of(c) for c in fcurves.curves_of(action)]
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    rig = bpy.data.objects["Walker"]
    for old, new in zip(keys, fcurves.curves_of(rig.animation_data.action), strict=True):
        assert_same(old, keys_of(new))
    np.testing.assert_array_equal(path_of(bpy.context.scene, rig), before)


def test_inserted_key_replaces_one_key(scene):
    rig, action = animated_person(scene)
    before = path_of(scene, rig)
    knee = rig.pose.bones["left_knee"]
    scene.frame_set(START + 7)
    knee.rotation_quaternion = (1.0, 0.0, 0.0, 0.0)
    assert knee.keyframe_insert("rotation_quaternion", frame=START + 7)
    assert rig.animation_data.action == action
    after = path_of(scene, rig)
    assert np.abs(after[1] - before[1]).max() > 0.01
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    path = 'pose.bones["left_knee"].rotation_quaternion'
    assert [len(c.keyframe_points) for c in fcurves.curves_of(action) if c.data_path == path] == [COUNT] * 4


def test_undo_reverts_an_edit_of_the_action(scene):
    rig, action = animated_person(scene)
    name = action.name
    before = path_of(scene, rig)
    scene.frame_set(START + 7)
    bpy.ops.ed.undo_push(message="Before")
    rig.pose.bones["left_knee"].rotation_quaternion = (1.0, 0.0, 0.0, 0.0)
    rig.pose.bones["left_knee"].keyframe_insert("rotation_quaternion", frame=START + 7)
    bpy.ops.ed.undo_push(message="Insert Keyframe")
    bpy.ops.ed.undo()
    scene, rig = bpy.context.scene, bpy.data.objects["Walker"]
    assert rig.animation_data.action.name == name
    np.testing.assert_array_equal(path_of(scene, rig), before)


def test_bezier_keys_have_valid_handles(cube):
    values = np.sin(np.arange(40) / 5.0)
    fcurve = write(cube, range(1, 41), values)
    for key in fcurve.keyframe_points:
        key.interpolation = "BEZIER"
    before = [fcurve.evaluate(1 + k / 8) for k in range(8 * 39)]
    fcurve.update()
    assert before == pytest.approx([fcurve.evaluate(1 + k / 8) for k in range(8 * 39)], abs=1e-6)
    inside = range(8, 8 * 38)  # curves begin and end level
    assert [before[k] for k in inside] == pytest.approx([np.sin(k / 40) for k in inside], abs=0.005)


def test_handles_move_with_their_key(cube):
    fcurve = write(cube, range(1, 41), np.zeros(40))
    fcurve.keyframe_points[10].co_ui[1] = 3.0
    fcurve.update()
    key = fcurve.keyframe_points[10]
    assert (key.handle_left[1], key.handle_right[1]) == (3.0, 3.0)
    assert fcurve.evaluate(11) == 3.0
    assert fcurve.evaluate(10.5) == 1.5


def test_nla_strip_moves_the_same(scene):
    rig, action = animated_person(scene)
    before = path_of(scene, rig)
    animation_data = rig.animation_data
    slot = getattr(animation_data, "action_slot", None)
    strip = animation_data.nla_tracks.new().strips.new(action.name, START, action)
    if slot is not None and strip.action_slot is None:
        strip.action_slot = slot
    animation_data.action = None
    assert (strip.frame_start, strip.frame_end) == (START, START + COUNT - 1)
    np.testing.assert_allclose(path_of(scene, rig), before, atol=1e-5)
    strip.frame_start_ui = START + 100
    np.testing.assert_allclose(path_of(scene, rig, (START + 100, START + 107, START + 129)), before, atol=1e-5)


def test_a_duplicated_person_moves_the_same(scene):
    rig, _ = animated_person(scene)
    before = path_of(scene, rig)
    rig.select_set(True)
    skin = person.parts(rig)[1]
    skin.select_set(True)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.duplicate()
    copy = bpy.context.view_layer.objects.active
    assert copy != rig
    np.testing.assert_array_equal(path_of(scene, copy), before)
    pair = person.parts(copy)
    assert pair is not None and pair[0] == copy and pair[1] != skin
    assert next(m for m in pair[1].modifiers if m.type == "ARMATURE").object == copy
