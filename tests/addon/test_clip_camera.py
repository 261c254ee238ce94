"""A matchmove camera: its samples match Blender's evaluation, and bodies project onto the ground truth."""

import json

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from clip_helpers import body_vertices, build_clip, chunk, info_of, rigs
from evaluated_mesh import backend_vertices
from mathutils import Matrix, Vector

from backend.motion.camera_track import CameraTrack
from benchmarks.clips.cameras import camera_file_content
from benchmarks.clips.motions import MOTIONS, MotionMaker
from blender_addon.errors import UserError
from blender_addon.scene import camera_sampling, clip, clip_npz
from blender_addon.settings import clip_camera

SIZE = (640, 360)
COUNT = 12
START = 101
INFO = {"source": "/clips/dolly.mp4", "size": SIZE, "fps": 6.0, "frames": COUNT, "start": START}


@pytest.fixture(scope="module")
def gt_scene(model):
    return MOTIONS["dolly"](MotionMaker(model, 6.0), SIZE, seconds=COUNT / 6)


def animated_camera(scene, content, fit="HORIZONTAL"):
    """A camera with the animation of a match-moving tool: parented to an empty, with an animated lens."""
    data = bpy.data.cameras.new("Solved")
    cam = bpy.data.objects.new("Solved", data)
    parent = bpy.data.objects.new("Parent", None)
    for obj in (cam, parent):
        scene.collection.objects.link(obj)
    cam.parent = parent
    parent.location = (3.0, -1.0, 0.5)
    parent.rotation_mode, parent.rotation_euler = "XYZ", (0.1, 0.2, 0.7)
    parent.scale = (1.3, 1.3, 1.3)
    bpy.context.view_layer.update()
    data.sensor_fit, data.sensor_width, data.sensor_height = fit, 30.0, 20.0
    cam.rotation_mode = "QUATERNION"
    flip = np.diag([1.0, -1.0, -1.0])
    parent_matrix = np.array(parent.matrix_world)
    for k, frame in enumerate(content["frames"]):
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(content["rotation"][k], (3, 3)) @ flip
        matrix[:3, 3] = content["position"][k]
        local = Matrix((np.linalg.inv(parent_matrix) @ matrix).tolist())
        cam.location, cam.rotation_quaternion = local.to_translation(), local.to_quaternion()
        side, sensor = (SIZE[1], 20.0) if fit == "VERTICAL" else (SIZE[0], 30.0)
        fx, _, cx, cy = content["intrinsics"][k]
        data.lens = fx * sensor / side
        data.shift_x = (SIZE[0] / 2 - 0.5 - cx) / side
        data.shift_y = (cy + 0.5 - SIZE[1] / 2) / side
        for path in ("location", "rotation_quaternion"):
            cam.keyframe_insert(path, frame=START + frame)
        for path in ("lens", "shift_x", "shift_y"):
            data.keyframe_insert(path, frame=START + frame)
    scene.camera = cam
    return cam


def the_rig(scene):
    (rig,) = rigs(scene).values()
    return rig


def projected_vertices(scene, rig):
    """(V / 300, 2) every 300th vertex of the evaluated mesh, projected by the scene's camera, px of the clip."""
    positions = body_vertices(rig)[::300].tolist()
    views = [world_to_camera_view(scene, scene.camera, Vector(position)) for position in positions]
    return np.array([(v.x * SIZE[0] - 0.5, (1 - v.y) * SIZE[1] - 0.5) for v in views])


def assert_projects_the_ground_truth(scene, model, gt_scene):
    for t in (0, 5, COUNT - 1):
        scene.frame_set(START + t)
        vertices = backend_vertices(model, gt_scene.people[0], t).astype(float)[::300]
        expected = gt_scene.view[t : t + 1].project(vertices[None])[0]
        assert np.linalg.norm(projected_vertices(scene, the_rig(scene)) - expected, axis=1).max() < 0.1


