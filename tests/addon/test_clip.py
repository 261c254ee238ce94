"""A clip in Blender: actions that move the mesh as the backend says, growing, replaced."""

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from clip_parts import COUNT, chunk, info_of, rigs, skin_vertices, true_vertices, world_of
from mathutils import Vector

from backend.geometry import rotations_numpy as rot
from benchmarks.clips.motions import MOTIONS, Maker
from blender_addon.errors import UserError
from blender_addon.scene import clip, fcurves

MM = 1e-3


@pytest.mark.parametrize("t", [0, 7, 23, COUNT - 1])
def test_every_frame_shows_the_backends_bodies(scene, model, scenery, built, t):
    scene.frame_set(11 + t)
    for person, rig in rigs(scene).items():
        gap = np.linalg.norm(skin_vertices(rig) - true_vertices(model, scenery, person, t), axis=1)
        assert gap.max() < 0.05 * MM


def test_the_camera_sees_what_the_footage_saw(scene, model, scenery, built):
    scene.frame_set(11 + 9)
    points = true_vertices(model, scenery, 1, 9)[::500]
    in_camera = (points - scenery.world.translation) @ scenery.world.rotation
    expected = scenery.camera.project(in_camera)
    for point, pixel in zip(points, expected, strict=True):
        seen = world_to_camera_view(scene, scene.camera, Vector(point.tolist()))
        found = (seen.x * 640 - 0.5, (1 - seen.y) * 360 - 0.5)
        assert np.abs(np.array(found) - pixel).max() < 0.02


def test_the_scene_has_the_clips_rate_and_range(scene, built):
    assert scene.render.fps / scene.render.fps_base == pytest.approx(25)
    assert (scene.frame_start, scene.frame_end) == (11, 50)


def test_ntsc_rates_are_exact(scene, record, scenery):
    clip.ClipScene(scene, info_of(scenery, fps=30000 / 1001), record)
    assert scene.render.fps / scene.render.fps_base == pytest.approx(30000 / 1001, rel=1e-6)


def test_a_rate_that_is_kept_is_told(scene, record, scenery):
    scene.render.fps, scene.render.fps_base = 24, 1.0
    made = clip.ClipScene(scene, info_of(scenery), record, match_rate=False)
    assert (scene.render.fps, scene.render.fps_base) == (24, 1.0)
    assert any("24 fps" in note and "25" in note for note in made.notes)


def test_quaternions_never_turn_the_long_way_round(scene, model, record):
    scenery = MOTIONS["turn"](Maker(model, 25.0), (640, 360), seconds=8.0)
    count = len(scenery.people[0].poses)
    made = clip.ClipScene(scene, info_of(scenery, frames=count), record)
    made.add(chunk(scenery, 0, count, people=(1,)), True, world_of(scenery))
    made.finish()
    (rig,) = rigs(scene).values()
    action = rig.animation_data.action
    curves = {(c.data_path, c.array_index): c for c in fcurves.curves_of(action)}
    for name in ("pelvis", "left_knee", "right_shoulder"):
        path = f'pose.bones["{name}"].rotation_quaternion'
        keys = np.array([[curves[path, k].evaluate(11 + t) for k in range(4)] for t in range(count)])
        np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-5)
        assert ((keys[1:] * keys[:-1]).sum(1) > 0.9).all()


def test_chunks_as_they_come_give_what_all_at_once_gives(scene, record, scenery):
    made = clip.ClipScene(scene, info_of(scenery), record)
    for first in range(0, COUNT, 8):
        made.add(chunk(scenery, first, min(first + 8, COUNT)), True, world_of(scenery))
        assert made.flush(force=True)
    assert not made.flush(force=True)
    made.finish()
    keys = {
        p: len(fcurves.curves_of(r.animation_data.action)[0].keyframe_points) for p, r in rigs(scene).items()
    }
    assert keys == {1: COUNT, 2: COUNT}
    assert sum(a.get("recover_mesh") == "motion" for a in bpy.data.actions) == 2


def test_final_motions_replace_the_provisional_ones(scene, record, scenery):
    made = clip.ClipScene(scene, info_of(scenery), record)
    made.add(chunk(scenery, 0, 16, people=(1, 2)), False, world_of(scenery))
    made.flush(force=True)
    assert set(rigs(scene)) == {1, 2}
    assert scene.camera.location.z != pytest.approx(scenery.world.translation[2], abs=1e-4)
    made.add(chunk(scenery, 0, COUNT, people=(2,)), True, world_of(scenery))
    made.finish()
    assert set(rigs(scene)) == {2}
    assert len(bpy.data.armatures) == 1
    assert scene.camera.location.z == pytest.approx(scenery.world.translation[2], abs=1e-4)


def test_a_re_run_replaces_its_own_and_nothing_else(scene, record, scenery, built):
    other = clip.ClipScene(scene, info_of(scenery, job="/jobs/b"), record)
    other.add(chunk(scenery, 0, 10, people=(1,)), True, world_of(scenery))
    other.finish()
    cube = bpy.data.objects.new("Cube of mine", None)
    clip.clips(scene)[0].objects.link(cube)
    action = bpy.data.actions.new("Action of mine")
    action.use_fake_user = True
    scene.timeline_markers.new("Marker of mine", frame=5)
    kept = {o.name for o in clip.clips(scene)[1].objects}
    again = clip.ClipScene(scene, info_of(scenery), record)
    again.add(chunk(scenery, 0, COUNT, people=(1,)), True, world_of(scenery))
    again.finish()
    assert len(clip.clips(scene)) == 2
    assert cube.name in scene.objects
    assert "Action of mine" in bpy.data.actions
    assert "Marker of mine" in {m.name for m in scene.timeline_markers}
    assert kept <= {o.name for o in scene.objects}
    assert len([o for o in scene.objects if o.get("recover_mesh") == "rig"]) == 2


def test_a_removed_collection_is_told(scene, record, scenery):
    made = clip.ClipScene(scene, info_of(scenery), record)
    made.add(chunk(scenery, 0, 5), True, world_of(scenery))
    bpy.data.collections.remove(clip.clips(scene)[0])
    with pytest.raises(UserError):
        made.flush(force=True)


def test_a_person_the_artist_removed_comes_back_with_the_next_keys(scene, record, scenery):
    made = clip.ClipScene(scene, info_of(scenery), record)
    made.add(chunk(scenery, 0, 5, people=(1,)), True, world_of(scenery))
    made.flush(force=True)
    bpy.data.objects.remove(rigs(scene)[1])
    made.add(chunk(scenery, 5, 9, people=(1,)), True, world_of(scenery))
    made.finish()
    assert len(rigs(scene)) == 1


def test_rotations_written_are_those_read(record):
    from blender_addon.scene import basis

    angles = np.random.default_rng(0).standard_normal((6, 24, 3))
    np.testing.assert_allclose(basis.rotation_matrices(angles), rot.exp(angles), atol=1e-12)
