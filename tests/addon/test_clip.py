"""A clip in Blender: actions that move the mesh as the backend says, growing, replaced, exported; the button itself."""

import struct
from pathlib import Path

import bpy
import numpy as np
import pytest
import torch
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

from backend.body.keypoint_fit import rotations as rot
from backend.body.loader import load_body
from backend.body.wire import body_message
from blender_addon.errors import UserError
from blender_addon.scene import clip, exchange, fcurves, quality, records
from tools.clips.motions import MOTIONS, Maker

MM = 1e-3
COUNT = 40


@pytest.fixture(scope="module")
def model():
    return load_body("open")


@pytest.fixture(scope="module")
def record(model):
    return records.body_from_wire(*body_message(model))


@pytest.fixture(scope="module")
def scenery(model):
    return MOTIONS["cross"](Maker(model, 25.0), (640, 360), seconds=COUNT / 25)


def info_of(scenery, job="/jobs/a", start=11, **more):
    c = scenery.camera
    fields = {
        "source": "/clips/cross.mp4", "job": job, "size": (c.width, c.height), "camera": (c.fx, c.fy, c.cx, c.cy),
        "fps": 25.0, "frames": COUNT, "model": "m", "body": "open", "license": "CC0-1.0", "start": start,
    }  # fmt: skip
    return clip.ClipInfo(**{**fields, **more})


def chunk(scenery, first, end, people=(1, 2), filled=(), hidden=()):
    """Rows as the wire carries them."""
    rows = [(p, t) for t in range(first, end) for p in people]
    truth = {p: scenery.people[p - 1] for p in people}

    def of(name):
        return np.array([getattr(truth[p], name)[t] for p, t in rows], np.float32)

    return {
        "people": np.array(people, np.int32),
        "betas": np.array([truth[p].betas for p in people], np.float32),
        "frames": np.array([t for _, t in rows], np.int32),
        "person": np.array([p for p, _ in rows], np.int32),
        "poses": of("poses"),
        "trans": of("trans"),
        "confidence": np.full((len(rows), 24), 0.8, np.float32),
        "filled": np.array([t in filled for _, t in rows], np.uint8),
        "hidden": np.array([t in hidden for _, t in rows], np.uint8),
        "contacts": of("contacts").astype(np.uint8),
        "reprojection_px": np.ones(len(rows), np.float32),
    }


def world_of(scenery):
    return [*scenery.world.rotation.ravel().tolist(), *scenery.world.translation.tolist()]


@pytest.fixture
def built(scene, record, scenery):
    made = clip.ClipScene(scene, info_of(scenery), record)
    made.add(chunk(scenery, 0, COUNT, filled=range(20, 25)), True, world_of(scenery))
    made.finish()
    return made


def rigs(scene):
    return {o["person"]: o for o in scene.objects if o.get("recover_mesh") == "rig"}


def skin_vertices(rig):
    skin = exchange.skin_of(rig)
    evaluated = skin.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = np.empty(3 * len(evaluated.data.vertices), np.float32)
    evaluated.data.vertices.foreach_get("co", points)
    matrix = np.array(evaluated.matrix_world)
    return points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


def true_vertices(model, scenery, person, t):
    one = scenery.people[person - 1]
    with torch.inference_mode():
        tensors = (
            torch.as_tensor(np.asarray(x), dtype=torch.float32)[None]
            for x in (one.poses[t], one.betas, one.trans[t])
        )
        return scenery.world.points(model(*tensors).vertices[0].double().numpy())


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


def test_lanes_and_markers_show_where_to_look(scene, built):
    rig = rigs(scene)[1]
    scene.frame_set(11 + 22)
    assert rig["filled"] == 1
    assert rig["problem"] == pytest.approx(1.0)
    scene.frame_set(11 + 5)
    assert rig["filled"] == 0
    found = quality.marks(scene)
    assert found
    assert any("filled in 21-25" in marker.name for marker in found)
    bpy.ops.recover_mesh.next_problem()
    assert scene.frame_current == found[0].frame
    assert bpy.context.view_layer.objects.active == scene.objects[found[0].person]


