"""Result files: complete or absent, readable by other tools, exact."""

import errno

import numpy as np
import pytest
import torch

from backend.errors import BadInput, RecoverMeshError
from backend.export import export
from backend.export.files import claim_stem
from backend.export.npz import read_npz
from backend.export.overlay import draw_overlay
from backend.structures import Camera, FrameResult, RecoveredPerson

CAMERA = Camera(500.0, 500.0, 159.5, 119.5, 320, 240)


def person(body, x=0.0, z=4.0):
    poses, betas = torch.zeros(1, 24, 3), torch.zeros(1, 10)
    poses[0, 0, 0] = np.pi  # y up -> the camera's y down
    poses[0, 16, 2] = -1.0
    trans = torch.tensor([[x, 0.2, z]])
    out = body(poses, betas, trans)
    return RecoveredPerson(
        poses[0].numpy(), betas[0].numpy(), trans[0].numpy(), out.joints[0].numpy(), out.vertices[0].numpy(),
        np.linspace(0, 1, 24, dtype=np.float32), np.zeros((33, 3), np.float32), np.zeros(4, np.float32), 0.9, 1.5, 0.01,
    )  # fmt: skip


def result(body, people, source="photo.jpg"):
    return FrameResult(source, 0, CAMERA, people, "keypoint-fit", body.name, body.license)


def test_npz_has_amass_names_and_poses_the_same_body(tmp_path, body):
    one = person(body)
    (path,) = export(result(body, [one]), ["npz"], tmp_path, None, body)
    assert path.name == "photo_person1.npz"
    data = read_npz(path)
    assert data["poses"].shape == (1, 72) and data["betas"].shape == (10,) and data["trans"].shape == (1, 3)
    assert str(data["gender"]) == "neutral" and float(data["mocap_framerate"]) > 0
    assert data["joints"].shape == (1, 24, 3) and data["image_size"].tolist() == [320, 240]
    assert str(data["license"]) == "CC0-1.0" and str(data["body"]) == "open_body"
    shapes = {"poses": (1, 24, 3), "betas": (1, 10), "trans": (1, 3)}
    again = body(*(torch.tensor(data[name]).reshape(shape) for name, shape in shapes.items()))
    np.testing.assert_allclose(again.vertices[0].numpy(), one.vertices, atol=1e-6)


def test_obj_is_the_mesh_with_y_up(tmp_path, body):
    one = person(body)
    (path,) = export(result(body, [one]), ["obj"], tmp_path, None, body)
    lines = path.read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    np.testing.assert_allclose(vertices, one.vertices * [1, -1, -1], atol=1e-6)
    faces = [[int(c.split("/")[0]) - 1 for c in line.split()[1:]] for line in lines if line.startswith("f ")]
    np.testing.assert_array_equal(faces, body.faces.numpy())
    assert sum(line.startswith("vt ") for line in lines) == len(body.uv)


def test_overlay_covers_the_body_only(body):
    photo = np.full((240, 320, 3), 255, np.uint8)
    one = person(body)
    drawn = draw_overlay(photo, [one.vertices], body.faces.numpy(), CAMERA)
    changed = (drawn != photo).any(-1)
    uv = np.round(CAMERA.project(one.vertices)).astype(int)
    inside = (uv >= 0).all(1) & (uv < [320, 240]).all(1)
    assert changed[uv[inside, 1], uv[inside, 0]].mean() > 0.95
    _, columns = np.nonzero(changed)
    assert columns.min() >= uv[:, 0].min() - 2 and columns.max() <= uv[:, 0].max() + 2


def test_the_nearer_body_hides_the_farther(body):
    photo = np.full((240, 320, 3), 255, np.uint8)
    near, far = person(body, 0.0, 3.0), person(body, 0.05, 6.0)
    faces = body.faces.numpy()
    together = draw_overlay(photo, [near.vertices, far.vertices], faces, CAMERA)
    reverse = draw_overlay(photo, [far.vertices, near.vertices], faces, CAMERA)
    x, y = np.round(CAMERA.project(near.joints[6])).astype(int)
    alone = draw_overlay(photo, [near.vertices], faces, CAMERA)
    np.testing.assert_array_equal(together[y, x], alone[y, x])
    assert (reverse[y, x] != draw_overlay(photo, [far.vertices], faces, CAMERA)[y, x]).any()


def test_two_photos_of_one_name_do_not_overwrite_each_other(tmp_path, body):
    for folder in ("a", "b", "a"):
        export(result(body, [person(body)], f"/{folder}/photo.jpg"), ["npz"], tmp_path, None, body)
    assert sorted(p.name for p in tmp_path.glob("*.npz")) == ["photo-2_person1.npz", "photo_person1.npz"]
    assert claim_stem(tmp_path, "/a/photo.png", 0) == "photo-3"


def test_a_folder_that_cannot_be_written(tmp_path, body):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecoverMeshError) as caught:
        export(result(body, [person(body)]), ["npz"], tmp_path / "file" / "sub", None, body)
    assert caught.value.code == "unwritable"


def test_a_full_disk_leaves_the_old_file_and_no_incomplete_one(tmp_path, body, monkeypatch):
    (path,) = export(result(body, [person(body)]), ["npz"], tmp_path, None, body)
    before = path.read_bytes()

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(RecoverMeshError) as caught:
        export(result(body, [person(body)]), ["npz"], tmp_path, None, body)
    assert caught.value.code == "disk_full"
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [path.name]


def test_a_missing_blender_is_reported(tmp_path, body, monkeypatch):
    from backend.export import blender_export

    monkeypatch.delenv(blender_export.PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr(blender_export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecoverMeshError) as caught:
        export(result(body, [person(body)]), ["glb"], tmp_path, None, body)
    assert caught.value.code == "no_blender" and "recover-mesh[blender]" in caught.value.hint


def test_glb_and_blend_through_blender(tmp_path, body):
    photo = np.full((240, 320, 3), 200, np.uint8)
    paths = export(result(body, [person(body), person(body, 0.8)]), ["glb", "blend"], tmp_path, photo, body)
    assert [p.name for p in paths] == ["photo.glb", "photo.blend"]
    assert paths[0].read_bytes()[:4] == b"glTF"
    assert paths[1].stat().st_size > 100_000


def test_a_file_that_is_not_an_npz_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(BadInput, match="not a result"):
        read_npz(path)
