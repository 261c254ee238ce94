"""Procedural motions: walking, running, walking in a circle, sitting down, dancing, two people crossing, and more.

Planned with y up and the ground at y = 0, in metres, then transformed into the camera frame.  Feet in contact do not
move: legs are solved by two-bone inverse kinematics for fixed ankles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backend.body.joint_sets import SMPL24
from backend.body.model import BodyModel
from backend.geometry import rotations_numpy as rot
from backend.structures import Camera, World
from benchmarks.clips.cameras import dolly_trajectory
from benchmarks.clips.scene import GroundTruth, Scene

J = {name: k for k, name in enumerate(SMPL24)}


@dataclass
class _Plan:
    """A motion before its legs are solved; y up, m."""

    position: np.ndarray  # (T, 2) x and z of the hips
    heading: np.ndarray  # (T,) rad about y, 0 is +z
    height: np.ndarray  # (T,) of the hips
    ankles: np.ndarray  # (T, 2, 3) left, right
    pitch: np.ndarray  # (T, 2) rad, of the feet
    rotations: dict[str, np.ndarray]  # joint -> (T, 3, 3), parent-relative
    contacts: np.ndarray  # (T, 2) bool


class MotionMaker:
    """Makes motions of one body."""

    def __init__(self, body: BodyModel, fps: float = 30.0) -> None:
        self.body, self.fps = body, fps

    def gait(
        self,
        seconds: float,
        path: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
        *,
        step: float = 0.5,
        stance: float = 0.56,
        lift: float = 0.10,
        swing: float = 0.45,
        elbow: float = -0.35,
        bounce: float = 0.02,
        bend: float = 0.03,
    ) -> _Plan:
        """Plan of a gait along `path`: time -> position (n, 2) and heading (n,).  step: seconds per step."""
        count = round(seconds * self.fps)
        time = np.arange(count) / self.fps
        position, heading = path(time)
        cycle = 2 * step
        joints = self.body.joints_template.double().numpy()
        width = abs(joints[J["left_hip"], 0]) * 0.9
        ankle_height = joints[J["left_ankle"], 1] - float(self.body.v_template[:, 1].min())
        ankles, pitch = np.zeros((count, 2, 3)), np.zeros((count, 2))
        contacts = np.zeros((count, 2), bool)
        for side, sign in ((0, 1.0), (1, -1.0)):
            phase = time / cycle + 0.5 * side
            number = np.floor(phase)
            part = phase - number
            contacts[:, side] = part < stance

            def foot_at(n: np.ndarray, side: int = side, sign: float = sign) -> np.ndarray:
                """The ankle in the n-th stance: under the body at its midpoint."""
                middle = (n - 0.5 * side + stance / 2) * cycle
                at, toward = path(middle)
                left = np.stack([np.cos(toward), -np.sin(toward)], 1)
                spot = at + sign * width * left
                return np.stack([spot[:, 0], np.full(len(spot), ankle_height), spot[:, 1]], 1)

            s = np.clip((part - stance) / (1 - stance), 0, 1)
            smooth = s * s * s * (10 - 15 * s + 6 * s * s)
            ankles[:, side] = foot_at(number) + (foot_at(number + 1) - foot_at(number)) * smooth[:, None]
            ankles[:, side, 1] += lift * np.sin(np.pi * s) ** 2
            pitch[:, side] = 0.3 * np.sin(2 * np.pi * s) * (s > 0) * (lift / 0.10) ** 0.5
        leg = np.linalg.norm(joints[J["left_hip"]] - joints[J["left_knee"]])
        leg += np.linalg.norm(joints[J["left_knee"]] - joints[J["left_ankle"]])
        reach = np.linalg.norm(ankles[:, :, [0, 2]] - position[:, None], axis=-1)
        # as high as the legs in contact allow with bent knees, smoothed
        limit = np.where(contacts, np.sqrt(np.maximum((leg * (1 - bend)) ** 2 - reach**2, 0.3)), 9.0).min(1)
        limit = np.where(limit > 8, leg * (1 - bend) + bounce, limit)
        height = _smooth(limit, max(round(0.12 * self.fps), 1)) + ankle_height - 0.02
        wave = np.sin(2 * np.pi * time / cycle)
        zero = np.zeros(count)
        rotations = {
            "left_shoulder": _rot(zero, zero, zero - 1.2) @ _rot(zero, -swing * wave, zero),
            "right_shoulder": _rot(zero, zero, zero + 1.2) @ _rot(zero, -swing * wave, zero),
            "left_elbow": _rot(zero, elbow + 0.2 * wave, zero),
            "right_elbow": _rot(zero, -elbow + 0.2 * wave, zero),
            "spine2": _rot(zero + 0.03, -0.12 * wave, zero),
            "neck": _rot(zero, 0.10 * wave, zero),
        }
        return _Plan(position, heading, height, ankles, pitch, rotations, contacts)

    def still(self, seconds: float, at: tuple[float, float], heading: float) -> _Plan:
        """Plan of standing at x, z with arms down."""
        count = round(seconds * self.fps)
        joints = self.body.joints_template.double().numpy()
        sole = float(self.body.v_template[:, 1].min())
        ankle_height = joints[J["left_ankle"], 1] - sole
        position = np.tile(np.array(at, float), (count, 1))
        left = np.array([np.cos(heading), -np.sin(heading)])
        ankles = np.zeros((count, 2, 3))
        for side, sign in ((0, 1.0), (1, -1.0)):
            spot = np.array(at) + sign * 0.13 * left
            ankles[:, side] = [spot[0], ankle_height, spot[1]]
        height = np.full(count, joints[J["left_hip"], 1] - sole - 0.045)
        zero = np.zeros(count)
        rotations = {
            "left_shoulder": _rot(zero, zero, zero - 1.2),
            "right_shoulder": _rot(zero, zero, zero + 1.2),
            "left_elbow": _rot(zero, zero - 0.2, zero),
            "right_elbow": _rot(zero, zero + 0.2, zero),
        }
        contacts = np.ones((count, 2), bool)
        return _Plan(position, np.full(count, heading), height, ankles, np.zeros((count, 2)), rotations, contacts)

    def finish(self, plan: _Plan, betas: np.ndarray, camera_of: World, clothing: int = 0) -> GroundTruth:
        """Ground truth of a plan: its legs solved, in the camera frame."""
        count = len(plan.position)
        betas32 = self.body.joints_shapedirs.double().numpy() @ betas
        joints = self.body.joints_template.double().numpy() + betas32
        names = self.body.joint_names
        rotations = np.broadcast_to(np.eye(3), (count, 24, 3, 3)).copy()
        for name, value in plan.rotations.items():
            rotations[:, names.index(name)] = value
        root = _rot(np.zeros(count), plan.heading, np.zeros(count))
        rotations[:, 0] = root @ rotations[:, 0]
        hips = (joints[J["left_hip"]] + joints[J["right_hip"]]) / 2
        middle = np.stack([plan.position[:, 0], plan.height, plan.position[:, 1]], 1)
        trans = middle - joints[0] - (rotations[:, 0] @ (hips - joints[0]))
        for side, s in enumerate(("left", "right")):
            hip, knee, ankle = (joints[J[f"{s}_{n}"]] for n in ("hip", "knee", "ankle"))
            at = joints[0] + trans + (rotations[:, 0] @ (hip - joints[0]))
            foot = root @ _rot(plan.pitch[:, side], np.zeros(count), np.zeros(count))
            solved = _leg(at, plan.ankles[:, side], hip, knee, ankle, root[:, :, 2], root[:, :, 0])
            rotations[:, J[f"{s}_hip"]] = np.swapaxes(rotations[:, 0], 1, 2) @ solved[0]
            rotations[:, J[f"{s}_knee"]] = np.swapaxes(solved[0], 1, 2) @ solved[1]
            rotations[:, J[f"{s}_ankle"]] = np.swapaxes(solved[1], 1, 2) @ foot
        # world (y up) -> world of `World` (z up) -> camera
        to_z_up = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
        to_camera = camera_of.rotation.T @ to_z_up
        origin = -camera_of.rotation.T @ camera_of.translation
        rotations[:, 0] = to_camera @ rotations[:, 0]
        trans = (to_camera @ (joints[0] + trans).T).T + origin - joints[0]
        rest = joints
        chain, positions = np.empty_like(rotations), np.empty((count, 24, 3))
        chain[:, 0], positions[:, 0] = rotations[:, 0], rest[0] + trans
        for k in range(1, 24):
            p = int(self.body.parents[k])
            chain[:, k] = chain[:, p] @ rotations[:, k]
            positions[:, k] = positions[:, p] + chain[:, p] @ (rest[k] - rest[p])
        return GroundTruth(rot.log(rotations), betas, trans, positions, plan.contacts, clothing)


def _rot(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return rot.exp(np.stack(np.broadcast_arrays(x, y, z), -1).astype(float))


def _smooth(values: np.ndarray, half: int) -> np.ndarray:
    kernel = np.hanning(2 * half + 3)[1:-1]
    padded = np.pad(values, half, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def _leg(at, ankle, hip_rest, knee_rest, ankle_rest, forward, left):
    """Global rotations of thigh and shin (T, 3, 3) by two-bone inverse kinematics, the knee bending forward."""
    thigh, shin = knee_rest - hip_rest, ankle_rest - knee_rest
    a, b = np.linalg.norm(thigh), np.linalg.norm(shin)
    to_ankle = ankle - at
    length = np.clip(np.linalg.norm(to_ankle, axis=1), abs(a - b) + 1e-3, (a + b) * 0.9995)
    along = to_ankle / np.linalg.norm(to_ankle, axis=1, keepdims=True)
    bend = forward - along * (forward * along).sum(1, keepdims=True)
    bend /= np.linalg.norm(bend, axis=1, keepdims=True)
    cosine = np.clip((a * a + length**2 - b * b) / (2 * a * length), -1, 1)
    knee = at + along * (a * cosine)[:, None] + bend * (a * np.sqrt(1 - cosine**2))[:, None]
    foot_target = at + along * length[:, None]
    hinge = np.cross(bend, along)  # axis to the person's left
    hinge *= np.sign((hinge * left).sum(1, keepdims=True))
    return _aligned(thigh, knee - at, hinge), _aligned(shin, foot_target - knee, hinge)


def _aligned(rest: np.ndarray, target: np.ndarray, left: np.ndarray) -> np.ndarray:
    """(T, 3, 3) rotations of direction `rest` to `target`, with +x closest to `left`."""

    def frame(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        y = y / np.linalg.norm(y, axis=-1, keepdims=True)
        x = x - y * (x * y).sum(-1, keepdims=True)
        x = x / np.linalg.norm(x, axis=-1, keepdims=True)
        return np.stack([x, y, np.cross(x, y)], -1)

    return frame(target, left) @ np.swapaxes(frame(rest, np.array([1.0, 0, 0])), -1, -2)


def straight(start: tuple[float, float], speed: float, heading: float):
    """A path along a line; heading 0 goes along +z (away from the camera), pi/2 along +x."""

    def path(time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        direction = np.array([np.sin(heading), np.cos(heading)])
        return np.array(start) + speed * time[:, None] * direction, np.full(len(time), heading)

    return path


def circle(center: tuple[float, float], radius: float, speed: float, start: float = 0.0):
    """A path around a circle."""

    def path(time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        angle = start + speed / radius * time
        position = np.array(center) + radius * np.stack([np.sin(angle), np.cos(angle)], 1)
        return position, angle + np.pi / 2

    return path


def camera_world(height: float, pitch: float) -> World:
    """World of a camera `height` m above the ground, pitched down by `pitch` rad."""
    c, s = np.cos(pitch), np.sin(pitch)
    # columns: camera's x right, y down, z forward in the world (x right, y ahead, z up)
    rotation = np.array([[1.0, 0, 0], [0, -s, c], [0, -c, -s]])
    return World(rotation, np.array([0.0, 0.0, height]))


# in the y-up frame of plans, the camera looks along -z
def _scene(maker: MotionMaker, plans: list[tuple[_Plan, np.ndarray]], size, height=1.5, pitch=0.10, **more) -> Scene:
    world = camera_world(height, pitch)
    width, height_px = size
    focal = 1.1 * max(size)
    camera = Camera(focal, focal, (width - 1) / 2, (height_px - 1) / 2, width, height_px)
    people = [maker.finish(plan, betas, world, k) for k, (plan, betas) in enumerate(plans)]
    return Scene(people, camera, world, maker.fps, **more)


SHAPES = (np.array([0.4, 0.3, -0.3, 0.2, 0, 0, 0, 0, 0, 0]), np.array([-0.8, -0.4, 0.4, 0, 0, 0, 0, 0, 0, 0]))
TOWARD_CAMERA = 0.0  # heading along +z of the plans' frame


def walk(maker: MotionMaker, size, seconds: float = 4.0) -> Scene:
    """Walking across the image and a little closer."""
    plan = maker.gait(seconds, straight((-1.9, -5.6), 1.05, np.pi / 2 - 0.25))
    return _scene(maker, [(plan, SHAPES[0])], size)


def approach(maker: MotionMaker, size, seconds: float = 4.0) -> Scene:
    """Walking towards a camera that looks down steeply."""
    plan = maker.gait(seconds, straight((0.2, -7.5), 0.95, TOWARD_CAMERA))
    return _scene(maker, [(plan, SHAPES[0])], size, height=2.4, pitch=0.28)


def run(maker: MotionMaker, size, seconds: float = 2.6) -> Scene:
    """Running across."""
    plan = maker.gait(
        seconds, straight((-3.4, -6.2), 2.7, np.pi / 2 - 0.1), step=0.36, stance=0.36, lift=0.24, swing=0.8,
        elbow=-1.4, bounce=0.04, bend=0.10,
    )  # fmt: skip
    return _scene(maker, [(plan, SHAPES[0])], size)


def turn(maker: MotionMaker, size, seconds: float = 6.0) -> Scene:
    """Walking in a circle."""
    plan = maker.gait(seconds, circle((0.0, -5.2), 0.9, 0.9), step=0.52)
    return _scene(maker, [(plan, SHAPES[1])], size)


def sit(maker: MotionMaker, size, seconds: float = 5.0) -> Scene:
    """Sitting down on a box and getting up again, seen half from the side."""
    plan = maker.still(seconds, (0.0, -4.6), 0.7)
    time = np.arange(len(plan.height)) / maker.fps
    s = np.clip(np.minimum((time - 0.6) / 1.2, (seconds - 0.6 - time) / 1.2), 0, 1)
    down = s * s * (3 - 2 * s)
    back = -np.array([np.sin(0.7), np.cos(0.7)])
    plan.position = plan.position + back * (0.38 * down)[:, None]
    plan.height = plan.height - 0.42 * down
    zero = np.zeros(len(time))
    lean = 0.45 * np.sin(np.pi * s) + 0.08 * down
    plan.rotations["spine1"] = _rot(lean * 0.6, zero, zero)
    plan.rotations["spine2"] = _rot(lean * 0.4, zero, zero)
    plan.rotations["left_shoulder"] = _rot(zero, zero, zero - 1.2) @ _rot(zero, -0.6 * down, zero)
    plan.rotations["right_shoulder"] = _rot(zero, zero, zero + 1.2) @ _rot(zero, 0.6 * down, zero)
    return _scene(maker, [(plan, SHAPES[0])], size)


def dance(maker: MotionMaker, size, seconds: float = 4.0) -> Scene:
    """Fast jumping-jack arms, feet in place."""
    plan = maker.still(seconds, (0.0, -4.4), 0.1)
    time = np.arange(len(plan.height)) / maker.fps
    beat = 0.5 - 0.5 * np.cos(2 * np.pi * 1.6 * time)
    sharp = beat * beat * (3 - 2 * beat)
    zero = np.zeros(len(time))
    plan.rotations["left_shoulder"] = _rot(zero, zero, -1.2 + 2.1 * sharp)
    plan.rotations["right_shoulder"] = _rot(zero, zero, 1.2 - 2.1 * sharp)
    plan.height = plan.height - 0.05 * beat
    return _scene(maker, [(plan, SHAPES[1])], size)


def cross(maker: MotionMaker, size, seconds: float = 4.0) -> Scene:
    """Two people walk past each other; the closer one occludes the other for a moment."""
    one = maker.gait(seconds, straight((-1.9, -5.2), 1.0, np.pi / 2))
    other = maker.gait(seconds, straight((2.0, -6.4), 1.05, -np.pi / 2), step=0.52)
    return _scene(maker, [(one, SHAPES[0]), (other, SHAPES[1])], size)


def occlusion(maker: MotionMaker, size, seconds: float = 5.0) -> Scene:
    """Walking behind a pillar, occluded for about a second."""
    plan = maker.gait(seconds, straight((-2.3, -5.6), 0.95, np.pi / 2))
    return _scene(maker, [(plan, SHAPES[0])], size, pillar=(-0.32, 0.38, 3.4))


def leave(maker: MotionMaker, size, seconds: float = 7.0) -> Scene:
    """Walking out of the image and back."""

    def path(time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        half = seconds / 2
        away = np.where(time < half, time, seconds - time)
        return np.stack([0.3 + 1.15 * away, np.full(len(time), -5.0)], 1), np.where(time < half, 1, -1) * np.pi / 2

    plan = maker.gait(seconds, path)
    return _scene(maker, [(plan, SHAPES[0])], size)


def dolly(maker: MotionMaker, size, seconds: float = 4.0, zoom: float = 0.15, plan: _Plan | None = None) -> Scene:
    """The walk before a handheld camera that moves along and pans."""
    plan = plan or maker.gait(seconds, straight((-1.9, -5.6), 1.05, np.pi / 2 - 0.25))
    fixed = _scene(maker, [], size)
    gt = maker.finish(plan, SHAPES[0], World())
    view = dolly_trajectory(len(gt.poses), maker.fps, fixed.camera, zoom)
    return Scene([gt], fixed.camera, World(), maker.fps, view=view)


MOTIONS = {f.__name__: f for f in (walk, approach, run, turn, sit, dance, cross, occlusion, leave, dolly)}
