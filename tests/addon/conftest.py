"""Blender (the bpy wheel) in the test process, with a temporary profile and the add-on enabled from the checkout."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
# Blender reads the variable when bpy is imported; without it the tests would write into the user's profile
PROFILE = tempfile.TemporaryDirectory(prefix="recover-mesh-profile-", ignore_cleanup_errors=True)
os.environ["BLENDER_USER_RESOURCES"] = PROFILE.name

_status = 0


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    global _status
    _status = int(exitstatus)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Exit without Blender's own exit, which hangs in 4.5 if anything is still registered.

    A worker of pytest-xdist has already sent its reports, in `pytest_sessionfinish`.
    """
    if "bpy" in sys.modules:
        PROFILE.cleanup()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_status)


@pytest.fixture(scope="session")
def addon():
    """The enabled add-on; disabled at the end of the session."""
    import bpy  # makes addon_utils importable
    import addon_utils  # isort: skip

    assert addon_utils.enable("blender_addon", default_set=True) is not None
    yield sys.modules["blender_addon"]
    addon_utils.disable("blender_addon", default_set=True)
    assert not hasattr(bpy.types.Scene, "recover_mesh")


@pytest.fixture
def scene(addon):
    """The scene of an empty file."""
    import bpy

    from blender_addon import runtime

    runtime.drop_job()
    bpy.ops.wm.read_homefile(use_empty=True)
    return bpy.context.scene


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> str:
    """Path of a virtual environment in which `backend` and `fake_backend` can be imported, for the preferences."""
    folder = tmp_path_factory.mktemp("an environment")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    inside = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    ours = [*site.getsitepackages(), str(ROOT), str(HERE)]
    (Path(inside) / "ours.pth").write_text("\n".join(ours) + "\n", encoding="utf-8")
    return str(folder)


@contextmanager
def backend_of(environment: str, *arguments: str) -> Iterator[None]:
    """Set the add-on up to use the backend with these arguments.

    A running backend is reused, since a start takes seconds; after a test that stops it the next one starts it again.
    """
    from blender_addon import runtime
    from blender_addon.settings import preferences

    session = runtime.state.session
    if tuple(session.extra_args) != arguments:
        session.close()
        session.extra_args = arguments
    preferences.get_preferences().environment = environment
    yield
    preferences.get_preferences().environment = ""
    runtime.drop_job()


@pytest.fixture
def fake_backend(addon, scene, environment):
    """The add-on's session with a real server, whose worker has the fake recovery of `fake_backend`."""
    from blender_addon import runtime

    with backend_of(
        environment, "--factory", "fake_backend:FakeRecoverer", "--body-source", "fake_backend:body_message"
    ):
        yield runtime.state.session


@pytest.fixture(scope="session")
def user_folder(tmp_path_factory) -> str:
    """Folder of the clips' jobs for the session, so that a clip is read only once."""
    return str(tmp_path_factory.mktemp("user folder"))


@pytest.fixture
def real_backend(addon, scene, environment, monkeypatch, user_folder):
    """The add-on's `runtime` with the real backend."""
    from blender_addon import runtime

    monkeypatch.setattr(runtime, "user_folder", lambda: user_folder)
    with backend_of(environment):
        yield runtime


@pytest.fixture(scope="session")
def model():
    from backend.body.loader import load_body

    return load_body("open")


@pytest.fixture(scope="session")
def addon_body(model):
    from backend.body.wire import body_message
    from blender_addon.scene import records

    return records.body_from_wire(*body_message(model))


@pytest.fixture(scope="session")
def gt_scene(model):
    """Two people whose paths cross in front of a fixed camera; see `clip_helpers`."""
    from clip_helpers import COUNT

    from benchmarks.clips.motions import MOTIONS, MotionMaker

    return MOTIONS["cross"](MotionMaker(model, 25.0), (640, 360), seconds=COUNT / 25)


@pytest.fixture
def built_clip(scene, addon_body, gt_scene):
    """The clip of `gt_scene` in the scene, five of its frames filled in."""
    from clip_helpers import COUNT, build_clip, chunk, info_of

    return build_clip(scene, addon_body, info_of(gt_scene), gt_scene, chunk(gt_scene, 0, COUNT, filled=range(20, 25)))
