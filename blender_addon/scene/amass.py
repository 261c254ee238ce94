# SPDX-License-Identifier: GPL-3.0-or-later
"""Motions of AMASS: read from a file, resampled to a frame rate, applied to a body.

Mahmood et al., AMASS: Archive of Motion Capture as Surface Shapes, ICCV 2019.  A file is an npz: poses (T, 72, 156 or
165) axis-angle of SMPL, SMPL-H or SMPL-X, whose first 22 joints are the same; trans (T, 3) m; betas; mocap_framerate
Hz.  The world is z up, as Blender's.  Files that `recover-mesh` exports also have body, license and hands (T, 6).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import bpy
import numpy as np

from ..errors import UserError
from . import animation, armature, basis, body, fcurves, motion, person
from .motion import Motion, World
from .object_data import armature_data
from .records import READ_ERRORS, Body, Person, Photo

KIND = "amass"
BODY_COLUMNS = 66  # root and 21 joints; the columns after them are fingers, jaw and eyes
POSE_WIDTHS = (66, 72, 156, 165)
_FPS_KEYS = ("mocap_framerate", "mocap_frame_rate")
_FEET = ("left_ankle", "right_ankle", "left_foot", "right_foot")
_GROUND_PERCENTILE = 5  # of frames whose feet may be below the ground, as noise; origin not recorded
_WORLD = World(np.eye(3), np.zeros(3))


@dataclass(frozen=True)
class Amass:
    """The motion of one file: T frames in the world, z up, rad and m."""

    path: str
    poses: np.ndarray  # (T, 24, 3)
    trans: np.ndarray  # (T, 3)
    fps: float
    betas: np.ndarray  # (B,)
    body: str  # name of the body model of the betas in a file of `recover-mesh`; empty in AMASS's own files
    license: str

    @property
    def title(self) -> str:
        return os.path.splitext(os.path.basename(self.path))[0] or "Motion"


def read(path: str) -> Amass:
    """The motion in a file.  Raises UserError.  Pickled arrays in the file are never loaded."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names = set(file.files)
            if "world_rotation" in names or "image_size" in names:
                raise _error(path, "it is a result of Recover Mesh", "Use File > Import > Recovered Bodies.")
            missing = [name for name in ("poses", "trans") if name not in names]
            rate = next((name for name in _FPS_KEYS if name in names), "")
            missing += [] if rate else [_FPS_KEYS[0]]
            if missing:
                raise _error(path, f"it lacks {', '.join(missing)}")
            poses, trans = (np.asarray(file[name], np.float64) for name in ("poses", "trans"))
            fps = np.asarray(file[rate], np.float64).ravel()
            own = str(file["body"]) if "body" in names else ""
            betas = np.asarray(file["betas"], np.float64).ravel() if own and "betas" in names else np.zeros(0)
            hands = np.asarray(file["hands"], np.float64) if own and "hands" in names else None
            terms = str(file["license"]) if own and "license" in names else ""
    except READ_ERRORS as error:
        raise _error(path, f"it cannot be read: {error}") from None
    count = len(poses) if poses.ndim else 0
    if poses.ndim != 2 or poses.shape[1] not in POSE_WIDTHS or not count:
        raise _error(path, f"poses is {poses.shape}, expected is (frames, {' or '.join(map(str, POSE_WIDTHS))})")
    if trans.shape != (count, 3):
        raise _error(path, f"trans is {trans.shape}, expected is ({count}, 3)")
    if fps.size != 1 or not 0 < fps[0] <= 10000:  # also true for NaN
        raise _error(path, f"its frame rate is {fps.tolist()}")
    if hands is None or hands.shape != (count, 6):
        hands = np.zeros((count, 6))
    poses = np.concatenate([poses[:, :BODY_COLUMNS], hands], 1)
    if not all(np.isfinite(values).all() for values in (poses, trans, betas)):
        raise _error(path, "it contains values that are not numbers")
    return Amass(path, poses.reshape(count, 24, 3), trans, float(fps[0]), betas, own, terms)


def resample(source: Amass, fps: float) -> Amass:
    """The motion at another frame rate and the same speed, interpolated linearly."""
    count = len(source.poses)
    positions = np.arange(int(np.floor((count - 1) * fps / source.fps + 1e-6)) + 1) * source.fps / fps
    positions = np.clip(positions, 0, count - 1)
    nearest = np.round(positions)
    if np.abs(positions - nearest).max() < 1e-6:
        rows = nearest.astype(int)
        return replace(source, poses=source.poses[rows], trans=source.trans[rows], fps=fps)
    before = np.minimum(positions.astype(int), max(count - 2, 0))
    after = np.minimum(before + 1, count - 1)
    weight = (positions - before)[:, None]
    rotations = basis.continuous_quaternions(basis.quaternions(basis.rotation_matrices(source.poses)))
    interpolated = (1 - weight[..., None]) * rotations[before] + weight[..., None] * rotations[after]
    trans = (1 - weight) * source.trans[before] + weight * source.trans[after]
    return replace(source, poses=basis.axis_angles(interpolated), trans=trans, fps=fps)


