"""Rows per second and core of every reader, on tiny files in the benchmarks' formats, and of image decoding.

`python -m benchmarks.datasets`.  CPU time, so a busy machine changes little.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from training.datasets import tiny
from training.datasets.base import BaseDataset
from training.datasets.image_sources import decode
from training.datasets.record import Record
from training.datasets.registry import build_dataset
from training.datasets.tiny.people import bodies, encode


def per_second(work: Callable[[int], object], seconds: float = 0.5) -> float:
    """Calls of work(k) per second of CPU."""
    start, count = time.process_time(), 0
    while time.process_time() - start < seconds:
        work(count)
        count += 1
    return count / (time.process_time() - start)


def _record_of(data: BaseDataset) -> Callable[[int], Record]:
    return lambda k: data[k % len(data)]


def _image_of(data: BaseDataset) -> Callable[[int], np.ndarray]:
    def read(k: int) -> np.ndarray:
        image = data[k % len(data)].image
        assert image is not None
        return image.read()

    return read


def main() -> None:
    cv2.setNumThreads(1)
    print("rows/s per core: labels; labels without the body's joints; labels and tiny image")
    with tempfile.TemporaryDirectory() as folder:
        for kind in tiny.KINDS:
            table = tiny.write(kind, Path(folder) / kind, count=8)
            data = build_dataset(table)
            without_body = build_dataset({k: v for k, v in table.items() if k != "body"})
            data[0], without_body[0]  # open the files, load the body
            rates = [per_second(_record_of(d)) for d in (data, without_body)]
            images = 0.0 if data[0].image is None else per_second(_image_of(data))
            print(f"{kind:14} {rates[0]:8.0f} {rates[1]:8.0f} {images:8.0f}", flush=True)
    print("JPEG decoding, images/s per core")
    image = bodies(1)[0].image()
    for size in (224, 640, 1000, 1920):
        noise = np.random.RandomState(0).randint(-9, 9, (size, size, 1))
        noisy = cv2.resize(image, (size, size)).astype(np.int16) + noise
        jpeg = encode(noisy.clip(0, 255).astype(np.uint8), ".jpg")
        print(f"{size:5} px {per_second(partial(decode, jpeg, 'x')):8.0f}", flush=True)


if __name__ == "__main__":
    main()
