"""Blender's evaluated mesh and camera match the backend's body model and projection."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from evaluated_mesh import backend_vertices, evaluated_vertices
from fake_backend import random_person, write_png
from mathutils import Quaternion, Vector
from test_recover import datablocks

from backend.body.files import read_body
from backend.body.model import BodyModel
from backend.body.registry import find_body
from backend.body.wire import body_message
from backend.structures import Camera
from blender_addon.errors import UserError
from blender_addon.scene import armature, basis, body, build, correctives, person, pose, records

MM = 1e-3
PEOPLE = pytest.mark.parametrize("count", [12, pytest.param(100, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def model():
    """The embedded body; with random pose correctives if it has none."""
    arrays = read_body(find_body("open"))
    if np.abs(arrays.posedirs).max() < correctives.NEGLIGIBLE:
        rng = np.random.default_rng(0)
        arrays.posedirs = (0.002 * rng.standard_normal(arrays.posedirs.shape)).astype(np.float32)
    return BodyModel(arrays)


@pytest.fixture(scope="module")
def addon_body(model) -> records.Body:
    return records.body_from_wire(*body_message(model))


def photo_of(people: list[records.Person], addon_body: records.Body, camera: Camera | None = None) -> records.Photo:
    c = camera or Camera(900.0, 900.0, 399.5, 299.5, 800, 600)
    return records.Photo(
        "photo.jpg", (c.width, c.height), (c.fx, c.fy, c.cx, c.cy), "m", addon_body.name, "CC0-1.0", people
    )


def people_of(collection: bpy.types.Collection) -> list[tuple[bpy.types.Object, bpy.types.Object]]:
    """(rig, body mesh object) of each person, in the order of the result."""
    return [person.parts(o) for o in collection.objects if o.get(person.KIND_KEY) == "rig"]


def built(addon_body: records.Body, *people: records.Person, camera: Camera | None = None) -> tuple:
    """The collection of a photo of these people, and (rig, body mesh object) of each."""
    collection = build.build_photo(photo_of(list(people), addon_body, camera), addon_body)
    return collection, people_of(collection)


def camera_height_of(collection: bpy.types.Collection) -> float:
    return next(o for o in collection.objects if o.type == "CAMERA").location.z


def expected_in_blender(vertices: np.ndarray, collection: bpy.types.Collection) -> np.ndarray:
    """(V, 3) camera frame -> Blender's world."""
    return basis.camera_points(vertices) + np.array([0.0, 0.0, camera_height_of(collection)])


@PEOPLE
def test_vertices_are_the_backends(model, addon_body, scene, count):
    """People in random poses and shapes: correctives, armature and shape keys together are exact."""
    worst = 0.0
    for first in range(0, count, 4):
        crowd = [random_person(seed, bend=0.5) for seed in range(first, first + 4)]
        collection = build.build_photo(photo_of(crowd, addon_body), addon_body)
        lowest = np.inf
        for (_, skin), one in zip(people_of(collection), crowd, strict=True):
            got = evaluated_vertices(skin)
            worst = max(worst, np.abs(got - expected_in_blender(backend_vertices(model, one), collection)).max())
            lowest = min(lowest, got[:, 2].min())
        assert abs(lowest) < MM  # the lowest vertex of all is on the ground
        bpy.data.batch_remove(list(collection.objects))
        bpy.data.collections.remove(collection)
    print(f"\nworst of {count}: {worst / MM:.4f} mm")
    assert worst < MM


