"""AMASS files in Blender: our exports are imported unchanged; other motions are on the ground and keep their speed."""

import bpy
import numpy as np
import pytest
from clip_helpers import body_vertices
from fake_backend import BODY, make_body, random_person, write_body

from backend import structures
from backend.export.amass import write_amass
from blender_addon.errors import UserError
from blender_addon.protocol_rows import ROWS
from blender_addon.scene import amass, basis, clip, export, fcurves, footage, person, records
from blender_addon.scene.skinning import skinned_vertices

MM = 1e-3
COUNT = 24
RATE = 25.0


@pytest.fixture(scope="module")
def body_file(tmp_path_factory):
    return write_body(tmp_path_factory.mktemp("body") / "body.npz")


def clip_arrays(hands=True):
    """Arrays of the protocol's `chunk`: a person who changes pose and position, in the camera frame."""
    one = random_person(5)
    rng = np.random.default_rng(1)
    poses = np.tile(one.poses, (COUNT, 1, 1)).astype(np.float64)
    poses += np.linspace(0, 1, COUNT)[:, None, None] * 0.3 * rng.standard_normal((24, 3))
    if not hands:
        poses[:, 22:] = 0
    trans = one.trans + np.linspace(0, 1, COUNT)[:, None] * [0.6, 0.0, 0.4]
    return {
        "people": np.array([1]), "betas": one.betas[None], "frames": np.arange(COUNT), "person": np.ones(COUNT, int),
        "poses": poses, "trans": trans, "confidence": np.ones((COUNT, 24)), "filled": np.zeros(COUNT, np.uint8),
        "hidden": np.zeros(COUNT, np.uint8),
        "contacts": np.zeros((COUNT, 2), np.uint8), "reprojection_px": np.ones(COUNT),
    }  # fmt: skip


def tilted_world():
    """(rotation, translation) of the world of a tilted camera."""
    return basis.rotation_matrices(np.array([-1.4, 0.1, 0.05])), np.array([0.0, 0.0, 1.5])


def write(path, count=COUNT, width=156, rate=120.0, rate_name="mocap_framerate", **more):
    """Write a file in AMASS's format: a person upright, facing -y, who moves along x; returns its path."""
    poses = np.zeros((count, width))
    poses[:, :3] = [np.pi / 2, 0, 0]  # y up -> z up
    poses[:, 3 * 4] = np.linspace(0, 1, count)  # left knee
    if width > 66:
        poses[:, 66:] = 0.7  # fingers, jaw, eyes
    trans = np.stack([np.linspace(0, 1, count), np.zeros(count), np.full(count, 0.9)], 1)
    fields = {"poses": poses, "trans": trans, "betas": np.ones(16), "gender": np.array("female")}
    fields |= {rate_name: np.array(rate)} | more
    np.savez(path, **{k: v for k, v in fields.items() if v is not None})
    return str(path)


def load(path, body_file, **options):
    return bpy.ops.recover_mesh.import_amass(filepath=str(path), body=body_file, **options)


def the_rig():
    return bpy.context.view_layer.objects.active


@pytest.mark.parametrize("hands", [True, False])
def test_export_import_round_trip(scene, tmp_path, body_file, hands):
    body, arrays, (rotation, translation) = make_body(), clip_arrays(hands), tilted_world()
    info = footage.ClipInfo(
        "/clips/a.mp4", "/jobs/a", (640, 480), (600.0, 600.0, 319.5, 239.5), RATE, COUNT, "m", BODY, "CC0-1.0"
    )
    clip_scene = clip.ClipScene(scene, info, body)
    clip_scene.add(arrays, True, [*rotation.ravel().tolist(), *translation.tolist()])
    clip_scene.finish()
    original = next(o for o in scene.objects if o.get(person.KIND_KEY) == "rig")
    moved = structures.Motion(
        id=1, betas=arrays["betas"][0], joints=np.zeros((COUNT, 24, 3)), keypoints2d=np.zeros((COUNT, 33, 3)),
        **{name: arrays[name] for name in ROWS},
    )  # fmt: skip
    root = body.rest_joints(arrays["betas"][0])[0]
    world = structures.World(rotation, translation)
    write_amass(tmp_path / "a.npz", moved, world, root, RATE, body=BODY, license="CC0-1.0")
    assert load(tmp_path / "a.npz", body_file) == {"FINISHED"}
    imported = the_rig()
    assert imported != original
    for frame in (1, 9, COUNT):
        scene.frame_set(frame)
        gap = np.linalg.norm(body_vertices(imported) - body_vertices(original), axis=1)
        assert gap.max() < 0.1 * MM, gap.max()
        assert np.ptp(body_vertices(original), axis=0).min() > 0.1


