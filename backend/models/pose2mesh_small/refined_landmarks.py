"""Refined 3D landmarks for the keypoint fit: the lifter of `pose2mesh-small` corrects the detector's depths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from backend.models.pose2mesh_small.network import Lifter, lift
from backend.models.weights_files import EMBEDDED
from backend.structures import DetectedPerson

NAME = "pose2mesh-small"
_PART = "pose_lifter."


class LandmarkLifter:
    """The lifter of `pose2mesh-small`, on the CPU: 0.7 million parameters, under a millisecond per person."""

    def __init__(self, model: Lifter) -> None:
        self._model = model.eval().requires_grad_(False)

    @staticmethod
    @cache
    def embedded() -> LandmarkLifter:
        """The lifter with its embedded weights, read once per process."""
        from backend.models.checkpoints import load_tensors, read_checkpoint
        from backend.models.weights import split

        path = EMBEDDED / f"{NAME}.safetensors"
        tensors, _ = split(read_checkpoint(path))
        own = {name.removeprefix(_PART): value for name, value in tensors.items() if name.startswith(_PART)}
        model = Lifter(len(own["w1.weight"]))
        load_tensors(model, own, path.name)
        return LandmarkLifter(model)

    def landmarks(self, keypoints2d: np.ndarray, keypoints3d: np.ndarray) -> np.ndarray:
        """Refined landmarks (n, 33, 3) m, from detected 2D (n, 33, 3) px and visibility, and 3D (n, 33, 3) m.

        Axes are those of the ray to the person, as the detector's.
        """
        if not len(keypoints2d):
            return np.zeros((0, 33, 3), np.float32)
        points, world = np.asarray(keypoints2d, np.float64), np.asarray(keypoints3d, np.float64)
        return lift(self._model, points, world)[1].astype(np.float32)

    def refine(self, people: Sequence[DetectedPerson]) -> list[DetectedPerson]:
        """The people with refined 3D landmarks; those with other keypoint sets are unchanged."""
        with_landmarks = [k for k, person in enumerate(people) if person.keypoint_set == "blazepose33"]
        out = list(people)
        if with_landmarks:
            points, world = (
                np.stack([getattr(people[k], n) for k in with_landmarks]) for n in ("keypoints2d", "keypoints3d")
            )
            for k, refined in zip(with_landmarks, self.landmarks(points, world), strict=True):
                out[k] = replace(people[k], keypoints3d=refined)
        return out
