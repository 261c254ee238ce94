"""Camera tracks: reading and checking their files, and transforms between camera frames and the common frame."""

import json

import numpy as np
import pytest

from backend.body.camera_frames import to_common_frame, with_intrinsics
from backend.body.kinematics import Skeleton, State
from backend.body.loader import load_body
from backend.errors import BadInput
from backend.geometry import rotations_numpy as rot
from backend.motion.camera_track import CameraTrack
from backend.structures import Camera, World
from benchmarks.clips.cameras import camera_file_content, dolly_trajectory

CAMERA = Camera(700.0, 700.0, 319.5, 179.5, 640, 360)


@pytest.fixture
def view():
    return dolly_trajectory(10, 5.0, CAMERA, zoom=0.2)


@pytest.fixture
def content(view):
    return camera_file_content(view, 2.0, (640, 360))


def test_a_written_track_is_read_back(view, content, tmp_path):
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(content))
    track = CameraTrack.load(path)
    found = track.view(np.arange(10), 2.0)
    for name in ("rotation", "translation", "focal", "center"):
        np.testing.assert_allclose(getattr(found, name), getattr(view, name), atol=1e-9)
    path.write_text(json.dumps(content, indent=3))
    assert CameraTrack.load(path).digest == track.digest
    content["position"][3][0] += 0.01
    path.write_text(json.dumps(content))
    assert CameraTrack.load(path).digest != track.digest


def test_the_common_frame_is_blenders_world(view, content):
    """A point of the world projects to the same pixel by the file's numbers and by the common frame."""
    point = np.array([0.3, 5.0, 1.1])
    common = World().rotation.T @ point
    for k in (0, 7):
        rotation, position = np.reshape(content["rotation"][k], (3, 3)), np.array(content["position"][k]) / 2.0
        in_camera = rotation.T @ (point - position)
        fx, fy, cx, cy = content["intrinsics"][k]
        pixel = in_camera[:2] / in_camera[2] * [fx, fy] + [cx, cy]
        np.testing.assert_allclose(view[k : k + 1].project(common[None, None])[0, 0], pixel)


def test_frames_between_are_interpolated_and_the_end_is_held(view, content):
    for name in ("frames", "rotation", "position", "intrinsics"):
        content[name] = content[name][::3]  # 0, 3, 6, 9
    track = CameraTrack.from_content(content)
    found = track.view(np.arange(10), 2.0)
    np.testing.assert_allclose(found.positions[1], (2 * view.positions[0] + view.positions[3]) / 3)
    part, full = (rot.log(found.rotation[k] @ found.rotation[0].T) for k in (1, 3))
    np.testing.assert_allclose(part, full / 3, atol=1e-9)
    np.testing.assert_allclose(found.focal[[0, 3, 9]], view.focal[[0, 3, 9]])
    np.testing.assert_array_equal(track.view(np.array([11])).rotation[0], track.view(np.array([9])).rotation[0])
    assert track.fitted(640, 360, 0, 11) is track
    for first, last in ((0, 12), (0, 300)):
        with pytest.raises(BadInput, match="0 to 9"):
            track.fitted(640, 360, first, last)


def test_intrinsics_of_a_proxy_are_scaled_and_of_another_aspect_refused(content):
    content["image_size"] = [320, 180]
    content["intrinsics"] = [[350.0, 351.0, 159.5, 89.5]] * 10
    track = CameraTrack.from_content(content).fitted(640, 360, 0, 9)
    np.testing.assert_allclose(track.intrinsics[0], [700, 702, 319.5, 179.5])
    with pytest.raises(BadInput, check=lambda error: error.code == "bad_camera"):
        track.fitted(360, 640, 0, 9)


def _set(name, row, value):
    def change(content):
        content[name][row] = value

    return change


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda c: c.update(version=2), "version"),
        (lambda c: c.pop("version"), "version"),
        (lambda c: c.update(recover_mesh="clip"), "camera"),
        (lambda c: c.update(colour=1), "colour"),
        (lambda c: c.update(frames=[]), "frames"),
        (lambda c: c.update(frames="all"), "frames"),
        (lambda c: c.update(frames=[float(n) for n in range(10)]), "frames"),
        (_set("frames", 3, 2), "ascend"),
        (_set("frames", 0, -1), "from 0"),
        (_set("frames", 9, 2**40), "from 0"),
        (lambda c: c["rotation"].pop(), "rotation"),
        (lambda c: c.pop("position"), "position"),
        (_set("position", 2, [1.0, 2.0]), "position"),
        (_set("position", 2, [1.0, 2.0, "3"]), "position"),
        (_set("position", 2, [1.0, 2.0, float("nan")]), "position"),
        (_set("position", 2, [1.0, 2.0, 10**400]), "position"),
        (_set("position", 2, [1.0, 2.0, 1e9]), "farther"),
        (_set("rotation", 2, [1, 0, 0, 0, 1, 0, 0, 0, 1.1]), "rotation of frame 2"),
        (_set("rotation", 2, [1, 0, 0, 0, 1, 0, 0, 0, -1]), "rotation of frame 2"),
        (_set("rotation", 2, [0] * 9), "rotation of frame 2"),
        (_set("intrinsics", 2, [0, 700, 320, 180]), "fx"),
        (_set("intrinsics", 2, [-700, 700, 320, 180]), "fx"),
        (_set("intrinsics", 2, [700, 700, 1e8, 180]), "fx"),
        (lambda c: c.update(image_size=[640]), "image_size"),
        (lambda c: c.update(image_size=[0, 360]), "image_size"),
    ],
)
def test_wrong_content_is_named(content, tmp_path, change, word):
    change(content)
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(content))
    with pytest.raises(BadInput, check=lambda error: error.code == "bad_camera") as caught:
        CameraTrack.load(path)
    assert word in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 5000])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "camera.json").write_text(text)
    with pytest.raises(BadInput, check=lambda error: error.code == "bad_camera"):
        CameraTrack.load(tmp_path / "camera.json")


def test_missing_and_too_large_files(tmp_path, monkeypatch, content):
    with pytest.raises(BadInput, check=lambda error: error.code == "file_missing"):
        CameraTrack.load(tmp_path / "none.json")
    monkeypatch.setattr("backend.motion.camera_track.MAX_BYTES", 100)
    (tmp_path / "camera.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match="MiB"):
        CameraTrack.load(tmp_path / "camera.json")


@pytest.fixture(scope="module")
def skeleton():
    return Skeleton(load_body("open"))


def test_bodies_keep_their_camera_coordinates_through_the_common_frame(view, skeleton):
    rng = np.random.default_rng(0)
    rotations = rot.exp(0.4 * rng.standard_normal((10, 24, 3)))
    state = State(rotations, 0.5 * rng.standard_normal((10, 10)), rng.uniform(-1, 1, (10, 3)) + [0, 0, 5])
    own = skeleton.forward(state)[2]
    common = skeleton.forward(to_common_frame(view, skeleton, state))[2]
    np.testing.assert_allclose(view.points(common), own, atol=1e-9)


def test_with_other_intrinsics_a_body_projects_nearly_the_same(view, skeleton):
    """Also away from the image's centre: within 6 % of the body's height."""
    rest = np.broadcast_to(np.eye(3), (10, 24, 3, 3)).copy()
    rest[:, 0] = rot.exp(np.array([np.pi, 0, 0])) @ rot.exp(np.array([0, 0.8, 0]))
    state = State(rest, np.zeros((10, 10)), np.linspace([-1.5, 0.2, 6], [1.5, -0.4, 4], 10))
    focal, center = np.array([500.0, 500.0]), np.array([300.0, 190.0])
    points = skeleton.forward(state)[2]
    before = points[..., :2] / points[..., 2:] * focal + center
    points = skeleton.forward(with_intrinsics(view, skeleton, state, focal, center))[2]
    after = points[..., :2] / points[..., 2:] * view.focal[:, None] + view.center[:, None]
    height = np.ptp(before[..., 1], axis=1).min()
    assert np.linalg.norm(after - before, axis=-1).max() < 0.06 * height


def test_level_rotation_has_a_vertical_y_axis(view):
    level = view.level_rotation
    np.testing.assert_allclose(level @ np.swapaxes(level, 1, 2), np.broadcast_to(np.eye(3), level.shape), atol=1e-12)
    np.testing.assert_allclose(level[:, 1], np.tile([0, 1.0, 0], (10, 1)))
    assert ((level[:, 2] * view.rotation[:, 2]).sum(1) > 0.9).all()
    assert (np.linalg.det(level) > 0).all()
