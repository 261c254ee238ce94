"""Crops of people for networks that take images, and the mapping from a crop back to the photo."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from backend.structures import DetectedPerson

# RGB mean and standard deviation of ImageNet's images, as in every backbone's own training
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
# side of the crop over the keypoints' extent.  Body: METRO's.  Hand: ours, origin not recorded
_MARGIN = {"body": 1.2, "hand": 1.6}
_MIN_VISIBILITY = 0.3  # of keypoints that the crop encloses; origin not recorded


@dataclass(frozen=True)
class Crop:
    """A rectangle of the photo in px, pixel edges at integers; it may extend beyond the photo.

    mirrored: the network's input is flipped left to right.
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
        """(..., 2) px in the photo, from (..., 2) in the crop, whose longer side spans [-1, 1]."""
        flip = np.array([-1.0 if self.mirrored else 1.0, 1.0])
        return self.centre + points * flip * max(self.width, self.height) / 2


def crop_around(person: DetectedPerson, part: str, aspect: float, mirrored: bool = False) -> Crop:
    """The crop around a person's visible keypoints, or around the box where fewer than 4 are visible.

    part: `body` or `hand`; aspect: width over height.
    """
    visible = person.keypoints2d[person.keypoints2d[:, 2] > _MIN_VISIBILITY][:, :2]
    if len(visible) >= 4:
        low, high = visible.min(0), visible.max(0)
    else:
        low, high = person.box[:2], person.box[2:]
    middle, size = (low + high) / 2, np.maximum(high - low, 2.0) * _MARGIN[part]
    height = max(float(size[1]), float(size[0]) / aspect)
    width, height = max(round(height * aspect), 4), max(round(height), 4)
    left, top = np.round(middle + 0.5 - [width / 2, height / 2]).astype(int)
    return Crop(int(left), int(top), width, height, mirrored)


def cut(pixels: np.ndarray, crop: Crop, size: tuple[int, int]) -> np.ndarray:
    """The crop's pixels (3, *size) float32, ImageNet-normalised; black outside the photo.

    pixels: uint8 RGB (H, W, 3); size: (height, width) px.  Shrinking averages over areas: bilinear samples of a large
    photo would alias and flicker.
    """
    right, bottom = crop.left + crop.width, crop.top + crop.height
    inside = pixels[max(crop.top, 0) : max(bottom, 0), max(crop.left, 0) : max(right, 0)]
    framed = np.zeros((crop.height, crop.width, 3), np.uint8)
    if inside.size:
        y, x = max(-crop.top, 0), max(-crop.left, 0)
        framed[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    interpolation = cv2.INTER_AREA if crop.height > size[0] else cv2.INTER_LINEAR
    resized = cv2.resize(framed, size[::-1], interpolation=interpolation)
    if crop.mirrored:
        resized = resized[:, ::-1]
    return np.ascontiguousarray(((resized.astype(np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1))
