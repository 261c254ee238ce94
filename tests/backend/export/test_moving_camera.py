"""Motions with a moving camera, written and drawn."""

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from backend.clips.results import motion_fields, motion_from_fields
from backend.export.amass import amass_fields
from backend.export.overlay_video import write_overlay_video
from backend.structures import Motion, World
from benchmarks.clips.motions import MOTIONS, MotionMaker

SIZE = (320, 180)
COUNT = 6
LABELS = {"model": "m", "body": "open", "license": "CC0-1.0", "source": "a.mp4", "notice": ""}


@pytest.fixture(scope="module")
def scene(body):
    return MOTIONS["dolly"](MotionMaker(body, 3.0), SIZE, seconds=2.0)


@pytest.fixture
def motion(scene):
    one = scene.people[0]
    return Motion(
        id=1, frames=np.arange(COUNT), poses=one.poses, betas=one.betas, trans=one.trans, joints=one.joints,
        confidence=np.ones((COUNT, 24)), filled=np.zeros(COUNT, bool), hidden=np.zeros(COUNT, bool),
        contacts=one.contacts, reprojection_px=np.ones(COUNT), keypoints2d=np.zeros((COUNT, 33, 3)), view=scene.view,
    )  # fmt: skip


def test_results_are_read_back_with_their_cameras(scene, motion):
    fields = motion_fields(motion, World(scale=2.5), scene.camera, Fraction(3), LABELS)
    assert fields["camera_rotation"].shape == (COUNT, 3, 3)
    assert fields["camera_translation"].shape == (COUNT, 3)
    assert fields["camera_intrinsics"].shape == (COUNT, 4)
    found, world = motion_from_fields(fields)
    assert world.scale == 2.5
    points = motion.joints[:, :5]
    np.testing.assert_allclose(found.view.project(points), scene.view.project(points))
    # from the arrays of the file alone, as another tool would
    k = 4
    in_camera = fields["joints"][k] @ fields["camera_rotation"][k].T + fields["camera_translation"][k]
    fx, fy, cx, cy = fields["camera_intrinsics"][k]
    pixels = in_camera[:, :2] / in_camera[:, 2:] * [fx, fy] + [cx, cy]
    np.testing.assert_allclose(pixels, scene.view[k : k + 1].project(motion.joints[k : k + 1])[0], atol=1e-3)


def test_results_of_a_fixed_camera_have_no_camera_rows(scene, motion):
    fields = motion_fields(replace(motion, view=None), World(), scene.camera, Fraction(3), LABELS)
    assert not {"camera_rotation", "camera_translation", "camera_intrinsics", "scene_scale"} & set(fields)
    assert motion_from_fields(fields)[0].view is None


def test_amass_is_upright_in_the_world(scene, motion):
    root = motion.joints[0, 0] - motion.trans[0]
    fields = amass_fields(motion, World(scale=2.5), root, 3.0)
    position = fields["trans"] + root
    np.testing.assert_allclose(position, scene.world.points(motion.joints[:, 0]), atol=1e-6)
    assert (np.abs(position[:, 2] - 0.9) < 0.2).all()  # m, the height of a standing person's pelvis


def test_the_overlay_follows_the_camera(tmp_path, body, scene, motion):
    frames = [SimpleNamespace(number=t, pixels=np.zeros((SIZE[1], SIZE[0], 3), np.uint8)) for t in range(COUNT)]
    write_overlay_video(tmp_path / "out.mp4", frames, [motion], body, scene.camera, Fraction(3))
    with av.open(str(tmp_path / "out.mp4")) as container:
        images = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
    uv = scene.view.project(motion.joints)
    for image, points in zip(images, uv, strict=True):
        rows, columns = np.nonzero(image > 60)
        middle = (points.min(0) + points.max(0)) / 2
        drawn = np.array([(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2])
        assert np.linalg.norm(drawn - middle) < 10