def test_mesh_matches_numpy_skinning(scene, tmp_path, body_file):
    """World z up, hands in the rest pose, betas 0: against `skinned_vertices`."""
    scene.render.fps, scene.render.fps_base = 120, 1.0
    path = write(tmp_path / "walk.npz")
    load(path, body_file, on_ground=False)
    source = amass.read(path)
    assert not source.poses[:, 22:].any()
    body = make_body()
    for row in (0, 10, COUNT - 1):
        scene.frame_set(1 + row)
        one = records.Person(source.poses[row], np.zeros(10), source.trans[row], np.ones(24))
        assert np.abs(body_vertices(the_rig()) - skinned_vertices(body, one)).max() < 0.05 * MM


def test_motion_is_moved_onto_the_ground(scene, tmp_path, body_file):
    load(write(tmp_path / "walk.npz"), body_file)
    heights = []
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        heights.append(body_vertices(the_rig())[:, 2].min())
    assert abs(np.median(heights)) < 0.02
    scene.frame_set(1)
    points = body_vertices(the_rig())
    assert 1.4 < np.ptp(points[:, 2]) < 2.2  # upright
    x_of_ankles = [(the_rig().matrix_world @ the_rig().pose.bones[f"{s}_ankle"].head).x for s in ("left", "right")]
    assert x_of_ankles[0] > x_of_ankles[1]  # it faces -y


@pytest.mark.parametrize("width", amass.POSE_WIDTHS)
@pytest.mark.parametrize("name", ["mocap_framerate", "mocap_frame_rate"])
def test_every_kind_of_file_is_read(scene, tmp_path, body_file, width, name):
    load(write(tmp_path / "walk.npz", width=width, rate_name=name), body_file)
    assert the_rig()["source"].endswith("walk.npz")


def test_pickles_are_never_loaded(scene, tmp_path, body_file):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = write(tmp_path / "walk.npz", labels=np.array([Trap()], dtype=object), markers=np.array([{}], dtype=object))
    load(path, body_file)
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(UserError):
        amass.read(write(tmp_path / "bad.npz", poses=np.array([Trap()], dtype=object)))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(("fps", "keys"), [(120.0, 24), (60.0, 12), (24.0, 5), (30000 / 1001, 6), (240.0, 47)])
