"""`python -m benchmarks.keyframes`: keys of 24 bones in 1,000 frames, ours against `keyframe_insert`, in one run.

Both write the same bone rotations and root translations; the full motion also writes the quality properties.  Times
are CPU time, the least of several runs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp(prefix="recover-mesh-bench-"))

import bpy
import numpy as np

from backend.body.loader import load_body
from backend.body.wire import body_message
from blender_addon.scene import animation, fcurves, person, records
from blender_addon.scene.motion import Motion, World


def rig_and_motion(frames: int) -> tuple[bpy.types.Object, records.Body, Motion]:
    """The rig of a person in an empty scene, its body, and a smooth random motion."""
    body = records.body_from_wire(*body_message(load_body("open")))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    time_ = np.linspace(0, frames / 30, frames)[:, None, None]
    rng = np.random.default_rng(0)
    poses = 0.5 * np.sin(rng.uniform(2, 9, (24, 3)) * time_ + rng.uniform(0, 6, (24, 3)))
    motion = Motion(
        frames=np.arange(frames), poses=poses, betas=np.zeros(10), trans=np.zeros((frames, 3)) + [0, 0, 4.0],
        confidence=np.ones((frames, 24)), filled=np.zeros(frames, bool), hidden=np.zeros(frames, bool),
        contacts=np.zeros((frames, 2), bool), reprojection_px=np.ones(frames),
    )  # fmt: skip
    one = records.Person(poses[0], np.zeros(10), motion.trans[0], np.ones(24))
    photo = records.Photo("clip", (640, 480), (600.0, 600.0, 319.5, 239.5), "m", body.name, body.license, [one])
    rig = person.create_person(body, one, photo, "Bench", 0, bpy.context.scene.collection, 0.0, with_correctives=False)
    return rig, body, motion


def write_motion_seconds(rig: bpy.types.Object, body: records.Body, motion: Motion) -> float:
    """Seconds to write the full motion with its quality properties."""
    began = time.process_time()
    animation.write_motion(rig, body, motion, World.level(), 1, 30.0)
    return time.process_time() - began


def bulk_seconds(rig: bpy.types.Object, body: records.Body, frames: int) -> float:
    """Seconds to write the F-curves of 24 rotations and one location in bulk."""
    values = np.random.default_rng(0).random(frames)
    curves = [
        fcurves.Curve(f'pose.bones["{name}"].rotation_quaternion', k, name, values)
        for name in body.joint_names
        for k in range(4)
    ]
    curves += [fcurves.Curve('pose.bones["pelvis"].location', k, "pelvis", values) for k in range(3)]
    began = time.process_time()
    action = fcurves.new_action(rig, "Bench")
    fcurves.write(action, rig, np.arange(frames, dtype=float), curves)
    return time.process_time() - began


def keyframe_insert_seconds(rig: bpy.types.Object, body: records.Body, frames: int) -> float:
    """Seconds to write the same keys with `keyframe_insert`."""
    fcurves.new_action(rig, "Slow")
    began = time.process_time()
    for frame in range(frames):
        for name in body.joint_names:
            rig.pose.bones[name].keyframe_insert("rotation_quaternion", frame=frame)
        rig.pose.bones["pelvis"].keyframe_insert("location", frame=frame)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1000)
    args = parser.parse_args()
    rig, body, motion = rig_and_motion(args.frames)
    bulk = min(bulk_seconds(rig, body, args.frames) for _ in range(9))
    full_motion = min(write_motion_seconds(rig, body, motion) for _ in range(9))
    slow = min(keyframe_insert_seconds(rig, body, args.frames) for _ in range(3))
    print(f"Blender {bpy.app.version_string}, 24 bones x {args.frames} frames")
    print(f"keyframe_insert          {slow * 1e3:9.1f} ms")
    print(f"F-curves in bulk         {bulk * 1e3:9.1f} ms   {slow / bulk:.0f} times faster")
    print(f"full motion              {full_motion * 1e3:9.1f} ms   {slow / full_motion:.0f} times faster")
    os._exit(0)  # bpy 4.5 may hang in its own exit


if __name__ == "__main__":
    main()
