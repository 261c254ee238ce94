"""Cutting people out of a photo for networks that look at crops, and finding crop coordinates in the photo again."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from backend.structures import DetectedPerson

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # ImageNet's, which every backbone here was trained with
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
# How much more than the keypoints a crop shows; METRO's body crops, and ours for hands
_MARGIN = {"body": 1.2, "hand": 1.6}
_SEEN = 0.3


@dataclass(frozen=True)
class Crop:
    """A rectangle of the photo: left, top, width, height in px, pixel edges at integers; may reach beyond the photo.

    mirrored: the network sees it flipped left to right.
    """

    left: int
    top: int
    width: int
    height: int
    mirrored: bool = False

    @property
    def centre(self) -> np.ndarray:
        """(2,) px, pixel centres at integers."""
        return np.array([self.left + self.width / 2, self.top + self.height / 2]) - 0.5

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) in the crop, whose longer side spans [-1, 1] -> (..., 2) px in the photo."""
        flip = np.array([-1.0 if self.mirrored else 1.0, 1.0])
        return self.centre + points * flip * max(self.width, self.height) / 2


def crop_around(person: DetectedPerson, part: str, aspect: float, mirrored: bool = False) -> Crop:
    """The crop of a person.  part: `body` or `hand`; aspect: width over height."""
    seen = person.keypoints2d[person.keypoints2d[:, 2] > _SEEN][:, :2]
    if len(seen) >= 4:
        low, high = seen.min(0), seen.max(0)
    else:
        low, high = person.box[:2], person.box[2:]
    middle, size = (low + high) / 2, np.maximum(high - low, 2.0) * _MARGIN[part]
    height = max(float(size[1]), float(size[0]) / aspect)
    width, height = max(round(height * aspect), 4), max(round(height), 4)
    left, top = np.round(middle + 0.5 - [width / 2, height / 2]).astype(int)
    return Crop(int(left), int(top), width, height, mirrored)


def cut(pixels: np.ndarray, crop: Crop, size: tuple[int, int]) -> np.ndarray:
    """uint8 RGB (H, W, 3) -> (3, *size) float32, ImageNet-normalised; black where there is no photo.

    Shrinking averages over area: what falls between the samples of a large photo would flicker otherwise.
    """
    right, bottom = crop.left + crop.width, crop.top + crop.height
    inside = pixels[max(crop.top, 0) : max(bottom, 0), max(crop.left, 0) : max(right, 0)]
    framed = np.zeros((crop.height, crop.width, 3), np.uint8)
    if inside.size:
        y, x = max(-crop.top, 0), max(-crop.left, 0)
        framed[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    way = cv2.INTER_AREA if crop.height > size[0] else cv2.INTER_LINEAR
    resized = cv2.resize(framed, size[::-1], interpolation=way)
    if crop.mirrored:
        resized = resized[:, ::-1]
    return np.ascontiguousarray(((resized.astype(np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1))
