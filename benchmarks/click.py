"""`python -m benchmarks.click`: time from click to body by stage, cold and warm, in one run.

A click is the add-on's work without a window: backend process, ZeroMQ client, scene in the bpy module.  Prints ms and
writes them to out/bench.json.  Machines are noisy: compare columns of one run, not runs.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp())
WARM_RUNS = 7
STAGES = ("start", "connect", "body", "load", "decode", "detect", "fit", "wire", "blender", "total")


def click(session: dict, photo: str) -> dict[str, float]:
    """Milliseconds per stage of one photo from click to body.  session: process, client and body between clicks."""
    import bpy

    from blender_addon.backend.process import BackendProcess
    from blender_addon.client.client import Client
    from blender_addon.client.events import Error, Result, SourceFailed
    from blender_addon.scene import build, records

    times = dict.fromkeys(STAGES, 0.0)
    began = last = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal last
        now = time.perf_counter()
        times[stage] = (now - last) * 1e3
        last = now

    if "client" not in session:
        process = BackendProcess(sys.executable, str(Path(tempfile.mkdtemp()) / "backend.log"))
        process.start()
        lap("start")
        client = Client(name="bench")
        client.connect(process.endpoint, process.token)
        lap("connect")
        got = client.get_body("open_body")
        session |= {"process": process, "client": client, "body": records.body_from_wire(vars(got), got.arrays)}
        lap("body")
    job = session["client"].recover([photo], "keypoint-fit", "all", 0.0)
    while True:
        event = job.events.get(timeout=300)
        if isinstance(event, (Error, SourceFailed)):
            raise SystemExit(f"{event.message} {event.hint}")
        if isinstance(event, Result):
            break
    waited = (time.perf_counter() - last) * 1e3
    stages = {name: seconds * 1e3 for name, seconds in event.seconds.items()}
    times |= stages
    overhead = waited - sum(stages.values())
    # the first job also waits for the worker to load its models
    times["wire" if session.get("loaded") else "load"] = overhead
    session["loaded"] = True
    last = time.perf_counter()
    build.build_photo(records.photo_from_wire(vars(event), event.arrays), session["body"])
    bpy.context.view_layer.update()
    lap("blender")
    times["total"] = (time.perf_counter() - began) * 1e3
    return times


def main() -> None:
    import bpy

    photo = str(ROOT / "tests" / "data" / "rendered_person.jpg")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    session: dict = {}
    cold = click(session, photo)
    warm = [click(session, photo) for _ in range(WARM_RUNS)]
    median = {stage: statistics.median(run[stage] for run in warm) for stage in STAGES}
    session["client"].close()
    session["process"].stop()
    print(f"\n{Path(photo).name}, one person, {os.cpu_count()} CPUs; ms; warm: median of {WARM_RUNS}")
    print(f"{'stage':<10}{'cold':>9}{'warm':>9}{'share':>8}")
    for stage in STAGES:
        print(f"{stage:<10}{cold[stage]:>9.1f}{median[stage]:>9.1f}{median[stage] / median['total']:>8.0%}")
    print(f"cold / warm: {cold['total'] / median['total']:.1f}")
    out = ROOT / "out" / "bench.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"cold_ms": cold, "warm_ms": median, "warm_runs": warm}, indent=1))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # bpy 4.5 may hang while it unloads
