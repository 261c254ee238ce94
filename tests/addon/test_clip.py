"""A clip in Blender: actions reproduce the backend's vertices, grow with each chunk, and are replaced by a re-run."""

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from clip_helpers import COUNT, body_vertices, build_clip, chunk, gt_vertices, info_of, rigs, world_of
from mathutils import Vector

from backend.geometry import rotations_numpy as rot
from benchmarks.clips.motions import MOTIONS, MotionMaker
from blender_addon.errors import UserError
from blender_addon.scene import basis, clip, fcurves

MM = 1e-3


@pytest.mark.parametrize("t", [0, 7, 23, COUNT - 1])
def test_vertices_match_the_backend_in_every_frame(scene, model, gt_scene, built_clip, t):
    scene.frame_set(11 + t)
    for person, rig in rigs(scene).items():
        gap = np.linalg.norm(body_vertices(rig) - gt_vertices(model, gt_scene, person, t), axis=1)
        assert gap.max() < 0.05 * MM


def test_projection_matches_the_footage(scene, model, gt_scene, built_clip):
    scene.frame_set(11 + 9)
    points = gt_vertices(model, gt_scene, 1, 9)[::500]
    in_camera = (points - gt_scene.world.translation) @ gt_scene.world.rotation
    expected = gt_scene.camera.project(in_camera)
    for point, pixel in zip(points, expected, strict=True):
        seen = world_to_camera_view(scene, scene.camera, Vector(point.tolist()))
        found = (seen.x * 640 - 0.5, (1 - seen.y) * 360 - 0.5)
        assert np.abs(np.array(found) - pixel).max() < 0.02


def test_the_scene_has_the_clips_rate_and_range(scene, built_clip):
    assert scene.render.fps / scene.render.fps_base == pytest.approx(25)
    assert (scene.frame_start, scene.frame_end) == (11, 50)


def test_ntsc_rates_are_exact(scene, addon_body, gt_scene):
    clip.ClipScene(scene, info_of(gt_scene, fps=30000 / 1001), addon_body)
    assert scene.render.fps / scene.render.fps_base == pytest.approx(30000 / 1001, rel=1e-6)


def test_kept_frame_rate_is_reported(scene, addon_body, gt_scene):
    scene.render.fps, scene.render.fps_base = 24, 1.0
    clip_scene = clip.ClipScene(scene, info_of(gt_scene), addon_body, match_rate=False)
    assert (scene.render.fps, scene.render.fps_base) == (24, 1.0)
    assert any("24 fps" in note and "25" in note for note in clip_scene.notes)


def test_quaternions_are_continuous(scene, model, addon_body):
    gt_scene = MOTIONS["turn"](MotionMaker(model, 25.0), (640, 360), seconds=8.0)
    count = len(gt_scene.people[0].poses)
    build_clip(scene, addon_body, info_of(gt_scene, frames=count), gt_scene, chunk(gt_scene, 0, count, people=(1,)))
    (rig,) = rigs(scene).values()
    action = rig.animation_data.action
    curves = {(c.data_path, c.array_index): c for c in fcurves.curves_of(action)}
    for name in ("pelvis", "left_knee", "right_shoulder"):
        path = f'pose.bones["{name}"].rotation_quaternion'
        keys = np.array([[curves[path, k].evaluate(11 + t) for k in range(4)] for t in range(count)])
        np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-5)
        assert ((keys[1:] * keys[:-1]).sum(1) > 0.9).all()


def test_chunked_equals_whole_clip(scene, addon_body, gt_scene):
    clip_scene = clip.ClipScene(scene, info_of(gt_scene), addon_body)
    for first in range(0, COUNT, 8):
        clip_scene.add(chunk(gt_scene, first, min(first + 8, COUNT)), True, world_of(gt_scene))
        assert clip_scene.flush(force=True)
    assert not clip_scene.flush(force=True)
    clip_scene.finish()
    keys = {p: len(fcurves.curves_of(r.animation_data.action)[0].keyframe_points) for p, r in rigs(scene).items()}
    assert keys == {1: COUNT, 2: COUNT}
    assert sum(a.get("recover_mesh") == "motion" for a in bpy.data.actions) == 2


def test_final_motions_replace_previews(scene, addon_body, gt_scene):
    clip_scene = clip.ClipScene(scene, info_of(gt_scene), addon_body)
    clip_scene.add(chunk(gt_scene, 0, 16, people=(1, 2)), False, world_of(gt_scene))
    clip_scene.flush(force=True)
    assert set(rigs(scene)) == {1, 2}
    assert scene.camera.location.z != pytest.approx(gt_scene.world.translation[2], abs=1e-4)
    clip_scene.add(chunk(gt_scene, 0, COUNT, people=(2,)), True, world_of(gt_scene))
    clip_scene.finish()
    assert set(rigs(scene)) == {2}
    assert len(bpy.data.armatures) == 1
    assert scene.camera.location.z == pytest.approx(gt_scene.world.translation[2], abs=1e-4)


def test_rerun_replaces_only_its_own_objects(scene, addon_body, gt_scene, built_clip):
    build_clip(scene, addon_body, info_of(gt_scene, job="/jobs/b"), gt_scene, chunk(gt_scene, 0, 10, people=(1,)))
    cube = bpy.data.objects.new("User's cube", None)
    clip.clips(scene)[0].objects.link(cube)
    action = bpy.data.actions.new("User's action")
    action.use_fake_user = True
    scene.timeline_markers.new("User's marker", frame=5)
    kept = {o.name for o in clip.clips(scene)[1].objects}
    build_clip(scene, addon_body, info_of(gt_scene), gt_scene, chunk(gt_scene, 0, COUNT, people=(1,)))
    assert len(clip.clips(scene)) == 2
    assert cube.name in scene.objects
    assert "User's action" in bpy.data.actions
    assert "User's marker" in {m.name for m in scene.timeline_markers}
    assert kept <= {o.name for o in scene.objects}
    assert len([o for o in scene.objects if o.get("recover_mesh") == "rig"]) == 2


def test_removed_collection_is_an_error(scene, addon_body, gt_scene):
    clip_scene = clip.ClipScene(scene, info_of(gt_scene), addon_body)
    clip_scene.add(chunk(gt_scene, 0, 5), True, world_of(gt_scene))
    bpy.data.collections.remove(clip.clips(scene)[0])
    with pytest.raises(UserError):
        clip_scene.flush(force=True)


def test_removed_person_is_rebuilt_with_the_next_chunk(scene, addon_body, gt_scene):
    clip_scene = clip.ClipScene(scene, info_of(gt_scene), addon_body)
    clip_scene.add(chunk(gt_scene, 0, 5, people=(1,)), True, world_of(gt_scene))
    clip_scene.flush(force=True)
    bpy.data.objects.remove(rigs(scene)[1])
    clip_scene.add(chunk(gt_scene, 5, 9, people=(1,)), True, world_of(gt_scene))
    clip_scene.finish()
    assert len(rigs(scene)) == 1


def test_axis_angle_conversion_matches_the_backend(addon_body):
    angles = np.random.default_rng(0).standard_normal((6, 24, 3))
    np.testing.assert_allclose(basis.rotation_matrices(angles), rot.exp(angles), atol=1e-12)
