"""Provisional bodies while a clip is read; the final motions replace them."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.body.keypoint_fit.confidence import joint_confidence
from backend.body.keypoint_fit.fit import STAGES, initial_state
from backend.body.keypoint_fit.observations import observe
from backend.body.keypoint_fit.problem import Problem, Weights
from backend.body.keypoint_fit.solver import minimize
from backend.body.kinematics import Skeleton, State
from backend.body.model import BodyModel
from backend.clips.clip_reader import PreviewModel
from backend.geometry import rotations_numpy as rot
from backend.models.keypoint_fit import KeypointFitModel
from backend.models.pose2mesh_small.refined_landmarks import LandmarkLifter
from backend.structures import Camera, DetectedPerson
from backend.threads import one_blas_thread

Arrays = dict[str, np.ndarray]
_ITERATIONS = 6  # from the pose of the chunk before, which is close
_COLD_ITERATIONS = 24  # where a person was not in the chunk before
_DIRECTIONS, _PRIOR, _ = STAGES[-1]


def preview_model(recoverer: Any, camera: Camera) -> PreviewModel:
    """`KeypointPreview` for the built-in model, else `NetworkPreview`."""
    model = recoverer.model
    if isinstance(model, KeypointFitModel):
        # no lifter: on rendered clips it improves walks, but makes runs and dances worse (docs/results.md)
        return KeypointPreview(model.body, camera)
    return NetworkPreview(model, camera)


class KeypointPreview:
    """`PreviewModel` by a short keypoint fit.  With a lifter, `bodies` returns its refined landmarks too."""

    needs_pixels = False

    def __init__(self, body: BodyModel, camera: Camera, lifter: LandmarkLifter | None = None) -> None:
        self._skeleton = Skeleton(body)
        self._camera, self._lifter = camera, lifter

    @one_blas_thread()
    def bodies(self, detections: Arrays, pixels: list[np.ndarray], before: Arrays) -> Arrays:
        """See `PreviewModel.bodies`."""
        joints, betas = len(self._skeleton.parents), self._skeleton.joint_directions.shape[2]
        if not len(detections["person"]):
            return _zero_bodies(0, joints, betas)
        refined: Arrays = {}
        if self._lifter is not None:
            refined = {"keypoints3d": self._lifter.landmarks(detections["keypoints2d"], detections["keypoints3d"])}
            detections = {**detections, **refined}
        observed = observe(detections["keypoints2d"], detections["keypoints3d"], self._camera)
        problem = Problem(self._skeleton, observed)
        state = initial_state(self._skeleton, detections["keypoints3d"], observed)
        previous = _previous_poses(before)
        ids = detections["person"].tolist()
        for k, person in enumerate(ids):
            if person in previous:
                state.rotations[k, 1:], state.betas[k] = previous[person]
        state = self._solve(problem, state, _ITERATIONS if previous.keys() >= set(ids) else _COLD_ITERATIONS)
        _, joints_at, points = self._skeleton.forward(state)
        uv = problem.project(points)
        error = np.linalg.norm(uv - observed.uv, axis=-1)
        extent = np.ptp(np.concatenate([uv, problem.project(joints_at)], 1), axis=1)
        height = np.maximum(extent.max(-1), 1.0)
        visible = (observed.seen > 0.5) + 1e-9
        return refined | {
            "poses": rot.log(state.rotations),
            "trans": state.trans,
            "betas": state.betas,
            "confidence": joint_confidence(self._skeleton, problem, error / height[:, None]).astype(np.float32),
            "reprojection_px": ((error * visible).sum(1) / visible.sum(1)).astype(np.float32),
        }

    @staticmethod
    def _solve(problem: Problem, state: State, iterations: int) -> State:
        trust = np.ones_like(problem.observed.seen)
        half = iterations // 2
        state, _ = minimize(problem, state, Weights(_DIRECTIONS, _PRIOR, trust), half)
        trust = problem.trust(state)
        return minimize(problem, state, Weights(_DIRECTIONS, _PRIOR, trust), iterations - half)[0]


def _zero_bodies(count: int, joints: int, betas: int) -> Arrays:
    """The arrays of `PreviewModel.bodies`, filled with 0."""
    return {
        "poses": np.zeros((count, joints, 3)),
        "trans": np.zeros((count, 3)),
        "betas": np.zeros((count, betas)),
        "confidence": np.zeros((count, joints), np.float32),
        "reprojection_px": np.zeros(count, np.float32),
    }


def _previous_poses(before: Arrays) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """id -> rotations of all joints but the root, and betas, of the person's last detection in the chunk before."""
    if "poses" not in before:
        return {}
    return {
        int(person): (rot.exp(before["poses"][k][1:]), before["betas"][k]) for k, person in enumerate(before["person"])
    }


class NetworkPreview:
    """`PreviewModel` by a network: no warm start, and the final motions smooth the same bodies."""

    needs_pixels = True

    def __init__(self, model: Any, camera: Camera) -> None:
        self._model, self._camera = model, camera

    def bodies(self, detections: Arrays, pixels: list[np.ndarray], before: Arrays) -> Arrays:
        """See `PreviewModel.bodies`."""
        body = self._model.body
        out = _zero_bodies(len(detections["person"]), len(body.parents), body.num_betas)
        for image_index in np.unique(detections["image"]):
            at = np.nonzero(detections["image"] == image_index)[0]
            people = [
                DetectedPerson(
                    detections["boxes"][k],
                    float(detections["scores"][k]),
                    detections["keypoints2d"][k],
                    detections["keypoints3d"][k],
                    "blazepose33",
                )
                for k in at
            ]
            recovered = self._model.recover(pixels[int(image_index)], people, self._camera)
            for k, one in zip(at, recovered, strict=True):
                for name, value in out.items():
                    value[k] = getattr(one, name)
        return out
