"""People in a photo by MediaPipe's pose networks: in the whole image, then in tiles, each verified on its own crop."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from backend.people.detect.candidates import NOSE, TORSO, Candidate, merge
from backend.people.detect.pose_networks import POSES_PER_RUN, quiet
from backend.people.detect.task_bundle import pose_bundle
from backend.people.detect.tiles import tiles
from backend.structures import DetectedPerson

# First values, origin not recorded, with the literals of `_candidates` and `_verify`.  Of 51 people missed in unseen
# photos, 31 were detected in no crop, 9 fell at verification, 8 at the tile filter, none at the score.
WORKING_SIDE = 1280  # px, longer side of the copy that detection runs on
CROP_MARGIN = 1.35  # side of the crop for verification over the landmarks' box
MIN_CROP = 320  # px; smaller crops are enlarged to the size of people that the networks were trained on
MIN_SCORE = 0.6  # mean visibility of nose, shoulders and hips
TALL = 0.6  # of the image's height: larger than anybody whom only a tile shows


class MediaPipeDetector:
    """`PersonDetector` of single images.  Not thread-safe; `close` frees the networks."""

    name = "mediapipe"

    def __init__(self) -> None:
        # must be set before the first import: MediaPipe's C++ side logs every model it opens
        os.environ.setdefault("GLOG_minloglevel", "2")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        bundle = pose_bundle()
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision

        options = vision.PoseLandmarkerOptions(
            # bytes, not a path: on Windows MediaPipe cannot open paths with some characters
            base_options=BaseOptions(model_asset_buffer=bundle.read_bytes()),
            num_poses=POSES_PER_RUN,
            min_pose_detection_confidence=0.5,
            min_pose_presence_confidence=0.5,
            running_mode=vision.RunningMode.IMAGE,
        )
        self._mediapipe: Any = mediapipe
        with quiet():
            self._landmarker: Any = vision.PoseLandmarker.create_from_options(options)
            # the networks load, and log, with their first image
            self._run_networks(np.zeros((MIN_CROP, MIN_CROP, 3), np.uint8), 0, 0, MIN_CROP, MIN_CROP)

    def close(self) -> None:
        self._landmarker.close()

    def detect(self, image: np.ndarray, max_people: int | None = None) -> list[DetectedPerson]:
        """See `PersonDetector.detect`."""
        image, scale = working_copy(image)
        people = [self._person(c, scale) for c in merge(self._candidates(image, max_people == 1))]
        people.sort(key=lambda p: -float(np.prod(p.box[2:] - p.box[:2])))
        return people[:max_people]

    def _candidates(self, image: np.ndarray, largest_only: bool) -> list[Candidate]:
        height, width = image.shape[:2]
        found = [self._verify(image, one) or one for one in self._run_networks(image, 0, 0, width, height)]
        found_tall = any(one.box[3] - one.box[1] > TALL * height and one.score > MIN_SCORE for one in found)
        if largest_only and found_tall:
            return [one for one in found if one.score > MIN_SCORE]  # nobody in a tile can be larger
        for x, y, w, h in tiles(width, height):
            for one in self._run_networks(image, x, y, w, h):
                xy = one.points[:, :2]
                inside = ((xy > (x, y)) & (xy < (x + w, y + h))).all(1)
                # cut off by the tile's edge, or tiny in it: another tile shows it better, or it is false
                if inside.mean() < 0.85 or one.size < 0.10 * w:
                    continue
                verified = self._verify(image, one)
                if verified is not None:
                    verified.score *= 0.95
                    found.append(verified)
        return [one for one in found if one.score > MIN_SCORE]

    def _verify(self, image: np.ndarray, one: Candidate) -> Candidate | None:
        """Second, more precise detection of the candidate on a close crop; None: a false detection."""
        again = self._run_networks(image, *self._crop(one))
        same = [other for other in again if other.distance(one) < 0.25 * one.size]
        return min(same, key=lambda other: other.distance(one), default=None)

    @staticmethod
    def _crop(one: Candidate) -> tuple[int, int, int, int]:
        """x, y, width, height, px, of a square around a pose."""
        x0, y0, x1, y1 = one.box
        side = max(x1 - x0, y1 - y0) * CROP_MARGIN
        return int((x0 + x1 - side) / 2), int((y0 + y1 - side) / 2), int(side), int(side)

    def _run_networks(self, image: np.ndarray, x: int, y: int, width: int, height: int) -> list[Candidate]:
        """Candidates in one rectangle of the image, in px of the image."""
        import cv2

        x0, y0 = max(x, 0), max(y, 0)
        crop = image[y0 : y + height, x0 : x + width]
        if min(crop.shape[:2]) < 8:
            return []
        zoom = max(1.0, MIN_CROP / max(crop.shape[:2]))
        if zoom > 1:
            crop = cv2.resize(crop, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
        mp_image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(crop))
        answer = self._landmarker.detect(mp_image)
        h, w = crop.shape[:2]
        found = []
        for landmarks, world in zip(answer.pose_landmarks, answer.pose_world_landmarks, strict=True):
            points = np.array([[p.x * w / zoom + x0, p.y * h / zoom + y0, p.visibility] for p in landmarks])
            score = float(points[[NOSE, *TORSO], 2].mean())
            found.append(Candidate(points, np.array([[p.x, p.y, p.z] for p in world]), score))
        return found

    def _person(self, one: Candidate, scale: float) -> DetectedPerson:
        points = one.points.copy()
        points[:, :2] = (points[:, :2] + 0.5) / scale - 0.5
        seen = points[points[:, 2] > 0.5]
        reliable = seen if len(seen) >= 3 else points
        box = np.concatenate([reliable[:, :2].min(0), reliable[:, :2].max(0)])
        return DetectedPerson(
            box=box.astype(np.float32),
            score=float(np.clip(one.score, 0, 1)),
            keypoints2d=points.astype(np.float32),
            keypoints3d=one.world.astype(np.float32),
            keypoint_set="blazepose33",
            roi=one.region.scaled(1 / scale).array(),
        )


def working_copy(image: np.ndarray) -> tuple[np.ndarray, float]:
    """The image with a longer side of at most WORKING_SIDE px, and its scale."""
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, WORKING_SIDE / max(height, width))
    if scale == 1:
        return image, scale
    size = (round(width * scale), round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale
