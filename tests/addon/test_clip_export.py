"""Export of a clip's motion to every format."""

import struct

import bpy
import numpy as np
import pytest
from clip_helpers import COUNT, body_vertices, gt_vertices, rigs

from blender_addon.errors import UserError
from blender_addon.scene import export


@pytest.mark.parametrize("ending", ["glb", "fbx", "bvh", "usd", "abc"])
def test_every_export_format(scene, built_clip, tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    before = {o.name: o.data for o in scene.objects if o.type == "MESH"}
    export.write(str(path), scene, list(rigs(scene).values()))
    assert path.stat().st_size > 5000
    assert {o.name: o.data for o in scene.objects if o.type == "MESH"} == before
    if ending == "bvh":
        assert (tmp_path / "out-2.bvh").exists()
        frames = next(line for line in path.read_text().splitlines() if line.startswith("Frames:"))
        assert int(frames.split()[1]) == COUNT


def test_glb_round_trip_keeps_the_motion(scene, built_clip, model, gt_scene, tmp_path):
    path = str(tmp_path / "out.glb")
    export.write(path, scene, [rigs(scene)[1]])
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
    gt = np.diff([gt_vertices(model, gt_scene, 1, t).mean(0) for t in (0, COUNT - 3)], axis=0)[0]
    assert np.linalg.norm(moved - gt) < 0.1


def test_pc2_holds_the_evaluated_mesh(scene, built_clip, tmp_path):
    path = tmp_path / "out.pc2"
    rig = rigs(scene)[1]
    export.write(str(path), scene, [rig])
    data = path.read_bytes()
    _, _, vertices, _, _, frames = struct.unpack("<12siiffi", data[:32])
    assert (vertices, frames) == (6890, COUNT)
    points = np.frombuffer(data[32:], np.float32).reshape(frames, vertices, 3)
    scene.frame_set(11 + 17)
    shown = body_vertices(rig) - np.array(export.body_mesh_of(rig).matrix_world)[:3, 3]
    assert np.abs(points[17] - shown).max() < 1e-5


def test_invalid_exports_are_refused(scene, built_clip, tmp_path):
    with pytest.raises(UserError):
        export.write(str(tmp_path / "a.xyz"), scene, list(rigs(scene).values()))
    with pytest.raises(UserError):
        export.write(str(tmp_path / "a.glb"), scene, [])
