"""The augmentation of METRO's family of networks, with the original's order of random draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# the goldens were made with the old RandomState
RandomGenerator = np.random.Generator | np.random.RandomState


@dataclass(frozen=True)
class AugmentationParams:
    """One draw of the augmentation.

    flip: left to right.  gains: per colour channel.  rotation: degrees, of the image's content, counter-clockwise.
    scale: of the box."""

    flip: bool = False
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    rotation: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class MetroAugmentation:
    """Draws METRO's augmentation.

    flip: probability.  gain: gains are U(1 - gain, 1 + gain).  rotation: standard deviation in degrees, clipped at
    twice that; 0 with probability rotation_off.  scale: standard deviation about 1, clipped at 1 -+ scale.

    Defaults are METRO's for bodies (Lin et al., CVPR 2021, after SPIN, Kolotouros et al. 2019).
    """

    flip: float = 0.5
    gain: float = 0.4
    rotation: float = 30.0
    rotation_off: float = 0.6
    scale: float = 0.25

    def draw(self, rng: RandomGenerator) -> AugmentationParams:
        flip = bool(rng.uniform() <= self.flip) and self.flip > 0
        red, green, blue = rng.uniform(1 - self.gain, 1 + self.gain, 3)
        rotation = np.clip(rng.standard_normal() * self.rotation, -2 * self.rotation, 2 * self.rotation)
        scale = np.clip(rng.standard_normal() * self.scale + 1, 1 - self.scale, 1 + self.scale)
        if rng.uniform() <= self.rotation_off:
            rotation = 0.0
        return AugmentationParams(flip, (float(red), float(green), float(blue)), float(rotation), float(scale))
