"""A clip of two people whose paths cross: its protocol messages, and the mesh that Blender shows."""

from __future__ import annotations

import numpy as np
from evaluated_mesh import backend_vertices, evaluated_vertices

from blender_addon.scene import clip, export
from blender_addon.scene.footage import ClipInfo

COUNT = 40  # frames


def info_of(gt_scene, job="/jobs/a", start=11, **more):
    c = gt_scene.camera
    fields = {
        "source": "/clips/cross.mp4", "job": job, "size": (c.width, c.height), "camera": (c.fx, c.fy, c.cx, c.cy),
        "fps": 25.0, "frames": COUNT, "model": "m", "body": "open", "license": "CC0-1.0", "start": start,
    }  # fmt: skip
    return ClipInfo(**{**fields, **more})


def chunk(gt_scene, first, end, people=(1, 2), filled=(), hidden=()):
    """Arrays of the protocol's `chunk`: frames first to end - 1 of these people."""
    rows = [(p, t) for t in range(first, end) for p in people]
    gt = {p: gt_scene.people[p - 1] for p in people}

    def of(name):
        return np.array([getattr(gt[p], name)[t] for p, t in rows], np.float32)

    return {
        "people": np.array(people, np.int32),
        "betas": np.array([gt[p].betas for p in people], np.float32),
        "frames": np.array([t for _, t in rows], np.int32),
        "person": np.array([p for p, _ in rows], np.int32),
        "poses": of("poses"),
        "trans": of("trans"),
        "confidence": np.full((len(rows), 24), 0.8, np.float32),
        "filled": np.array([t in filled for _, t in rows], np.uint8),
        "hidden": np.array([t in hidden for _, t in rows], np.uint8),
        "contacts": of("contacts").astype(np.uint8),
        "reprojection_px": np.ones(len(rows), np.float32),
    }


def world_of(gt_scene):
    return [*gt_scene.world.rotation.ravel().tolist(), *gt_scene.world.translation.tolist()]


def build_clip(scene, body, info, gt_scene, *chunks, scale=1.0):
    """The finished clip of these final chunks."""
    clip_scene = clip.ClipScene(scene, info, body)
    for arrays in chunks:
        clip_scene.add(arrays, True, world_of(gt_scene), scale)
    clip_scene.finish()
    return clip_scene


def rigs(scene):
    return {o["person"]: o for o in scene.objects if o.get("recover_mesh") == "rig"}


def body_vertices(rig):
    """(V, 3) vertices of the evaluated body mesh in the world."""
    return evaluated_vertices(export.body_mesh_of(rig))


def gt_vertices(model, gt_scene, person, t):
    """(V, 3) the backend's vertices in the world.  person: from 1."""
    return gt_scene.world.points(backend_vertices(model, gt_scene.people[person - 1], t).astype(float))
