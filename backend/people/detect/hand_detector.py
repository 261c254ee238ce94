"""Hands by the palm and hand landmark networks in MediaPipe's wheel: in the whole image, then in tiles."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from backend.people.detect.mediapipe_detector import quiet, working_copy
from backend.people.detect.task_bundle import require_mediapipe
from backend.people.detect.tiles import tiles
from backend.structures import DetectedPerson

# First values, origin not recorded; tests check them on rendered open hands
_HANDS_PER_RUN = 4
_MIN_CROP = 256  # px; smaller crops are enlarged
_MIN_SIZE = 0.06  # of a tile's side; smaller detections are mostly false


class HandDetector:
    """`PersonDetector` of hands: each has keypoint set `freihand21` and a `side`.  Not thread-safe."""

    name = "mediapipe-hands"

    def __init__(self) -> None:
        require_mediapipe()
        os.environ.setdefault("GLOG_minloglevel", "2")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with quiet():
            from mediapipe.python.solutions.hands import Hands

            self._hands: Any = Hands(static_image_mode=True, max_num_hands=_HANDS_PER_RUN, min_detection_confidence=0.5)
            self._run_networks(np.zeros((_MIN_CROP, _MIN_CROP, 3), np.uint8), 0, 0, _MIN_CROP, _MIN_CROP)

    def close(self) -> None:
        self._hands.close()

    def detect(self, image: np.ndarray, max_people: int | None = None) -> list[DetectedPerson]:
        """Hands, largest first.  image: uint8 RGB (H, W, 3), not mirrored."""
        image, scale = working_copy(image)
        height, width = image.shape[:2]
        found = self._run_networks(image, 0, 0, width, height)
        for x, y, w, h in tiles(width, height):
            for hand in self._run_networks(image, x, y, w, h):
                inside = ((hand.keypoints2d[:, :2] > (x, y)) & (hand.keypoints2d[:, :2] < (x + w, y + h))).all()
                if inside and _size(hand) > _MIN_SIZE * w:
                    found.append(hand)
        hands = [_enlarged(hand, scale) for hand in _merge(found)]
        hands.sort(key=lambda hand: -float(np.prod(hand.box[2:] - hand.box[:2])))
        return hands[:max_people]

    def _run_networks(self, image: np.ndarray, x: int, y: int, width: int, height: int) -> list[DetectedPerson]:
        """Hands in one rectangle of the image, in px of the image."""
        import cv2

        crop = image[y : y + height, x : x + width]
        zoom = max(1.0, _MIN_CROP / max(crop.shape[:2]))
        if zoom > 1:
            crop = cv2.resize(crop, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
        answer = self._hands.process(np.ascontiguousarray(crop))
        if not answer.multi_hand_landmarks:
            return []
        h, w = crop.shape[:2]
        found = []
        for landmarks, world, kind in zip(
            answer.multi_hand_landmarks, answer.multi_hand_world_landmarks, answer.multi_handedness, strict=True
        ):
            points = np.array([[p.x * w / zoom + x, p.y * h / zoom + y, 1.0] for p in landmarks.landmark])
            # the network is trained on mirrored images, as selfie cameras show them
            side = {"Left": "right", "Right": "left"}[kind.classification[0].label]
            found.append(
                DetectedPerson(
                    box=np.concatenate([points[:, :2].min(0), points[:, :2].max(0)]).astype(np.float32),
                    score=float(np.clip(kind.classification[0].score, 0, 1)),
                    keypoints2d=points.astype(np.float32),
                    keypoints3d=np.array([[p.x, p.y, p.z] for p in world.landmark], np.float32),
                    keypoint_set="freihand21",
                    side=side,
                )
            )
        return found


def _size(hand: DetectedPerson) -> float:
    return float((hand.box[2:] - hand.box[:2]).max())


def _merge(hands: list[DetectedPerson]) -> list[DetectedPerson]:
    """The best detection of each hand, highest score first."""
    kept: list[DetectedPerson] = []
    for one in sorted(hands, key=lambda hand: -hand.score):
        gaps = [
            np.median(np.linalg.norm((one.keypoints2d - other.keypoints2d)[:, :2], axis=1))
            / max(_size(one), _size(other))
            for other in kept
        ]
        if min(gaps, default=np.inf) > 0.35:  # hand sizes; origin not recorded
            kept.append(one)
    return kept


def _enlarged(hand: DetectedPerson, scale: float) -> DetectedPerson:
    """The hand in px of the image, from those of its copy scaled by `scale`."""
    points = hand.keypoints2d.copy()
    points[:, :2] = (points[:, :2] + 0.5) / scale - 0.5
    box = np.concatenate([points[:, :2].min(0), points[:, :2].max(0)])
    return DetectedPerson(box, hand.score, points, hand.keypoints3d, hand.keypoint_set, hand.side)
