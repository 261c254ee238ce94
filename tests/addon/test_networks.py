"""Recover Mesh with each of the four networks: real server and worker, random weights."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
from evaluated_mesh import evaluated_vertices
from test_recover import rigs

from backend.models.weights import TEST_NOTICE, make_test_weights
from backend.recovery import Recoverer
from blender_addon import runtime
from blender_addon.scene import basis, person
from blender_addon.settings import preferences

MM = 1e-3
PHOTO = str(Path(__file__).parents[1] / "data" / "rendered_person.jpg")
REAL_SIZES = ("fastmetro-s-r50", "smpler-w32", "deformer-r50", "pose2mesh-coco")
NETWORKS = ["smpler-small", *(pytest.param(name, marks=pytest.mark.slow) for name in REAL_SIZES)]
pytestmark = pytest.mark.timeout(1200)  # on a machine with other work


@pytest.fixture
def backend(addon, scene, environment, name, tmp_path, monkeypatch):
    """The add-on's session, connected to the real backend, so that the panel lists its models."""
    monkeypatch.setenv("RECOVER_MESH_HOME", str(tmp_path / "home"))
    make_test_weights(name)
    session = runtime.state.session
    session.close()  # a running backend has another folder of weights
    session.extra_args = ()
    settings = preferences.get_preferences()
    settings.environment, settings.device = environment, "cpu"
    session.connect(preferences.backend_python(), str(tmp_path), "cpu")
    yield session
    settings.environment = ""
    settings.property_unset("device")
    runtime.shut_down()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_through_the_button(backend, scene, name):
    offered = {m["name"]: m for m in backend.models}
    assert offered[name]["ready"]
    assert "test weights" in offered[name]["label"]
    scene.recover_mesh.photos.add().path = PHOTO
    scene.recover_mesh.model = name
    assert bpy.ops.recover_mesh.recover() == {"FINISHED"}
    assert TEST_NOTICE in runtime.state.notes
    (rig,) = rigs()
    _, skin = person.parts(rig)
    assert rig["model"] == name
    assert rig["license"].startswith(TEST_NOTICE)
    assert len(rig.data.bones) == 24
    # the same photo, without server and Blender
    result = Recoverer(name, "cpu").recover(PHOTO)
    expected = basis.camera_points(result.people[0].vertices)
    expected[:, 2] -= expected[:, 2].min()
    assert np.abs(evaluated_vertices(skin) - expected).max() < 1 * MM
    assert not offered["smpler-w48"]["ready"]
    assert "recover-mesh models import smpler-w48" in offered["smpler-w48"]["hint"]