def test_resampling_keeps_the_speed(scene, tmp_path, body_file, fps, keys):
    footage.set_rate(scene, fps)
    load(write(tmp_path / "walk.npz"), body_file, start=11, on_ground=False)
    action = the_rig().animation_data.action
    assert len(fcurves.curves_of(action)[0].keyframe_points) == keys
    assert (scene.frame_start, scene.frame_end) == (11, 10 + keys)
    assert footage.scene_rate(scene) == pytest.approx(fps, rel=1e-6)
    for frame in (11, 11 + keys // 2):
        scene.frame_set(frame)
        seconds = (frame - 11) / fps
        rig = the_rig()
        rest = make_body().joints_template[0]
        x = (rig.matrix_world @ rig.pose.bones["pelvis"].head).x - rest[0]
        assert x == pytest.approx(seconds * 120 / (COUNT - 1), abs=1e-4)
        bend = 2 * np.arccos(min(1.0, abs(rig.pose.bones["left_knee"].rotation_quaternion.w)))
        assert bend == pytest.approx(seconds * 120 / (COUNT - 1), abs=1e-3)


def test_scene_takes_the_frame_rate_of_the_file(scene, tmp_path, body_file):
    load(write(tmp_path / "walk.npz"), body_file, rate="FILE")
    assert footage.scene_rate(scene) == pytest.approx(120)
    assert len(fcurves.curves_of(the_rig().animation_data.action)[0].keyframe_points) == COUNT


def test_collection_has_provenance_and_no_quality_properties(scene, tmp_path, body_file):
    load(write(tmp_path / "walk.npz"), body_file)
    rig = the_rig()
    (collection,) = scene.collection.children
    assert collection.name == "walk" and set(collection.objects) == set(person.parts(rig))
    for part in (collection, *person.parts(rig)):
        assert (part["model"], part["body"]) == ("AMASS", BODY)
        assert "CC0" in part["license"] and "motion" in part["license"]
    assert rig.animation_data.action["recover_mesh"] == "motion"
    assert not {"reprojection_px", "problem", "filled"} & set(rig.keys())
    assert not any("confidence" in bone for bone in rig.pose.bones)
    assert clip.clips(scene) == []


def test_several_files_are_several_people(scene, tmp_path, body_file):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.npz")
    files = [{"name": "a.npz"}, {"name": "b.npz"}]
    bpy.ops.recover_mesh.import_amass(directory=str(tmp_path), files=files, body=body_file)
    assert {c.name for c in scene.collection.children} == {"a", "b"}


def test_motion_on_the_active_body(scene, tmp_path, body_file):
    load(write(tmp_path / "first.npz"), body_file)
    rig = the_rig()
    skin = person.parts(rig)[1]
    skin.data.shape_keys.key_blocks["Shape000"].value = 1.5
    bpy.ops.recover_mesh.update_joints()
    old = rig.animation_data.action.name
    bpy.context.view_layer.objects.active = skin
    assert load(write(tmp_path / "second.npz", count=40), "", onto="ACTIVE") == {"FINISHED"}
    assert the_rig() == rig and rig.animation_data.action.name == "second Motion"
    assert bpy.data.actions[old].use_fake_user
    assert skin.data.shape_keys.key_blocks["Shape000"].value == 1.5
    lows = []
    for frame in range(1, 9):
        scene.frame_set(frame)
        lows.append(body_vertices(rig)[:, 2].min())
    assert abs(np.median(lows)) < 0.03


def test_without_a_file_the_body_comes_from_the_backend(fake_backend, tmp_path):
    assert load(write(tmp_path / "walk.npz"), "") == {"FINISHED"}
    assert the_rig()["body"] == BODY
    assert len(export.body_mesh_of(the_rig()).data.vertices) == len(make_body().v_template)


def test_no_active_body_is_an_error(scene, tmp_path):
    with pytest.raises(RuntimeError, match="No body is active"):
        load(write(tmp_path / "walk.npz"), "", onto="ACTIVE")


WRONG = {
    "no poses": {"poses": None},
    "no trans": {"trans": None},
    "no frame rate": {"mocap_framerate": None},
    "rate 0": {"mocap_framerate": np.array(0.0)},
    "rate nan": {"mocap_framerate": np.array(np.nan)},
    "two rates": {"mocap_framerate": np.array([30.0, 60.0])},
    "rate is text": {"mocap_framerate": np.array("fast")},
    "other columns": {"poses": np.zeros((COUNT, 100))},
    "poses 1-D": {"poses": np.zeros(156)},
    "no frames": {"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3))},
    "trans too short": {"trans": np.zeros((COUNT - 1, 3))},
    "not numbers": {"trans": np.full((COUNT, 3), np.nan)},
    "our own result": {"world_rotation": np.eye(3)},
}


@pytest.mark.parametrize("what", WRONG)
def test_invalid_files_are_refused_and_leave_nothing(scene, tmp_path, body_file, what):
    path = write(tmp_path / "wrong.npz", **WRONG[what])
    with pytest.raises(RuntimeError, match=r"wrong\.npz is not a motion of AMASS"):
        load(path, body_file)
    assert len(bpy.data.objects) == len(scene.collection.children) == 0


def test_damaged_files_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "c.npz", **dict(np.load(write(tmp_path / "walk.npz"))))
    whole = (tmp_path / "c.npz").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for k in range(150):
        data = bytearray(whole)
        if k % 3 == 0:
            del data[int(rng.integers(len(data))) :]
        else:
            for index in rng.integers(len(data), size=3):
                data[index] ^= int(rng.integers(1, 256))
        (tmp_path / "damaged.npz").write_bytes(bytes(data))
        try:
            amass.read(str(tmp_path / "damaged.npz"))
        except UserError:
            refused += 1
    assert refused > 100
    for content in (b"", b"PK", b"\x93NUMPY", b"text"):
        (tmp_path / "damaged.npz").write_bytes(content)
        with pytest.raises(UserError):
            amass.read(str(tmp_path / "damaged.npz"))
    with pytest.raises(UserError):
        amass.read(str(tmp_path / "missing.npz"))


def test_hand_is_refused(scene, tmp_path):
    names = tuple(f"joint{k}" for k in range(16))
    with pytest.raises(UserError, match="24 joints"):
        amass._require_joints(names, "hand")


def test_axis_angles_are_those_of_the_quaternions():
    angles = np.random.default_rng(0).standard_normal((50, 3))
    angles[:4] = [0, 0, 0], [1e-9, 0, 0], [np.pi - 1e-6, 0, 0], [1e-13, 0, 0]
    back = basis.axis_angles(3.0 * basis.quaternions(basis.rotation_matrices(angles)))
    np.testing.assert_allclose(basis.rotation_matrices(back), basis.rotation_matrices(angles), atol=1e-12)


def test_undo_removes_the_whole_import(scene, tmp_path, body_file):
    bpy.ops.ed.undo_push(message="Before")
    load(write(tmp_path / "walk.npz"), body_file)
    bpy.ops.ed.undo_push(message="Import")
    bpy.ops.ed.undo()
    assert len(bpy.data.objects) == len(bpy.data.actions) == 0
