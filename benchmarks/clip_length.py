"""`python -m benchmarks.clip_length`: time and memory of the motion stage for clips of 100 to 10,000 frames.

Every length has a process of its own, for its own memory peak.  Detections are simulated from a known motion (a person
walks in a circle); nothing is decoded.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from benchmarks.attention import peak_resident_mb, reset_peak

LENGTHS = (100, 1000, 10000)


def measure(frames: int) -> None:
    """Print, for one length: CPU seconds, and MB of the resident set before and its growth."""
    import numpy as np

    from backend.body.loader import load_body
    from backend.motion.pipeline import recover_motions
    from benchmarks.clips.motions import MOTIONS, MotionMaker
    from benchmarks.clips.simulated_detections import observed_track

    body = load_body("open")
    scene = MOTIONS["turn"](MotionMaker(body), (960, 540), seconds=frames / 30)
    gt = scene.people[0]
    track = observed_track(body, gt, scene.camera, np.random.default_rng(0)) if frames <= 100 else None
    if track is None:  # 100 frames repeated: the gt body's vertices would be most of the memory
        short = MOTIONS["turn"](MotionMaker(body), (960, 540), seconds=100 / 30)
        part = observed_track(body, short.people[0], scene.camera, np.random.default_rng(0))
        times = -(-frames // len(part))
        fields = {
            n: np.concatenate([getattr(part, n)] * times)[:frames]
            for n in ("seen", "boxes", "scores", "keypoints2d", "keypoints3d")
        }
        track = type(part)(1, np.arange(frames), *fields.values())
    reset_peak()
    before = peak_resident_mb()
    began = time.process_time()
    kept = recover_motions(body, [track], scene.camera, 30.0)
    seconds = time.process_time() - began
    assert len(kept[0][0].poses) == frames
    print(seconds, before, peak_resident_mb() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        measure(args.one)
        return
    print(f"{'frames':>7} {'CPU s':>8} {'ms/frame':>9} {'before MB':>9} {'more MB':>8}")
    for frames in args.lengths:
        command = [sys.executable, "-m", "benchmarks.clip_length", "--one", str(frames)]
        line = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        seconds, before, more = map(float, line[-3:])
        print(f"{frames:7d} {seconds:8.1f} {1000 * seconds / frames:9.1f} {before:9.0f} {more:8.0f}", flush=True)


if __name__ == "__main__":
    main()