@pytest.mark.parametrize("fit", ["HORIZONTAL", "VERTICAL", "AUTO"])
def test_sampled_camera_matches_the_animation(scene, gt_scene, fit):
    content = camera_file_content(gt_scene.view, 1.7, SIZE)
    content["intrinsics"] = [[fx, fy, cx + 7, cy - 4] for fx, fy, cx, cy in content["intrinsics"]]
    cam = animated_camera(scene, content, fit)
    # the size of the clip counts, not of the render
    scene.render.resolution_x, scene.render.resolution_y = 1920, 800
    scene.frame_set(7, subframe=0.25)
    found = camera_sampling.sample(scene, cam, range(COUNT), START, SIZE)
    assert (scene.frame_current, scene.frame_subframe) == (7, 0.25)
    for name in ("frames", "rotation", "position", "intrinsics"):
        np.testing.assert_allclose(found[name], content[name], atol=2e-4 if name != "intrinsics" else 0.02)
    CameraTrack.from_content(json.loads(json.dumps(found)))


def test_upright_clips_and_wide_pixels(scene):
    data = bpy.data.cameras.new("c")
    data.sensor_width, data.lens, data.shift_x, data.shift_y = 36.0, 50.0, 0.1, -0.05
    for size, fit, aspect in (
        ((360, 640), "AUTO", (1, 1)), ((640, 360), "AUTO", (1, 2)), ((640, 480), "VERTICAL", (2, 1)),
    ):  # fmt: skip
        data.sensor_fit = fit
        scene.render.resolution_x, scene.render.resolution_y = size
        scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = aspect
        cam = bpy.data.objects.new("c", data)
        scene.collection.objects.link(cam)
        bpy.context.view_layer.update()
        fx, fy, cx, cy = camera_sampling.camera_intrinsics(scene, data, size)
        for x, y, z in ((0.3, -0.2, -2.0), (-0.4, 0.5, -3.0)):  # the camera is at the origin and looks along -z
            seen = world_to_camera_view(scene, cam, Vector((x, y, z)))
            pixel = (seen.x * size[0] - 0.5, (1 - seen.y) * size[1] - 0.5)
            np.testing.assert_allclose((fx * x / -z + cx, fy * -y / -z + cy), pixel, atol=1e-3)


def test_constraints_are_evaluated(scene):
    cam = bpy.data.objects.new("c", bpy.data.cameras.new("c"))
    target = bpy.data.objects.new("t", None)
    for obj in (cam, target):
        scene.collection.objects.link(obj)
    target.location = (1, 2, 3)
    target.keyframe_insert("location", frame=1)
    target.location = (5, 2, 3)
    target.keyframe_insert("location", frame=5)
    cam.constraints.new("COPY_LOCATION").target = target
    scene.camera = cam
    found = camera_sampling.sample(scene, cam, [0, 4], 1, SIZE)
    np.testing.assert_allclose(found["position"], [[1, 2, 3], [5, 2, 3]], atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 0.4, 3.0])
def test_matchmove_camera_projects_the_ground_truth(scene, model, addon_body, gt_scene, scale):
    cam = animated_camera(scene, camera_file_content(gt_scene.view, scale))
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    before = (scene.frame_start, scene.frame_end, np.array(cam.matrix_world), len(bpy.data.cameras))
    info, rows = info_of(gt_scene, **INFO, moving=True), chunk(gt_scene, 0, COUNT, people=(1,))
    build_clip(scene, addon_body, info, gt_scene, rows, scale=scale)
    assert scene.camera == cam
    assert len(cam.data.background_images) == 0
    assert (scene.frame_start, scene.frame_end) == before[:2]
    assert len(bpy.data.cameras) == before[3]
    assert_projects_the_ground_truth(scene, model, gt_scene)
    assert the_rig(scene).scale.x == pytest.approx(scale)
    build_clip(scene, addon_body, info, gt_scene, rows, scale=scale)
    assert scene.camera == cam
    assert len(clip.clips(scene)) == 1
    the_rig(scene)