@PEOPLE
def test_vertices_after_update_joints(model, addon_body, scene, count):
    """Vertices match the backend's after new betas, Update Joints and another pose."""
    collection, ((rig, skin),) = built(addon_body, random_person(0))
    bpy.context.view_layer.objects.active = skin
    keys = skin.data.shape_keys.key_blocks
    worst = 0.0
    for seed in range(1, count + 1):
        one = random_person(seed, bend=0.5)
        bpy.context.view_layer.update()
        pelvis = (rig.matrix_world @ rig.pose.bones[0].matrix).translation
        for k, value in enumerate(one.betas):
            keys[body.SHAPE_KEY.format(k)].value = value
        assert bpy.ops.recover_mesh.update_joints() == {"FINISHED"}
        bpy.context.view_layer.update()
        assert ((rig.matrix_world @ rig.pose.bones[0].matrix).translation - pelvis).length < MM
        pose.apply_pose(rig, addon_body, one, camera_height_of(collection))
        expected = expected_in_blender(backend_vertices(model, one), collection)
        worst = max(worst, np.abs(evaluated_vertices(skin) - expected).max())
    print(f"\nworst of {count}: {worst / MM:.4f} mm")
    assert worst < MM


def test_update_joints_alone_keeps_the_pose(model, addon_body, scene):
    """After new betas in the same pose: the backend's vertices of these, with the pelvis at its old position."""
    one = random_person(5)
    collection, ((rig, skin),) = built(addon_body, one)
    betas = random_person(6).betas
    for k, value in enumerate(betas):
        skin.data.shape_keys.key_blocks[body.SHAPE_KEY.format(k)].value = value
    bpy.context.view_layer.objects.active = rig
    assert bpy.ops.recover_mesh.update_joints() == {"FINISHED"}
    trans = one.trans + addon_body.rest_joints(one.betas)[0] - addon_body.rest_joints(betas)[0]
    changed = records.Person(one.poses, betas, trans, one.confidence)
    expected = expected_in_blender(backend_vertices(model, changed), collection)
    assert np.abs(evaluated_vertices(skin) - expected).max() < MM


@pytest.mark.parametrize(
    "camera",
    [
        Camera(900.0, 900.0, 399.5, 299.5, 800, 600),
        Camera(1500.0, 1500.0, 299.5, 449.5, 600, 900),
        Camera(700.0, 700.0, 500.0, 100.0, 640, 480),
        Camera(620.0, 620.0, -40.0, 700.0, 480, 640),
        Camera(800.0, 1000.0, 410.0, 280.0, 800, 600),
        Camera(1000.0, 800.0, 390.0, 310.0, 600, 800),
        Camera(12.0, 12.0, 319.5, 239.5, 640, 480),
    ],
    ids=["landscape", "portrait", "off-centre", "far off-centre", "tall pixels", "wide pixels", "shorter than 1 mm"],
)
def test_projection_is_the_backends(model, addon_body, scene, camera):
    one = random_person(3)
    _, ((_, skin),) = built(addon_body, one, camera=camera)
    expected = camera.project(backend_vertices(model, one))[::37]
    seen = [world_to_camera_view(scene, scene.camera, Vector(p)) for p in evaluated_vertices(skin)[::37].tolist()]
    size = np.array([scene.render.resolution_x, scene.render.resolution_y])
    assert tuple(size) == (camera.width, camera.height)
    # Blender's 0..1 begins at the edge of the first pixel, whose centre is 0
    pixels = np.array([[p.x, 1 - p.y] for p in seen]) * size - 0.5
    assert np.abs(pixels - expected).max() < 0.02


def test_correctives_need_no_python(addon_body, scene):
    """Drivers are simple expressions, evaluated with auto-run off, and follow bones in any rotation mode."""
    _, ((rig, skin),) = built(addon_body, random_person(1))
    drivers = skin.data.shape_keys.animation_data.drivers
    assert len(drivers) == int((np.abs(addon_body.posedirs).max((0, 1)) > correctives.NEGLIGIBLE).sum()) > 0
    assert all(d.driver.is_simple_expression and d.driver.is_valid for d in drivers)
    assert max(len(d.driver.expression) for d in drivers) <= 256
    before = evaluated_vertices(skin)
    for bone in rig.pose.bones:
        bone.rotation_mode = "XYZ"  # Blender converts the rotation; only Euler angles are left
        bone.rotation_quaternion = Quaternion()
    assert np.abs(evaluated_vertices(skin) - before).max() < MM


