"""The pipeline for one image: detection, then a model.  Server, command line and tests all run this."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backend.device import resolve_device
from backend.errors import BadInput
from backend.media.photo import encode_png, load_image
from backend.models.pose2mesh.joint_sets import POSE_SETS
from backend.models.registry import DEFAULT_MODEL, get_model
from backend.people.detect.clip_detector import ClipDetector
from backend.people.detect.hand_detector import HandDetector
from backend.people.detect.keypoint_file import KeypointFile, read_keypoints
from backend.people.detect.mediapipe_detector import MediaPipeDetector
from backend.people.limit import people_limit
from backend.structures import Camera, DetectedPerson, FrameResult, PersonDetector

if TYPE_CHECKING:
    from backend.models.inference.engine import EngineOptions

# Used without EXIF; a field of view of 45 degrees across the long side, about that of a phone's main camera
DEFAULT_FOCAL_PER_LONG_SIDE = 1.2


class Recoverer:
    """A loaded model and detector; `recover` takes one image at a time.  Not thread-safe."""

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        device: str = "auto",
        *,
        options: EngineOptions | None = None,
        keypoints: Path | None = None,
    ) -> None:
        """options: how a network runs.  keypoints: file of the user's own 2D poses, for models that lift them; no
        detector runs then.  Raises BadInput: unknown_model, model_not_ready, keypoints_unused, and what loading raises.
        """
        spec = get_model(model)
        if not spec.ready:
            raise BadInput("model_not_ready", f"The model {model} cannot run yet.", spec.hint)
        self.device = resolve_device(device)
        self.model = spec.load(self.device, options)
        self.keypoints = None if keypoints is None else self._keypoint_file(keypoints)
        self.detector: PersonDetector | None = None
        if self.keypoints is None:
            self.detector = HandDetector() if spec.part == "hand" else MediaPipeDetector()

    def clip_detector(self) -> ClipDetector:
        """The detector for consecutive frames, created at the first call.  Raises BadInput `keypoints_in_clips`."""
        if self.keypoints is not None:
            raise BadInput(
                "keypoints_in_clips",
                "A file of keypoints was given, but clips need the built-in detector.",
                "Leave --keypoints out, or recover the frames as images.",
            )
        if not isinstance(self.detector, ClipDetector):
            self.detector = ClipDetector()
        return self.detector

    def _keypoint_file(self, path: Path) -> KeypointFile:
        pose_set = self.model.pose_set
        if not pose_set:
            raise BadInput(
                "keypoints_unused",
                f"The model {self.model.spec.name} takes the image, not given keypoints.",
                "Leave --keypoints out, or choose a pose2mesh model.",
            )
        count = len(POSE_SETS[pose_set].joints)
        # COCO's own 17 are accepted too: pelvis and neck are added to them
        return read_keypoints(path, (17, count) if pose_set == "coco" else (count,))

    def _people(self, source: str, pixels: np.ndarray, limit: int | None) -> list[DetectedPerson]:
        if self.keypoints is not None:
            return self.keypoints.people(source, self.model.pose_set)[:limit]
        assert self.detector is not None
        return self.detector.detect(pixels, limit)[:limit]

    def recover(
        self,
        source: str | bytes,
        *,
        index: int = 0,
        people: str = "all",
        focal_px: float = 0.0,
        on_stage: Callable[[str], None] | None = None,
    ) -> FrameResult:
        """The people of one image, as a FrameResult.

        source: path of an image file, or its encoded bytes.  people: see `people_limit`.  focal_px: focal length in
        pixels of the upright image; 0: from EXIF, else 1.2 times the long side.  on_stage: called with `decode`,
        `detect`, `fit` as each begins; an exception it raises ends the work.  Raises BadInput as `people_limit` and
        `load_image` do.
        """
        limit = people_limit(people)
        seconds: dict[str, float] = {}

        def begin(stage: str) -> float:
            if on_stage is not None:
                on_stage(stage)
            return time.perf_counter()

        start = begin("decode")
        image = load_image(source)
        height, width = image.pixels.shape[:2]
        focal = focal_px or image.focal_px or DEFAULT_FOCAL_PER_LONG_SIDE * max(width, height)
        camera = Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
        seconds["decode"] = time.perf_counter() - start

        start = begin("detect")
        detected = self._people(source if isinstance(source, str) else "", image.pixels, limit)
        seconds["detect"] = time.perf_counter() - start

        start = begin("fit")
        recovered = self.model.recover(image.pixels, detected, camera)
        seconds["fit"] = time.perf_counter() - start

        return FrameResult(
            source=source if isinstance(source, str) else "",
            index=index,
            camera=camera,
            people=recovered,
            model=self.model.spec.name,
            body=self.model.body.name,
            license=self.model.spec.license,
            seconds=seconds,
            notice=self.model.notice,
            pixels=image.pixels,
            encoded_image=encode_png(image.pixels) if image.needs_reencoding else None,
        )