def test_imported_result_creates_its_camera(scene, model, addon_body, gt_scene, tmp_path):
    rows, view, scale = chunk(gt_scene, 0, COUNT, people=(1,)), gt_scene.view, 2.5
    for name in ("people", "person"):
        rows.pop(name)
    rows["betas"] = rows["betas"][0]
    c = gt_scene.camera
    np.savez(
        tmp_path / "person1.npz", **rows, camera=np.array([c.fx, c.fy, c.cx, c.cy]), image_size=np.array(SIZE),
        world_rotation=gt_scene.world.rotation, world_translation=gt_scene.world.translation, person=np.array(1),
        mocap_framerate=np.array(6.0), model=np.array("m"), body=np.array(addon_body.name), license=np.array("CC0-1.0"),
        camera_rotation=view.rotation, camera_translation=view.translation,
        camera_intrinsics=np.concatenate([view.focal, view.center], 1), scene_scale=np.array(scale),
    )  # fmt: skip
    for _ in range(2):  # a second import replaces the first
        clip_npz.build(scene, [str(tmp_path / "person1.npz")], addon_body, start=START)
    assert len(bpy.data.cameras) == 1
    assert (scene.frame_start, scene.frame_end) == (START, START + COUNT - 1)
    assert sum(a.get("recover_mesh") == "motion" for a in bpy.data.actions) == 3
    assert_projects_the_ground_truth(scene, model, gt_scene)


def test_missing_camera_is_an_error(scene, addon_body, gt_scene):
    settings = scene.recover_mesh.clip
    assert clip_camera.selected_camera(settings, scene) is None  # fixed, the default
    settings.camera_kind = "SCENE"
    with pytest.raises(UserError, match="no camera"):
        clip_camera.selected_camera(settings, scene)
    clip.ClipScene(scene, info_of(gt_scene, **INFO), addon_body)
    with pytest.raises(UserError, match="made by Recover Mesh"):
        clip_camera.selected_camera(settings, scene)
    cam = bpy.data.objects.new("Mine", bpy.data.cameras.new("Mine"))
    settings.camera = cam
    assert clip_camera.selected_camera(settings, scene) == cam
    with pytest.raises(UserError, match="view layer"):
        camera_sampling.sample(scene, cam, [0], 1, SIZE)
    scene.collection.objects.link(cam)
    cam.data.type = "ORTHO"
    with pytest.raises(UserError, match="perspective"):
        camera_sampling.sample(scene, cam, [0], 1, SIZE)


# ---- the button ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def footage(model, tmp_path_factory):
    from benchmarks.clips.__main__ import write_clip
    from benchmarks.clips.render import Renderer

    gt_scene = MOTIONS["dolly"](MotionMaker(model, 15.0), SIZE, seconds=1.6)
    return str(write_clip(tmp_path_factory.mktemp("footage"), "dolly", gt_scene, Renderer(model))), gt_scene


def test_recover_clip_with_the_scene_camera(real_backend, scene, footage):
    path, gt_scene = footage
    settings = scene.recover_mesh
    settings.source, settings.clip.path, settings.clip.start = "CLIP", path, START
    settings.clip.camera_kind = "SCENE"
    with pytest.raises(RuntimeError, match="no camera"):
        bpy.ops.recover_mesh.recover_clip()
    cam = animated_camera(scene, camera_file_content(gt_scene.view, 4.0))
    image = cam.data.background_images.new()
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.frame_set(3)
    assert bpy.ops.recover_mesh.recover_clip() == {"FINISHED"}
    assert real_backend.state.error is None
    assert scene.camera == cam
    assert [*cam.data.background_images] == [image]
    assert scene.frame_current == 3
    assert [o for o in scene.objects if o.type == "CAMERA"] == [cam]
    rig = the_rig(scene)
    assert rig.scale.x == pytest.approx(4.0, rel=0.1)
    assert any("Scene scale found" in note for note in real_backend.state.notes)
    gt = gt_scene.world.points(gt_scene.people[0].joints[:, 0]) * 4.0
    gaps, pixels = [], []
    for t in range(24):
        scene.frame_set(START + t)
        pelvis = rig.matrix_world @ rig.pose.bones["pelvis"].head
        gaps.append(np.linalg.norm(np.array(pelvis) - gt[t]))
        seen = world_to_camera_view(scene, cam, pelvis)
        gt_pixel = gt_scene.view[t : t + 1].project(gt_scene.people[0].joints[t : t + 1, :1])[0, 0]
        pixels.append(np.hypot(seen.x * SIZE[0] - 0.5 - gt_pixel[0], (1 - seen.y) * SIZE[1] - 0.5 - gt_pixel[1]))
    assert np.mean(gaps) < 0.25 * 4.0
    assert np.mean(pixels) < 8
    settings.clip.scene_scale = 4.0
    assert bpy.ops.recover_mesh.recover_clip() == {"FINISHED"}
    assert the_rig(scene).scale.x == pytest.approx(4.0)
    assert scene.camera == cam