def test_negligible_correctives_are_left_out(addon_body, scene):
    few = np.zeros_like(addon_body.posedirs)
    few[:, :, 17] = 0.01
    one = records.Body(**{**vars(addon_body), "posedirs": few})
    _, ((_, skin),) = built(one, random_person(1))
    assert [k.name for k in skin.data.shape_keys.key_blocks if k.name.startswith("Pose")] == ["Pose017"]


def test_mesh_topology_weights_and_shape_keys(addon_body, scene):
    _, ((_, skin),) = built(addon_body, random_person(1))
    mesh = skin.data
    assert (len(mesh.vertices), len(mesh.polygons)) == (len(addon_body.v_template), len(addon_body.faces))
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    assert np.array_equal(corners.reshape(-1, 3), addon_body.faces)
    assert all(p.use_smooth for p in mesh.polygons)
    assert not mesh.validate()
    weights = np.zeros_like(addon_body.weights)
    for vertex in mesh.vertices:
        for group in vertex.groups:
            weights[vertex.index, group.group] = group.weight
    assert np.abs(weights - addon_body.weights).max() < 1e-6
    assert [g.name for g in skin.vertex_groups] == list(addon_body.joint_names)
    assert [k.name for k in mesh.shape_keys.key_blocks[1:11]] == [f"Shape{k:03d}" for k in range(10)]
    assert all((k.slider_min, k.slider_max) == (-5, 5) for k in mesh.shape_keys.key_blocks[1:11])


def test_rest_pose_stands_on_the_origin(addon_body, scene):
    _, ((rig, skin),) = built(addon_body, random_person(1))
    lowest = min(v.co.z for v in skin.data.shape_keys.key_blocks["Basis"].data)
    assert abs(lowest) < 1e-6
    assert 0.0 < rig.data.bones["left_foot"].head_local.z < 0.15 < rig.data.bones["pelvis"].head_local.z


def test_uvs(addon_body, scene):
    rng = np.random.default_rng(0)
    uv = rng.random((3 * len(addon_body.faces), 2)).astype(np.float32)
    one = records.Body(**{**vars(addon_body), "uv": uv})
    mesh = body.create_mesh(one, "with UVs")
    got = np.empty(uv.size, np.float32)
    mesh.uv_layers.active.data.foreach_get("uv", got)
    assert np.array_equal(got.reshape(-1, 2), uv)


def test_sliders_allow_large_betas(addon_body, scene):
    one = random_person(1)
    one.betas[0] = -7.25
    _, ((_, skin),) = built(addon_body, one)
    assert skin.data.shape_keys.key_blocks["Shape000"].value == pytest.approx(-7.25)


def test_bones(addon_body, scene):
    _, ((rig, _),) = built(addon_body, random_person(2))
    bones = rig.data.bones
    assert list(rig.data["joint_names"]) == list(addon_body.joint_names)
    assert sorted(b.name for b in bones) == sorted(addon_body.joint_names)
    for name, parent in zip(addon_body.joint_names, addon_body.parents, strict=True):
        found = bones[name].parent
        assert (addon_body.joint_names.index(found.name) if found else -1) == parent
    assert [rig.pose.bones[n]["confidence"] for n in addon_body.joint_names] == pytest.approx(
        random_person(2).confidence.tolist()
    )


def test_hinges_bend_about_local_x(addon_body, scene):
    """A positive rotation about local X moves shins back, forearms forward, hands down, the trunk forward."""
    resting = records.Person(np.zeros((24, 3)), np.zeros(10), np.array([0, 0, 4.0]), np.ones(24))
    resting.poses[0] = [np.pi, 0, 0]
    _, ((rig, _),) = built(addon_body, resting)
    forward, up = Vector((0, -1, 0)), Vector((0, 0, 1))
    expected = {
        "knee": -forward, "elbow": forward, "wrist": -up, "spine1": forward, "neck": forward, "foot": -up,
    }  # fmt: skip
    for bone in rig.pose.bones:
        direction = expected.get(bone.name.rpartition("_")[2])
        if direction is None:
            continue
        bpy.context.view_layer.update()
        before = bone.tail.copy()
        bone.rotation_quaternion = Quaternion((1, 0, 0), 0.3)
        bpy.context.view_layer.update()
        assert (bone.tail - before).normalized().dot(direction) > 0.7, bone.name
        bone.rotation_quaternion = Quaternion()