def test_who_is_hidden_is_not_shown_and_is_no_great_problem(scene, record, scenery, tmp_path):
    made = clip.ClipScene(scene, info_of(scenery), record)
    gone = range(12, 30)
    made.add(chunk(scenery, 0, COUNT, people=(1,), filled=gone, hidden=gone), True, world_of(scenery))
    made.add(chunk(scenery, 0, COUNT, people=(2,), filled=range(20, 25)), True, world_of(scenery))
    made.finish()
    rig, other = rigs(scene)[1], rigs(scene)[2]
    for t, away in ((11, False), (12, True), (29, True), (30, False)):
        scene.frame_set(11 + t)
        for obj in (rig, exchange.skin_of(rig)):
            assert (obj.hide_viewport, obj.hide_render, rig["hidden"]) == (away, away, away), t
        assert not other.hide_viewport
        assert not exchange.skin_of(other).hide_render
    hiding = [c for c in fcurves.curves_of(rig.animation_data.action) if c.data_path.startswith("hide_")]
    assert {key.interpolation for curve in hiding for key in curve.keyframe_points} == {"CONSTANT"}
    found = quality.marks(scene)
    assert found[0].person == other.name  # what is made up and shown
    assert any("hidden 13-30" in one.name and one.score < 0.2 for one in found)
    assert not any(
        "jerk" in one.name and 11 <= one.frame - 11 <= 31 and one.person == rig.name for one in found
    )
    # exporters give all frames, also of who is hidden while they run
    scene.frame_set(11 + 20)
    exchange.write(str(tmp_path / "a.pc2"), scene, [rig])
    assert rig.hide_viewport
    points = np.frombuffer((tmp_path / "a.pc2").read_bytes()[32:], np.float32).reshape(COUNT, -1, 3)
    assert np.abs(np.diff(points, axis=0)).max(axis=(1, 2)).min() > 1e-4


def test_who_comes_back_into_sight_is_shown_again(scene, record, scenery):
    made = clip.ClipScene(scene, info_of(scenery), record)
    made.add(
        chunk(scenery, 0, 10, people=(1,), filled=range(5, 10), hidden=range(5, 10)), False, world_of(scenery)
    )
    made.flush(force=True)
    scene.frame_set(11 + 7)
    assert rigs(scene)[1].hide_render
    actions = len(bpy.data.actions)
    made.add(chunk(scenery, 0, 10, people=(1,)), True, world_of(scenery))
    made.finish()
    rig = rigs(scene)[1]
    scene.frame_set(11 + 7)
    assert not rig.hide_render
    assert not exchange.skin_of(rig).hide_render
    assert len(bpy.data.actions) < actions


def test_next_problem_goes_from_the_worst_to_the_next(scene, built):
    found = quality.marks(scene)
    visited = []
    for _ in found:
        bpy.ops.recover_mesh.next_problem()
        visited.append(scene.frame_current)
    assert sorted(visited) == sorted(marker.frame for marker in found)


