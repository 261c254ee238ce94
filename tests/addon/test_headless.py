"""Export to .blend and .glb by `blender_addon.headless` in a separate process, and import of npz files."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from evaluated_mesh import evaluated_vertices
from fake_backend import BODY, CAMERA, make_body, random_person, write_body, write_png

from backend.export.npz import write_npz
from backend.structures import FrameResult, RecoveredPerson
from blender_addon.scene import basis, person, skinning

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> dict:
    """The plan of an export of two people in one photo, and its files."""
    folder = tmp_path_factory.mktemp("a job")
    results = []
    for seed in (1, 2):
        one = random_person(seed)
        zeros = np.zeros((24, 3), np.float32)
        row = RecoveredPerson(
            one.poses, one.betas, one.trans, zeros, zeros, one.confidence, zeros, np.zeros(4), 0.9, 2.0, 0.01
        )
        frame = FrameResult("somebody.jpg", 0, CAMERA, [row], "keypoint-fit", BODY, "CC0-1.0")
        write_npz(folder / f"somebody_person{seed}.npz", frame, row)
        results.append(str(folder / f"somebody_person{seed}.npz"))
    made = {
        "results": results,
        "body": write_body(folder / "body.npz"),
        "image": str(write_png(folder / "somebody.png", 640, 480)),
        "blend": str(folder / "somebody.blend"),
        "glb": str(folder / "somebody.glb"),
    }
    assert run(folder, made).returncode == 0
    return made


def run(folder: Path, made: dict) -> subprocess.CompletedProcess[str]:
    (folder / "job.json").write_text(json.dumps(made), encoding="utf-8")
    command = [sys.executable, "-m", "blender_addon.headless", str(folder / "job.json")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)


def expected_world(seeds: tuple[int, ...]) -> list[np.ndarray]:
    points = [basis.camera_points(skinning.skinned_vertices(make_body(), random_person(s))) for s in seeds]
    lowest = min(p[:, 2].min() for p in points)
    return [p - [0, 0, lowest] for p in points]


def test_blend_contains_the_people(job, scene):
    bpy.ops.wm.open_mainfile(filepath=job["blend"])
    skins = sorted((o for o in bpy.data.objects if o.get(person.KIND_KEY) == "body"), key=lambda o: o.name)
    for skin, expected in zip(skins, expected_world((1, 2)), strict=True):
        assert np.abs(evaluated_vertices(skin) - expected).max() < 1e-3
    assert bpy.context.scene.camera.data.background_images[0].image.packed_file is not None
    assert (bpy.context.scene.render.resolution_x, bpy.context.scene.render.resolution_y) == (640, 480)


def test_glb_is_skinned_and_exact(job, scene):
    """Imported again: the skinned mesh with baked correctives has the expected vertices."""
    raw = Path(job["glb"]).read_bytes()
    (length,) = struct.unpack_from("<I", raw, 12)
    content = json.loads(raw[20 : 20 + length])
    assert len(content["skins"]) == 2 and len(content["skins"][0]["joints"]) == 24
    assert content["cameras"] and not any("targets" in p for m in content["meshes"] for p in m["primitives"])
    bpy.ops.preferences.addon_enable(module="io_scene_gltf2")
    bpy.ops.import_scene.gltf(filepath=job["glb"])
    bpy.context.view_layer.update()
    skins = sorted((o for o in bpy.data.objects if o.find_armature() is not None), key=lambda o: o.name)
    for skin, expected in zip(skins, expected_world((1, 2)), strict=True):
        got = evaluated_vertices(skin)
        # glTF splits vertices: compare as sets of points
        assert np.abs(got.min(0) - expected.min(0)).max() < 1e-3
        assert np.abs(got.max(0) - expected.max(0)).max() < 1e-3
        assert (
            np.abs(np.unique(got.round(3), axis=0).mean(0) - np.unique(expected.round(3), axis=0).mean(0)).max() < 1e-3
        )


def test_import_result(job, scene):
    files = [{"name": Path(p).name} for p in job["results"]]
    folder = str(Path(job["results"][0]).parent)
    done = bpy.ops.recover_mesh.import_result(files=files, directory=folder, body=job["body"])
    assert done == {"FINISHED"}
    assert sum(o.get(person.KIND_KEY) == "rig" for o in bpy.data.objects) == 2


def test_import_asks_the_backend_for_the_body(job, fake_backend, scene):
    assert bpy.ops.recover_mesh.import_result(filepath=job["results"][0]) == {"FINISHED"}
    assert sum(o.get(person.KIND_KEY) == "rig" for o in bpy.data.objects) == 1


def test_import_of_something_else(job, scene, tmp_path):
    np.savez(tmp_path / "other.npz", poses=np.zeros((1, 72)))
    for path, words in (
        (tmp_path / "other.npz", "is not a result of Recover Mesh .it lacks betas"),
        (tmp_path / "absent.npz", "cannot be read"),
    ):
        with pytest.raises(RuntimeError, match=words):
            bpy.ops.recover_mesh.import_result(filepath=str(path), body=job["body"])
    with pytest.raises(RuntimeError, match="is not a body"):
        bpy.ops.recover_mesh.import_result(filepath=job["results"][0], body=job["results"][1])
    assert not bpy.data.objects


def test_error_messages(job, tmp_path):
    done = run(tmp_path, {**job, "results": [str(tmp_path / "absent.npz")]})
    assert done.returncode == 1 and "absent.npz cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    done = run(tmp_path, {**job, "blend": str(tmp_path / "no such folder" / "x.blend"), "glb": None})
    assert done.returncode == 1 and "cannot be written" in done.stderr