def test_left_and_right_mirror(model, addon_body, scene):
    """Paste Flipped works: rest axes are mirrored, up to the small asymmetry of the body."""
    _, ((rig, _),) = built(addon_body, random_person(2))
    for bone in rig.data.bones:
        if not bone.name.startswith("left_"):
            continue
        other = rig.data.bones[bone.name.replace("left_", "right_")]
        mirror = np.diag([-1.0, 1.0, 1.0])
        left, right = np.array(bone.matrix_local.to_3x3()), np.array(other.matrix_local.to_3x3())
        assert np.abs(mirror @ left @ mirror - right).max() < 0.02, bone.name


def test_rest_axes_are_equal_for_all_people(addon_body, scene):
    """So that a pose can be copied from one person to another."""
    _, ((first, _), (second, _)) = built(addon_body, random_person(1), random_person(2))
    assert np.abs(armature.rest_axes(first.data) - armature.rest_axes(second.data)).max() < 1e-4
    heads = [np.array([b.head_local for b in rig.data.bones]) for rig in (first, second)]
    assert np.abs(heads[0] - heads[1]).max() > 0.005


def test_failure_leaves_nothing(addon_body, scene, monkeypatch):
    before = datablocks()

    def fail(*_: object) -> None:
        raise MemoryError("no room for the second person's correctives")

    monkeypatch.setattr(person.pose, "apply_pose", fail)
    with pytest.raises(MemoryError):
        build.build_photo(photo_of([random_person(1), random_person(2)], addon_body), addon_body)
    assert datablocks() == before


def test_results_of_another_body_are_refused(addon_body, scene):
    one = random_person(1)
    other = records.Body(**{**vars(addon_body), "name": "another"})
    with pytest.raises(UserError, match=r"made for the body .*another"):
        build.build_photo(photo_of([one], addon_body), other)
    short = records.Person(one.poses[:16], one.betas, one.trans, one.confidence)
    with pytest.raises(UserError, match="16 joints"):
        build.build_photo(photo_of([short], addon_body), addon_body)
    nan = records.Person(one.poses * np.nan, one.betas, one.trans, one.confidence)
    with pytest.raises(UserError, match="not numbers"):
        build.build_photo(photo_of([nan], addon_body), addon_body)
    with pytest.raises(UserError, match="camera is invalid"):
        build.build_photo(photo_of([one], addon_body, Camera(0.0, 0.0, 0.0, 0.0, 10, 10)), addon_body)


def test_upright_image_is_packed(addon_body, scene, tmp_path):
    """The upright image of a photo with EXIF rotation is the background, packed into the file."""
    upright = write_png(tmp_path / "upright.png", 40, 30).read_bytes()
    shown = photo_of([random_person(1)], addon_body, Camera(50.0, 50.0, 19.5, 14.5, 40, 30))
    build.build_photo(records.Photo(**{**vars(shown), "upright_png": upright}), addon_body)
    image = scene.camera.data.background_images[0].image
    assert bytes(image.packed_file.data) == upright
    assert tuple(image.size) == (40, 30)


def test_mode_and_selection_are_kept(addon_body, scene):
    mesh = bpy.data.meshes.new("mine")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    obj = bpy.data.objects.new("mine", mesh)
    scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    obj.select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    build.build_photo(photo_of([random_person(1)], addon_body), addon_body)
    assert (obj.mode, bpy.context.view_layer.objects.active) == ("EDIT", obj)
    bpy.ops.object.mode_set(mode="OBJECT")
    assert [o.name for o in bpy.context.view_layer.objects if o.select_get()] == ["mine"]
