"""`python tools/render_demo_photo.py`: render the open body as a full-body photo for the demo and the tests.

Cycles on the CPU: skin, T-shirt, trousers, shoes and hair by body part, sun and sky, a ground and a wall.  Writes
tests/data/rendered_person.jpg and the ground-truth parameters in the camera frame (rendered_person.npz).
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp())

import bpy  # noqa: E402

from backend.body.joint_sets import SMPL24  # noqa: E402
from backend.body.loader import load_body  # noqa: E402
from backend.body.wire import body_message  # noqa: E402
from backend.geometry import rotations_numpy as rot  # noqa: E402
from blender_addon.scene import build, records  # noqa: E402

OUT = ROOT / "tests" / "data" / "rendered_person"
SIZE = (768, 1024)
FOCAL = 1250.0
# standing at ease, one hand towards the camera, slightly rotated
POSE = {
    "left_hip": (-0.08, 0, 0.16), "left_knee": (0.12, 0, 0), "right_hip": (-0.22, 0, -0.20), "right_knee": (0.35, 0, 0),
    "right_ankle": (-0.10, 0, 0), "left_ankle": (-0.04, 0, -0.1), "spine2": (0, 0.10, 0.03), "neck": (0.05, -0.15, 0),
    "left_shoulder": (0, 0.10, -0.75), "left_elbow": (0, -0.55, 0),
    "right_shoulder": (0, 0.55, 0.85), "right_elbow": (0, 1.1, 0),
}  # fmt: skip
YAW = 0.30
BETAS = (0.3, 0.2, -0.4, 0.1)
HAIR, SKIN, SHIRT, TROUSERS, SHOES = range(5)
COLORS = {
    HAIR: (0.03, 0.018, 0.01),
    SKIN: (0.52, 0.29, 0.20),
    SHIRT: (0.05, 0.16, 0.33),
    TROUSERS: (0.10, 0.09, 0.08),
    SHOES: (0.5, 0.5, 0.48),
}


def main() -> None:
    body = load_body("open")
    poses = np.zeros((24, 3), np.float32)
    for name, angles in POSE.items():
        poses[SMPL24.index(name)] = angles
    flip = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])
    yaw = np.array([[np.cos(YAW), 0, np.sin(YAW)], [0, 1, 0], [-np.sin(YAW), 0, np.cos(YAW)]])
    poses[0] = rot.log(flip @ yaw)
    betas = np.zeros(10, np.float32)
    betas[: len(BETAS)] = BETAS
    trans = np.array([0.0, 0.22, 2.95], np.float32)
    cx, cy = (SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2
    addon_body = records.body_from_wire(*body_message(body))
    person = records.Person(poses, betas, trans, np.ones(24, np.float32))
    photo = records.Photo("rendered", SIZE, (FOCAL, FOCAL, cx, cy), "rendered", body.name, body.license, [person])
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    build.build_photo(photo, addon_body)
    mesh_object = next(o for o in bpy.data.objects if o.get("recover_mesh") == "body")
    assign_materials(mesh_object, body)
    surroundings()
    render()
    np.savez(
        OUT.with_suffix(".npz"), poses=poses, betas=betas, trans=trans, camera=[FOCAL, FOCAL, cx, cy], image_size=SIZE,
        body=body.name, license=body.license,
    )  # fmt: skip


def assign_materials(mesh_object: bpy.types.Object, body) -> None:
    """Assign a material to each face by its position on the template."""
    mesh = mesh_object.data
    mesh.materials.clear()
    for kind, color in COLORS.items():
        mesh.materials.append(noisy_material(str(kind), color, rough=0.45 if kind in (SKIN, SHOES) else 0.85))
    rest = body.v_template.numpy()
    faces = body.faces.numpy()
    center = rest[faces].mean(1)
    joints = body.joints_template.numpy()
    head, neck, pelvis = joints[15], joints[12], joints[0]
    x, y, z = np.abs(center[:, 0]), center[:, 1], center[:, 2]
    part = np.full(len(faces), SKIN)
    part[(y < neck[1] + 0.01) & (x < abs(joints[16, 0]) + 0.16)] = SHIRT
    part[(y < pelvis[1] + 0.02) & (x < 0.35)] = TROUSERS
    part[(y < joints[7, 1] + 0.02) & (x < 0.35)] = SHOES
    wave = 0.006 * np.sin(60 * center[:, 0])  # uneven hems
    y = y + wave
    top = rest[:, 1].max()
    part[(y > top - 0.075) | ((y > head[1] + 0.03) & (z < head[2] + 0.0))] = HAIR
    mesh.polygons.foreach_set("material_index", part.astype(np.int32))
    mesh.update()
    eyes(mesh_object, body)


def eyes(mesh_object: bpy.types.Object, body) -> None:
    """Add a dark material to the faces around the eyes' centres of the template."""
    rows = body.regressors["coco17"].numpy()
    centers = rows[1:3] @ body.v_template.numpy()
    mesh_object.data.materials.append(noisy_material("eye", (0.02, 0.015, 0.012), rough=0.2))
    center = body.v_template.numpy()[body.faces.numpy()].mean(1)
    near = np.min([np.linalg.norm(center - (c + [0, 0, 0.006]), axis=1) for c in centers], 0) < 0.011
    index = np.empty(len(center), np.int32)
    mesh_object.data.polygons.foreach_get("material_index", index)
    index[near] = len(mesh_object.data.materials) - 1
    mesh_object.data.polygons.foreach_set("material_index", index)


def noisy_material(name: str, color: tuple[float, float, float], rough: float) -> bpy.types.Material:
    """A principled BSDF with slight colour noise."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = rough
    noise, ramp = nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeValToRGB")
    noise.inputs["Scale"].default_value = 25.0
    for element, factor in zip(ramp.color_ramp.elements, (0.7, 1.25), strict=True):
        element.color = (*(c * factor for c in color), 1.0)
    links.new(noise.outputs["Fac"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], shader.inputs["Base Color"])
    return material


def surroundings() -> None:
    scene = bpy.context.scene
    for name, size, location, rotation, color in (
        ("Ground", 40, (0, 5, 0), (0, 0, 0), (0.30, 0.29, 0.26)),
        ("Wall", 40, (0, 9, 0), (np.pi / 2, 0, 0), (0.42, 0.33, 0.26)),
    ):
        bpy.ops.mesh.primitive_plane_add(size=size, location=location, rotation=rotation)
        plane = bpy.context.object
        plane.name = name
        plane.data.materials.append(noisy_material(name, color, 0.9))
    sun = bpy.data.lights.new("Sun", "SUN")
    sun.energy, sun.angle = 3.2, 0.03
    lamp = bpy.data.objects.new("Sun", sun)
    lamp.rotation_euler = (0.85, 0.15, 0.7)
    scene.collection.objects.link(lamp)
    world = bpy.data.worlds.new("Sky")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.55, 0.68, 0.9, 1)
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.7
    scene.world = world


def render() -> None:
    scene = bpy.context.scene
    for obj in bpy.data.objects:
        if obj.type == "ARMATURE":
            obj.hide_render = True
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = 96
    scene.cycles.use_denoising = True
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "JPEG"
    scene.render.image_settings.quality = 88
    scene.render.filepath = str(OUT.with_suffix(".jpg"))
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # bpy 4.5 may hang while it unloads