@pytest.mark.parametrize("ending", ["glb", "fbx", "bvh", "usd", "abc"])
def test_other_tools_get_the_motion(scene, built, tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    before = {o.name: o.data for o in scene.objects if o.type == "MESH"}
    exchange.write(str(path), scene, list(rigs(scene).values()))
    assert path.stat().st_size > 5000
    assert {o.name: o.data for o in scene.objects if o.type == "MESH"} == before
    if ending == "bvh":
        assert (tmp_path / "out-2.bvh").exists()
        frames = next(line for line in path.read_text().splitlines() if line.startswith("Frames:"))
        assert int(frames.split()[1]) == COUNT


def test_a_glb_moves_when_it_comes_back(scene, built, model, scenery, tmp_path):
    path = str(tmp_path / "out.glb")
    exchange.write(path, scene, [rigs(scene)[1]])
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = 25, 1.0
    bpy.ops.import_scene.gltf(filepath=path)
    mesh = next(o for o in bpy.data.objects if o.type == "MESH" and len(o.data.vertices) > 1000)
    middles = []
    for frame in (11, 11 + COUNT - 3):
        bpy.context.scene.frame_set(frame)
        evaluated = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
        middles.append(np.mean([evaluated.matrix_world @ v.co for v in evaluated.data.vertices], axis=0))
    moved = middles[1] - middles[0]
    truth = np.diff([true_vertices(model, scenery, 1, t).mean(0) for t in (0, COUNT - 3)], axis=0)[0]
    assert np.linalg.norm(moved - truth) < 0.1


def test_a_vertex_cache_holds_what_is_shown(scene, built, tmp_path):
    path = tmp_path / "out.pc2"
    rig = rigs(scene)[1]
    exchange.write(str(path), scene, [rig])
    data = path.read_bytes()
    _, _, vertices, _, _, frames = struct.unpack("<12siiffi", data[:32])
    assert (vertices, frames) == (6890, COUNT)
    points = np.frombuffer(data[32:], np.float32).reshape(frames, vertices, 3)
    scene.frame_set(11 + 17)
    shown = skin_vertices(rig) - np.array(exchange.skin_of(rig).matrix_world)[:3, 3]
    assert np.abs(points[17] - shown).max() < 0.01 * MM


def test_exports_that_cannot_be_are_refused(scene, built, tmp_path):
    with pytest.raises(UserError):
        exchange.write(str(tmp_path / "a.xyz"), scene, list(rigs(scene).values()))
    with pytest.raises(UserError):
        exchange.write(str(tmp_path / "a.glb"), scene, [])


# ---- the button ------------------------------------------------------------------------------------------


@pytest.fixture
def real_backend(addon, scene, environment, monkeypatch, tmp_path):
    """The real backend as the add-on's child."""
    from blender_addon import preferences, runtime

    preferences.get_preferences().environment = environment
    monkeypatch.setattr(runtime, "user_folder", lambda: str(tmp_path))
    yield runtime
    preferences.get_preferences().environment = ""
    runtime.shut_down()


@pytest.fixture(scope="module")
def footage(model, tmp_path_factory):
    from tools.clips.__main__ import write_clip
    from tools.clips.render import Renderer

    scenery = MOTIONS["walk"](Maker(model, 15.0), (640, 360), seconds=2.2)
    return str(write_clip(tmp_path_factory.mktemp("footage"), "walk", scenery, Renderer(model)))


def test_the_button_recovers_a_clip_and_a_second_click_is_quick(real_backend, scene, footage):
    settings = scene.recover_mesh
    settings.source, settings.clip.path = "CLIP", footage
    assert bpy.ops.recover_mesh.recover_clip() == {"FINISHED"}
    assert real_backend.state.error is None
    (rig,) = rigs(scene).values()
    assert len(fcurves.curves_of(rig.animation_data.action)[0].keyframe_points) == 33
    assert [(p.id, p.use) for p in settings.clip.people] == [(1, True)]
    (collection,) = clip.clips(scene)
    first = np.array(rig.pose.bones["pelvis"].matrix)
    scene.frame_set(20)
    assert np.abs(np.array(rig.pose.bones["pelvis"].matrix) - first).max() > 0.1
    assert Path(collection["job"], "person1.npz").is_file()
    settings.clip.smoothing = 0.9
    assert bpy.ops.recover_mesh.recover_clip() == {"FINISHED"}
    assert [n for n in real_backend.state.notes if "33 frames" in n], real_backend.state.notes
    assert len(rigs(scene)) == 1


def test_a_person_is_split_and_merged_by_the_buttons(real_backend, scene, footage):
    settings = scene.recover_mesh
    settings.source, settings.clip.path = "CLIP", footage
    bpy.ops.recover_mesh.recover_clip()
    settings.clip.people[0].select = True
    scene.frame_set(15)
    bpy.ops.recover_mesh.split_person()
    assert bpy.ops.recover_mesh.recover_clip() == {"FINISHED"}
    assert [n for n in real_backend.state.notes if "33 frames were done" in n]  # only the last step was
    assert [(p.id, p.first, p.last, p.seen) for p in settings.clip.people] == [
        (2, 14, 32, 19),
        (1, 0, 13, 14),
    ]
    keys = {k: fcurves.curves_of(r.animation_data.action)[0].keyframe_points for k, r in rigs(scene).items()}
    assert {k: (p[0].co[0], p[-1].co[0]) for k, p in keys.items()} == {1: (1, 14), 2: (15, 33)}
    for one in settings.clip.people:
        one.select = True
    bpy.ops.recover_mesh.merge_people()
    bpy.ops.recover_mesh.recover_clip()
    assert [(p.id, p.first, p.last, p.seen) for p in settings.clip.people] == [(1, 0, 32, 33)]
    assert set(rigs(scene)) == {1}


def test_people_who_are_not_ticked_are_left_out(real_backend, scene, footage):
    settings = scene.recover_mesh
    settings.source, settings.clip.path = "CLIP", footage
    bpy.ops.recover_mesh.recover_clip()
    settings.clip.people[0].use = False
    with pytest.raises(RuntimeError, match="Nobody is chosen"):
        bpy.ops.recover_mesh.recover_clip()


def test_a_clip_that_is_gone_is_told(real_backend, scene, tmp_path):
    settings = scene.recover_mesh
    settings.source, settings.clip.path = "CLIP", str(tmp_path / "none.mp4")
    with pytest.raises(RuntimeError, match="There is no file"):
        bpy.ops.recover_mesh.recover_clip()


def test_the_result_of_the_command_line_can_be_imported(real_backend, scene, footage, tmp_path, record):
    from backend.export.through_blender import _write_body

    scene.recover_mesh.source, scene.recover_mesh.clip.path = "CLIP", footage
    bpy.ops.recover_mesh.recover_clip()
    folder = clip.clips(scene)[0]["job"]
    _write_body(tmp_path / "body.npz", load_body("open"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.recover_mesh.import_result(
        filepath=str(Path(folder, "person1.npz")), body=str(tmp_path / "body.npz")
    )
    assert set(rigs(bpy.context.scene)) == {1}


def test_the_strip_gives_path_range_and_start(scene, footage):
    scene.sequence_editor_create()
    editor = scene.sequence_editor
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    strip = strips.new_movie("walk", footage, channel=1, frame_start=101)
    strip.frame_offset_start, strip.frame_final_duration = 5, 20
    editor.active_strip = strip
    bpy.ops.recover_mesh.use_strip()
    settings = scene.recover_mesh.clip
    assert bpy.path.abspath(settings.path) == footage
    assert (settings.use_range, settings.first, settings.last, settings.start) == (True, 6, 25, 101)


def test_rotations_written_are_those_read(record):
    from blender_addon.scene import basis

    angles = np.random.default_rng(0).standard_normal((6, 24, 3))
    np.testing.assert_allclose(basis.rotation_matrices(angles), rot.exp(angles), atol=1e-12)
