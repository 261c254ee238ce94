# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip's result in the scene: a collection with its camera, its people and their actions.

It grows while the backend computes, and is replaced as a whole when the clip is recovered again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import bpy
import numpy as np
from mathutils import Matrix

from ..errors import UserError
from ..protocol_rows import ROWS
from . import animation, camera, person, quality
from .fcurves import action_of
from .footage import ClipInfo, scene_rate, set_background, set_rate
from .motion import Motion, World
from .object_data import armature_data, camera_data, mesh_data
from .records import Body, Person

KIND = "clip"
_RATE_TOLERANCE = 1e-3  # relative; frame rates that differ by less are equal
_MIN_WRITE_INTERVAL = 1.0  # s between two updates of growing actions; longer if updates are slow
_CAMERA_HEIGHT = 1.6  # m, until the ground is known; a guess, about eye height


class ClipScene:
    """Builds one clip.  It stores names, not references: the user may undo or delete anything at any time."""

    def __init__(
        self,
        scene: bpy.types.Scene,
        info: ClipInfo,
        body: Body,
        *,
        with_correctives: bool = True,
        match_rate: bool = True,
    ) -> None:
        """Begin the clip's collection.  It replaces the result of an earlier run of the same job."""
        self._scene, self._info, self._body = scene.name, info, body
        self._correctives = with_correctives
        self._rows: dict[int, dict[str, list[np.ndarray]]] = {}
        self._betas: dict[int, np.ndarray] = {}
        self._rigs: dict[int, str] = {}
        self._final = False
        self._stale: set[int] = set()
        self._last_write = 0.0
        self._write_interval = _MIN_WRITE_INTERVAL
        self._world = World.level(_CAMERA_HEIGHT)
        self.notes: list[str] = []
        remove(scene, info.job)
        self.collection = self._begin(scene)  # its name
        if match_rate:
            set_rate(scene, info.fps)
            if not info.moving:  # the range of a scene with a matchmove stays
                scene.frame_start, scene.frame_end = info.start, info.start + max(info.frames, 1) - 1
        elif abs(scene_rate(scene) / info.fps - 1) > _RATE_TOLERANCE:
            self.notes.append(
                f"The scene runs at {scene_rate(scene):g} fps, the clip at {info.fps:g}: frames match, speed does not."
            )

    @property
    def people(self) -> int:
        return len(self._rigs)

    def _begin(self, scene: bpy.types.Scene) -> str:
        """Create the collection and its camera; returns the collection's name."""
        info = self._info
        collection = bpy.data.collections.new(info.title)
        scene.collection.children.link(collection)
        photo = info.as_photo()
        person.set_provenance(collection, KIND, photo)
        collection["job"] = info.job
        if info.moving:
            return collection.name
        cam = camera.create_camera(photo, f"{info.title} Camera", collection, _CAMERA_HEIGHT)
        person.set_provenance(cam, "camera", photo)
        note = set_background(camera_data(cam), info)
        if note:
            self.notes.append(note)
        camera.use_camera(scene, cam, info.size, camera.pixel_aspect(photo))
        return collection.name

    def add(self, arrays: Mapping[str, np.ndarray], final: bool, world: list[float], scene_scale: float = 1.0) -> None:
        """Add a `chunk` of the protocol.  The first final one removes the previews.  world: its 12 numbers."""
        if final and not self._final:
            self._final = True
            self._rows.clear()
            self._betas.clear()
            self._stale.clear()
            self._remove_people()
        if final or self._info.moving:
            self._world = World.from_wire(world, scene_scale)
        else:
            self._world = self._provisional_world(arrays)
        for k, track_id in enumerate(arrays["people"].tolist()):
            self._betas.setdefault(track_id, arrays["betas"][k].astype(float))
        for track_id in np.unique(arrays["person"]).tolist():
            mask = arrays["person"] == track_id
            rows = self._rows.setdefault(track_id, {})
            for name, row in ROWS.items():
                kind = bool if row.dtype == "bool" else float
                rows.setdefault(name, []).append(np.asarray(arrays[name])[mask].astype(kind))
            self._stale.add(track_id)

    def _provisional_world(self, arrays: Mapping[str, np.ndarray]) -> World:
        """The world of previews, while the ground is unknown: level, under the feet of the first people."""
        if self._rigs or not len(arrays["person"]):
            return self._world
        body = self._body
        ground = []
        for k in range(len(arrays["person"])):
            index = int(np.nonzero(arrays["people"] == arrays["person"][k])[0][0])
            root = body.rest_joints(arrays["betas"][index])[0] + arrays["trans"][k]
            ground.append(root[1] - body.joints_template[:, 1].min() + body.joints_template[0, 1])
        return World.level(float(np.median(ground)))

    def flush(self, force: bool = False) -> bool:
        """Update the actions of people with new frames, not too often unless forced; whether any was updated."""
        if not self._stale or (not force and time.monotonic() - self._last_write < self._write_interval):
            return False
        began = time.monotonic()
        scene = self._get_scene()
        collection = self._get_collection()
        if scene is None or collection is None:
            raise UserError("The clip's collection was removed.", "Recover the clip again.")
        self._place_camera(collection)
        for track_id in sorted(self._stale):
            self._write(track_id, collection)
        self._stale.clear()
        self._last_write = time.monotonic()
        self._write_interval = max(_MIN_WRITE_INTERVAL, 10 * (self._last_write - began))
        return True

    def finish(self) -> None:
        """Write everything and mark the problems; call it after the last chunk, or when the user has cancelled."""
        self.flush(force=True)
        scene, collection = self._get_scene(), self._get_collection()
        if scene is None or collection is None:
            return
        quality.remove_markers(scene, collection)
        if self._final:
            for track_id, name in self._rigs.items():
                found = quality.problems(self._body, self._motion(track_id), self._world, self._info.fps)
                quality.add_markers(scene, collection, name, found, self._info.start)

    def _write(self, track_id: int, collection: bpy.types.Collection) -> None:
        motion = self._motion(track_id)
        rig: bpy.types.Object | None = collection.objects.get(self._rigs.get(track_id, ""))
        if rig is None:
            rig = self._create(track_id, motion, collection)
        animation.write_motion(rig, self._body, motion, self._world, self._info.start, self._info.fps)
        rig["reprojection_px"] = float(np.mean(motion.reprojection_px))

    def _create(self, track_id: int, motion: Motion, collection: bpy.types.Collection) -> bpy.types.Object:
        one = Person(
            motion.poses[0].astype(np.float32),
            motion.betas.astype(np.float32),
            motion.trans[0].astype(np.float32),
            motion.confidence[0].astype(np.float32),
            reprojection_px=float(np.mean(motion.reprojection_px)),
        )
        name = f"{self._info.title} Person {track_id}"
        rig = person.create_person(
            self._body, one, self._info.as_photo(), name, track_id - 1, collection, 0.0,
            with_correctives=self._correctives and self._final,
        )  # fmt: skip
        rig["person"] = track_id
        self._rigs[track_id] = rig.name
        return rig

    def _motion(self, track_id: int) -> Motion:
        rows = {name: np.concatenate(parts) for name, parts in self._rows[track_id].items()}
        order = np.argsort(rows["frames"], kind="stable")
        return Motion(betas=self._betas[track_id], **{name: value[order] for name, value in rows.items()})

    def _place_camera(self, collection: bpy.types.Collection) -> None:
        if self._info.moving:
            return
        cam = next((o for o in collection.objects if o.get(person.KIND_KEY) == "camera"), None)
        if cam is None:
            return
        # Blender's cameras look along -z with y up, OpenCV's along z with y down
        matrix = np.eye(4)
        matrix[:3, :3] = self._world.rotation @ np.diag([1.0, -1.0, -1.0])
        matrix[:3, 3] = self._world.translation
        cam.matrix_world = Matrix(matrix.tolist())
        trans = [part for rows in self._rows.values() for part in rows["trans"] if len(part)]
        farthest = max((float(part[:, 2].max()) for part in trans), default=0.0)
        camera_data(cam).clip_end = max(100.0, 2.0 * farthest + 10.0)

    def _remove_people(self) -> None:
        collection = self._get_collection()
        for name in self._rigs.values():
            rig = collection.objects.get(name) if collection is not None else None
            if rig is not None:
                _remove_person(rig)
        self._rigs.clear()

    def _get_scene(self) -> bpy.types.Scene | None:
        return bpy.data.scenes.get(self._scene)

    def _get_collection(self) -> bpy.types.Collection | None:
        return bpy.data.collections.get(self.collection)


