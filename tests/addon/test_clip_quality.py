"""Where to look in a clip: lanes, markers, who is hidden."""

import bpy
import numpy as np
import pytest
from clip_parts import COUNT, chunk, info_of, rigs, world_of

from blender_addon.scene import clip, exchange, fcurves, quality


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
