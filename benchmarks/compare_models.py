"""`python -m benchmarks.compare_models DATA OUT --count 200`: the available models on synthetic test images.

DATA: a synthetic data set (`python -m training.synthetic`).  Images of its test split are recovered as an artist's
photos are: detection, recovery, translation, from the image alone.  Writes OUT/compared.json and OUT/compared.png.

Protocol: 14 joints of the open body's Human3.6M regressor, camera axes.  MPJPE and MPVPE pelvis-aligned, PA-MPJPE; mm,
over the images in which the person is detected (IoU of the boxes at least 0.5).  The focal length is not given, which
rotates bodies a little.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np

from backend.export.overlay import draw_overlay, side_view, write_image

NAMES = ("keypoint-fit", "pose2mesh-small", "fastmetro-small", "smpler-small", "deformer-small")
SHOWN = 8
SIDE = 224


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes x0 y0 x1 y1."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.prod(np.maximum(high - low, 0))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def errors(pred: np.ndarray, gt: np.ndarray, regressor: np.ndarray) -> dict[str, float]:
    """Metrics in mm of vertices (V, 3) m, camera axes.  regressor: (15, V), the pelvis first."""
    from backend.body.procrustes import pa_mpjpe

    a, b = regressor @ pred, regressor @ gt
    shift = b[:1] - a[:1]
    without_pelvis = slice(1, None)
    return {
        "MPJPE": 1e3 * float(np.linalg.norm(a + shift - b, axis=1)[without_pelvis].mean()),
        "PA-MPJPE": float(pa_mpjpe(a[None, without_pelvis], b[None, without_pelvis])[0]),
        "MPVPE": 1e3 * float(np.linalg.norm(pred + shift - gt, axis=1).mean()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_models", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--models", nargs="+", default=list(NAMES))
    options = parser.parse_args()
    import torch

    from backend.body.joint_sets import H36M17_TO_J14
    from backend.body.loader import load_body
    from backend.recovery import Recoverer
    from training.datasets.tsv import TsvDataset

    records = TsvDataset(options.data / "test.yaml")
    body = load_body("open")
    table = body.regressors["h36m17"].double().numpy()
    regressor = table[[0, *H36M17_TO_J14]]  # the pelvis, then the 14
    recoverers = {name: Recoverer(name) for name in options.models}
    detector = next(iter(recoverers.values())).detector
    for recoverer in recoverers.values():
        recoverer.detector = detector
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in recoverers}
    rows: list[np.ndarray] = []
    image_count = 0
    for index in range(min(options.count, len(records))):
        record = records[index]
        image_count += 1
        assert record.image is not None and record.box is not None  # synthetic records have both
        box, pixels = record.box, record.image.read()
        with torch.inference_mode():
            gt = body(
                torch.as_tensor(record.pose).float().reshape(1, 24, 3),
                torch.as_tensor(record.betas).float()[None],
            ).vertices[0].double().numpy()  # fmt: skip
        encoded = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
        predictions = {}
        for name, recoverer in recoverers.items():
            result = recoverer.recover(encoded)
            person = max(result.people, key=lambda p: iou(p.box, box), default=None)
            if person is None or iou(person.box, box) < 0.5:
                break
            predictions[name] = (result, person)
        if len(predictions) < len(recoverers):
            continue
        for name, (_, person) in predictions.items():
            measured[name].append(errors(person.vertices.astype(np.float64), gt, regressor))
        if len(rows) < SHOWN:
            rows.append(row(pixels, predictions, body.faces.numpy()))
    options.out.mkdir(parents=True, exist_ok=True)
    summary = {
        "images": image_count,
        "detected": len(next(iter(measured.values()))),
        "models": {
            name: {
                key: {"mean": round(float(np.mean(values)), 1), "median": round(float(np.median(values)), 1)}
                for key in ("MPJPE", "PA-MPJPE", "MPVPE")
                if (values := [one[key] for one in errors_of_model])
            }
            for name, errors_of_model in measured.items()
        },
    }
    (options.out / "compared.json").write_text(json.dumps(summary, indent=1))
    print(json.dumps(summary, indent=1))
    write_image(options.out / "compared.png", np.concatenate(rows, 0))
    return 0


def row(pixels: np.ndarray, predictions: dict, faces: np.ndarray) -> np.ndarray:
    """The image, then for each model the overlay and a side view."""
    parts = [pixels]
    for result, person in predictions.values():
        parts.append(draw_overlay(result.pixels, [person.vertices], faces, result.camera))
        parts.append(side_view([person.vertices], faces, size=SIDE, yaw=np.pi / 2))
    return np.concatenate([cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for part in parts], 1)


if __name__ == "__main__":
    sys.exit(main())
