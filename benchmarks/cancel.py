"""`python -m benchmarks.cancel CLIP`: cancels a clip's recovery at random moments, as the panel does.

Prints the time until the backend confirms, and until its worker is free (a request sent right after waits for that).
Half of the tries start from the beginning, half after the clip is read, so that they are cancelled in the motion stage.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.clips.job_file import ClipJobFile
from blender_addon.backend.process import BackendProcess
from blender_addon.client import client as wire
from blender_addon.client import events


def until(job: wire.JobHandle, *kinds: type) -> events.Event:
    """The first event of one of the kinds."""
    while not isinstance(event := job.events.get(timeout=300), kinds):
        pass
    return event


def cancel_once(client: wire.Client, job: ClipJobFile, wait: float) -> tuple[str, float, float] | None:
    """Stage at the time of the cancel, ms until `cancelled`, ms until the worker is free; None: the job was done."""
    file = Path(job.out) / "job.json"
    job.save(file)
    running = client.recover_clip(str(file))
    stage = until(running, events.Progress, *events.FINAL_EVENTS)
    end = time.monotonic() + wait
    while time.monotonic() < end and not running.finished:
        time.sleep(0.002)
    while not running.events.empty():
        event = running.events.get()
        if isinstance(event, events.FINAL_EVENTS):
            return None
        stage = event if isinstance(event, events.Progress) else stage
    began = time.perf_counter()
    running.cancel()
    last = until(running, *events.FINAL_EVENTS)
    acked = time.perf_counter() - began
    client.get_body("open_body", timeout=300)
    free = time.perf_counter() - began
    if not isinstance(last, events.Cancelled):
        return None
    return getattr(stage, "stage", "?"), 1000 * acked, 1000 * free


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--tries", type=int, default=30)
    args = parser.parse_args()
    rng = random.Random(0)
    results = []
    with tempfile.TemporaryDirectory(prefix="recover-mesh-cancel-") as name:
        folder = Path(name)
        backend = BackendProcess(sys.executable, str(folder / "backend.log"), "cpu")
        backend.start()
        client = wire.Client()
        client.connect(backend.endpoint, backend.token)
        try:
            full_job = ClipJobFile(source=str(args.clip.resolve()), out=str(folder / "whole"))
            full_job.save(folder / "whole" / "job.json")
            began = time.monotonic()
            until(client.recover_clip(str(folder / "whole" / "job.json")), *events.FINAL_EVENTS)
            seconds = time.monotonic() - began
            for k in range(args.tries):
                if k % 2:  # the clip is read: only the motions are fitted again
                    job = replace(full_job, smoothing=0.3 + 0.4 * k / args.tries)
                    wait = rng.uniform(0.05, 0.25 * seconds)
                else:
                    job = replace(full_job, out=str(folder / f"new{k}"))
                    wait = rng.uniform(0.05, 0.8 * seconds)
                one = cancel_once(client, job, wait)
                results += [one] if one is not None else []
        finally:
            client.close()
            backend.stop()
    print(f"{len(results)} of {args.tries} were still running and cancelled")
    for stage in sorted({one[0] for one in results}):
        acked, free = np.array([one[1:] for one in results if one[0] == stage]).T
        print(
            f"{stage:>8}: {len(acked):3d} times; confirmed after {np.median(acked):6.1f} ms (most {acked.max():6.1f}); "
            f"worker free after {np.median(free):7.1f} ms (most {free.max():7.1f})"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