def clips(scene: bpy.types.Scene) -> list[bpy.types.Collection]:
    """The collections of clips in a scene."""
    return [c for c in scene.collection.children_recursive if c.get(person.KIND_KEY) == KIND]


def remove(scene: bpy.types.Scene, job: str) -> None:
    """Remove the result of an earlier run of a job: people, camera, actions and markers."""
    for collection in clips(scene):
        if collection.get("job") != job:
            continue
        quality.remove_markers(scene, collection)
        for name in [obj.name for obj in collection.objects]:
            obj: bpy.types.Object | None = collection.objects.get(name)  # None: a body removed with its rig
            kind = "" if obj is None else obj.get(person.KIND_KEY)
            if kind == "rig":
                _remove_person(obj)
            elif kind == "camera":
                data = camera_data(obj)
                actions = [action_of(obj), action_of(data)]
                bpy.data.objects.remove(obj)
                bpy.data.cameras.remove(data)
                _remove_actions(actions)
        if collection.objects or collection.children:  # the user has put other objects into it
            collection[person.KIND_KEY] = ""
        else:
            bpy.data.collections.remove(collection)


def _remove_person(rig: bpy.types.Object) -> None:
    actions = [action_of(rig)]
    for child in list(rig.children):
        if child.get(person.KIND_KEY) == "body":
            actions.append(action_of(child))
            mesh = mesh_data(child)
            bpy.data.objects.remove(child)
            bpy.data.meshes.remove(mesh)
    data = armature_data(rig)
    bpy.data.objects.remove(rig)
    bpy.data.armatures.remove(data)
    _remove_actions(actions)


def _remove_actions(actions: list[bpy.types.Action | None]) -> None:
    """Remove those of our actions that have no users."""
    for action in actions:
        if action is not None and action.get("recover_mesh") and not action.users:
            bpy.data.actions.remove(action)
