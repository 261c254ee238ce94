"""Recover Mesh for photos with a real server and protocol; only the recovery in the worker is a fake."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import bpy
import numpy as np
import pytest
from evaluated_mesh import evaluated_vertices
from fake_backend import BODY, CAMERA, make_body, random_person, write_png

from blender_addon import runtime
from blender_addon.client.photo_recovery import JobEnded, PhotoRecovery, Source
from blender_addon.scene import basis, build, person, skinning
from blender_addon.settings import preferences

TIMEOUT = 120.0  # seconds; the machine may be slow


def choose(scene: bpy.types.Scene, folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        if not path.exists():
            write_png(path)
        scene.recover_mesh.photos.add().path = str(path)


def recover(scene: bpy.types.Scene, folder: Path, *names: str) -> None:
    choose(scene, folder, *names)
    assert bpy.ops.recover_mesh.recover() == {"FINISHED"}


def rigs() -> list[bpy.types.Object]:
    return [o for o in bpy.data.objects if o.get(person.KIND_KEY) == "rig"]


def datablocks() -> dict[str, int]:
    kinds = ("objects", "meshes", "armatures", "cameras", "collections", "materials", "images", "shape_keys")
    return {kind: len(getattr(bpy.data, kind)) for kind in kinds}


def wait_until(condition, what: str) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, f"waited {TIMEOUT} s for {what}"
        time.sleep(0.02)


def test_one_photo(fake_backend, scene, tmp_path):
    recover(scene, tmp_path, "someone's photo äöü.png")
    collection = build.photos(scene)[0]
    assert collection.name == "someone's photo äöü"
    (rig,) = rigs()
    _, skin = person.parts(rig)
    expected = basis.camera_points(skinning.skinned_vertices(make_body(), random_person(0)))
    expected[:, 2] -= expected[:, 2].min()  # the lowest vertex is at z = 0
    assert np.abs(evaluated_vertices(skin) - expected).max() < 1e-3
    for obj in (rig, skin, scene.camera):
        assert (obj["model"], obj["body"], obj["license"]) == ("fake", BODY, "CC0-1.0")
        assert obj["source"] == str(tmp_path / "someone's photo äöü.png")
    assert rig["reprojection_px"] == pytest.approx(3.5)
    assert (scene.render.resolution_x, scene.render.resolution_y) == (CAMERA.width, CAMERA.height)
    background = scene.camera.data.background_images[0].image
    assert Path(bpy.path.abspath(background.filepath)) == tmp_path / "someone's photo äöü.png"
    assert runtime.state.error is None and not runtime.state.busy


def test_several_photos(fake_backend, scene, tmp_path):
    """Only one photo is visible at a time: people of different photos overlap."""
    recover(scene, tmp_path, "one.png", "nobody.png", "two.png", "bad.png")
    assert [c.name for c in build.photos(scene)] == ["one", "two"]
    assert len(rigs()) == 3
    assert runtime.state.notes == ["nobody.png: no people found.", "bad.png: bad.png is not an image. Choose a photo."]
    first, second = build.photos(scene)
    layer = bpy.context.view_layer
    assert (build.is_shown(layer, first), build.is_shown(layer, second)) == (False, True)
    assert bpy.ops.recover_mesh.show_photo(collection="one") == {"FINISHED"}
    assert (build.is_shown(layer, first), build.is_shown(layer, second)) == (True, False)
    assert scene.camera.name in first.objects


def test_photo_without_people_leaves_nothing(fake_backend, scene, tmp_path):
    choose(scene, tmp_path, "nobody.png")
    before = datablocks()
    assert bpy.ops.recover_mesh.recover() == {"CANCELLED"}
    assert datablocks() == before
    assert runtime.state.notes == ["nobody.png: no people found."]


def test_undo_is_one_step(fake_backend, scene, tmp_path):
    choose(scene, tmp_path, "two.png", "one.png")
    bpy.ops.ed.undo_push(message="before")
    before = datablocks()
    assert bpy.ops.recover_mesh.recover("EXEC_DEFAULT", True) == {"FINISHED"}
    assert len(rigs()) == 3
    bpy.ops.ed.undo()
    assert datablocks() == before
    bpy.ops.ed.redo()
    assert len(rigs()) == 3


def test_generated_image_goes_inline(fake_backend, scene):
    image = bpy.data.images.new("Painted", 12, 8)
    scene.recover_mesh.source, scene.recover_mesh.image = "IMAGE", image
    assert bpy.ops.recover_mesh.recover() == {"FINISHED"}
    assert scene.camera.data.background_images[0].image == image
    assert rigs()[0]["source"] == "Painted"


def test_backend_missing(scene, tmp_path):
    choose(scene, tmp_path, "one.png")
    before = datablocks()
    with pytest.raises(RuntimeError, match=r"The backend is not installed\. Click Install Backend"):
        bpy.ops.recover_mesh.recover()
    assert datablocks() == before and not runtime.state.busy


def test_environment_without_backend(fake_backend, scene, tmp_path):
    """A Python without recover-mesh, and a path without Python."""
    import venv

    venv.create(tmp_path / "bare", with_pip=False, symlinks=os.name != "nt")
    preferences.get_preferences().environment = str(tmp_path / "bare")
    choose(scene, tmp_path, "one.png")
    with pytest.raises(RuntimeError, match="has no Recover Mesh backend in it"):
        bpy.ops.recover_mesh.recover()
    preferences.get_preferences().environment = str(tmp_path / "absent")
    with pytest.raises(RuntimeError, match="There is no Python in"):
        bpy.ops.recover_mesh.recover()


def test_backend_that_exits_at_startup(fake_backend, scene, tmp_path):
    fake_backend.close()
    fake_backend.extra_args = ("--model", "no-such-model")
    choose(scene, tmp_path, "one.png")
    with pytest.raises(RuntimeError, match=r"ended at its start \(exit code 2\).*no-such-model"):
        bpy.ops.recover_mesh.recover()


def test_killed_backend_is_restarted(fake_backend, scene, tmp_path):
    choose(scene, tmp_path, "one.png", "die.png")
    with pytest.raises(RuntimeError, match=r"ended in the middle of the job \(killed by signal 9\)"):
        bpy.ops.recover_mesh.recover()
    assert len(rigs()) == 1  # finished photos stay
    scene.recover_mesh.photos.remove(1)
    assert bpy.ops.recover_mesh.recover() == {"FINISHED"}
    assert fake_backend.running and len(rigs()) == 2


def test_idle_killed_backend_is_restarted(fake_backend, scene, tmp_path):
    recover(scene, tmp_path, "one.png")
    first = fake_backend.process.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not fake_backend.running, "the end of the backend")
    assert bpy.ops.recover_mesh.recover() == {"FINISHED"}
    assert fake_backend.process.pid != first


def test_backend_is_kept_between_jobs(fake_backend, scene, tmp_path):
    recover(scene, tmp_path, "one.png")
    first = fake_backend.process.pid
    bpy.ops.recover_mesh.recover()
    assert fake_backend.process.pid == first


def test_cancel(fake_backend, scene, tmp_path):
    """From another thread: the operator blocks this one."""
    choose(scene, tmp_path, "one.png", "wait.png")

    def cancel() -> None:
        wait_until(
            lambda: runtime.state.recovery and "wait.png" in runtime.state.recovery.progress.text, "the second photo"
        )
        runtime.state.recovery.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    assert bpy.ops.recover_mesh.recover() == {"FINISHED"}
    thread.join()
    assert len(rigs()) == 1
    assert runtime.state.notes == ["Cancelled. Kept: 1 person in 1 photo."]
    assert not runtime.state.busy


def test_opening_a_file_ends_the_job(fake_backend, scene, tmp_path):
    runtime.state.recovery = job = PhotoRecovery(
        fake_backend,
        [Source("wait.png", str(tmp_path / "wait.png"))],
        python=preferences.backend_python(),
        folder=runtime.user_folder(),
    )
    wait_until(lambda: "Finding" in job.progress.text, "the job")
    bpy.ops.wm.read_homefile(use_empty=True)
    assert not runtime.state.busy
    job.join(TIMEOUT)
    while not isinstance(event := job.events.get(timeout=TIMEOUT), JobEnded):
        pass
    assert event == JobEnded(cancelled=True)


def test_disable_leaves_nothing(fake_backend, addon, scene, tmp_path):
    import addon_utils

    recover(scene, tmp_path, "one.png")
    process = fake_backend.process
    addon_utils.disable("blender_addon")
    try:
        assert not process.alive
        assert not [t.name for t in threading.enumerate() if "recover" in t.name or "backend" in t.name]
        assert not hasattr(bpy.types.Scene, "recover_mesh")
        assert not [name for name in dir(bpy.types) if name.startswith("RECOVERMESH")]
        assert not [h for h in bpy.app.handlers.load_pre if h.__module__.startswith("blender_addon")]
        assert not hasattr(bpy.ops.recover_mesh, "__wrapped__") and "recover" not in dir(bpy.ops.recover_mesh)
    finally:
        addon_utils.enable("blender_addon")


def test_state_is_not_in_the_file(fake_backend, scene, tmp_path):
    recover(scene, tmp_path, "one.png")
    stored = {p.identifier for p in scene.recover_mesh.bl_rna.properties} - {"rna_type", "name"}
    assert stored == {"source", "photos", "image", "model", "people", "max_people", "correctives", "clip"}


def test_log_names_the_python(fake_backend, scene, tmp_path, environment):
    recover(scene, tmp_path, "one.png")
    log = Path(runtime.user_folder(), "backend.log").read_text()
    assert environment in log and "listening" in log
    assert fake_backend.process.token not in log and json.dumps(fake_backend.process.token) not in log