def create(
    scene: bpy.types.Scene,
    source: Amass,
    body_model: Body,
    *,
    start: int,
    on_ground: bool,
    with_correctives: bool,
) -> bpy.types.Object:
    """The rig of a new body with this motion, in a new collection.  Raises UserError."""
    _require_joints(body_model.joint_names, body_model.name)
    same_body = source.body == body_model.name and len(source.betas) >= body_model.shapedirs.shape[2]
    betas = source.betas[: body_model.shapedirs.shape[2]] if same_body else np.zeros(body_model.shapedirs.shape[2])
    terms = source.license or f"{body_model.license} (the body); the motion has its own"
    photo = Photo(source.path, (0, 0), (0.0, 0.0, 0.0, 0.0), "AMASS", body_model.name, terms, [])
    collection = bpy.data.collections.new(source.title)
    scene.collection.children.link(collection)
    person.set_provenance(collection, KIND, photo)
    one = Person(source.poses[0], betas, source.trans[0], np.ones(24))
    number = sum(c.get(person.KIND_KEY) == KIND for c in bpy.data.collections) - 1
    rig = person.create_person(
        body_model, one, photo, source.title, number, collection, 0.0, with_correctives=with_correctives
    )
    for part in person.parts(rig) or ():  # motion capture has no reprojection error and no confidence
        del part["reprojection_px"], part["reprojection_relative"]
    for bone in rig.pose.bones:
        del bone["confidence"]
    _animate(rig, source, body_model, betas, start, on_ground and not same_body)
    return rig


def apply_to(rig: bpy.types.Object, source: Amass, *, start: int, on_ground: bool) -> None:
    """Apply the motion to an existing body in its own shape; its old action stays in the file.  Raises UserError."""
    data = armature_data(rig)
    names = tuple(data["joint_names"])
    _require_joints(names, rig.name)
    count = armature.beta_count(data)
    found = person.parts(rig)
    betas, sole = np.zeros(count), 0.0
    if found is not None:
        betas, sole = body.read_betas(found[1], count), body.lowest_point(found[1], count)
    empty = np.zeros((1, 3, 0))
    body_model = Body(  # only the fields that a motion needs
        name=str(rig.get("body", "")), license=str(rig.get("license", "")), joint_names=names,
        v_template=np.array([[0.0, sole - data["floor"], 0.0]]), faces=np.zeros((0, 3), int), shapedirs=empty,
        posedirs=empty, weights=np.zeros((1, len(names))), parents=np.array(data["parents"]).astype(int),
        joints_template=np.array(data["joints_template"]).reshape(-1, 3),
        joints_shapedirs=np.array(data["joints_shapedirs"]).reshape(len(names), 3, count),
    )  # fmt: skip
    old = fcurves.action_of(rig)
    if old is not None:
        old.use_fake_user = True
        rig.animation_data.action = None
    same_body = source.body == body_model.name and np.allclose(source.betas[:count], betas)
    _animate(rig, source, body_model, betas, start, on_ground and not same_body)


def _animate(
    rig: bpy.types.Object, source: Amass, body_model: Body, betas: np.ndarray, start: int, on_ground: bool
) -> None:
    count = len(source.poses)
    nothing = np.zeros(count, bool)
    mocap = Motion(
        frames=np.arange(count), poses=source.poses, betas=betas, trans=source.trans,
        confidence=np.ones((count, 24)), filled=nothing, hidden=nothing, contacts=np.zeros((count, 2), bool),
        reprojection_px=np.zeros(count),
    )  # fmt: skip
    if on_ground:
        mocap = replace(mocap, trans=mocap.trans - [0.0, 0.0, _ground_height(body_model, mocap)])
    action = animation.write_motion(rig, body_model, mocap, _WORLD, start, source.fps, measured=False)
    action.name = f"{source.title} Motion"


def _ground_height(body_model: Body, mocap: Motion) -> float:
    """Height of the lowest steps, m: the legs of AMASS's body have another length, so that it is not 0."""
    feet = [body_model.joint_names.index(name) for name in _FEET]
    rest = basis.body_points(body_model.rest_joints(mocap.betas)[feet])[:, 2] + body_model.floor
    heights = motion.joints(body_model, mocap, _WORLD)[:, feet, 2] - rest
    return float(np.percentile(heights.min(1), _GROUND_PERCENTILE))


def _require_joints(names: tuple[str, ...], what: str) -> None:
    if len(names) != 24 or not set(_FEET) <= set(names):
        raise UserError(
            f"AMASS's motions need a body with SMPL's 24 joints, {what} has others.", "Choose another body."
        )


def _error(path: str, why: str, hint: str = "Choose a motion file of AMASS (*_poses.npz, *_stageii.npz).") -> UserError:
    return UserError(f"{os.path.basename(path)} is not a motion of AMASS: {why}.", hint)
