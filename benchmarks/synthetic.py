"""`python -m benchmarks.synthetic`: poses, keypoints, renderers and complete images per CPU second."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial


def _rate(count: int, work: Callable[[], object], least: float = 1.5) -> float:
    """Items per CPU second of a call that makes `count`: the best of several, because other load only slows it."""
    work()
    best, spent = 0.0, 0.0
    while spent < least:
        start = time.process_time()
        work()
        passed = max(time.process_time() - start, 1e-9)
        best, spent = max(best, count / passed), spent + passed
    return best


def main() -> int:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    import numpy as np
    import torch

    from training.synthetic.keypoints import KeypointSampler
    from training.synthetic.studios import make_studio

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    sampler = KeypointSampler()
    rates = {"poses that pass all filters": _rate(4096, lambda: sampler.poses.sample(rng, 4096))}
    for views in (1, 4, 8):
        sampler.views = views
        rates[f"keypoint samples, {views} views per pose"] = _rate(8192, lambda: sampler.batch(rng, 8192))
    for part in ("body", "hand"):
        for kind in ("gl", "numpy"):
            try:
                studio = make_studio(part, 224, kind)
            except Exception as error:
                print(f"{part}, {kind}: {error}")
                continue
            vertices, camera = studio.body.v_template.numpy(), np.array([250.0, 250.0, 112.0, 112.0])
            span = float(np.ptp(vertices, axis=0).max())
            seen = (vertices - vertices.mean(0)) * [1, -1, -1] + [0, 0, 1.25 * span]
            rest = int(studio.faces.max()) + 1 - len(seen)
            seen = np.concatenate([seen, np.tile(seen[:1], (rest, 1))]).astype(np.float32)
            colours = np.full_like(seen, 128)

            def draw(studio=studio, seen=seen, colours=colours, camera=camera) -> None:
                studio.normals(seen)
                studio.renderer.draw(seen, colours, camera)

            rates[f"{part}: {kind} renderer, normals and drawing at 224"] = _rate(1, draw)
            rates[f"{part}: {kind}, images with labels at 224"] = _rate(32, partial(studio.shard, 0, 0, 0, 32))
    for name, rate in rates.items():
        print(f"{name}: {rate:,.0f} per CPU second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
