"""`python -m tools.kill_clip CLIP`: kills recoveries of a clip repeatedly and compares with an uninterrupted run.

Three kinds of target processes get SIGKILL at random moments: the command line, the backend's worker (the server
continues with a new one), and Blender with the add-on (its backend exits too).  Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
IN_BLENDER = """
import sys, bpy, addon_utils
addon_utils.enable("blender_addon", default_set=True)
from blender_addon import preferences, runtime
preferences.get_preferences().environment = sys.argv[1]
runtime.user_folder = lambda: sys.argv[3]
settings = bpy.context.scene.recover_mesh
settings.source, settings.clip.path = "CLIP", sys.argv[2]
print(bpy.ops.recover_mesh.recover_clip(), flush=True)
addon_utils.disable("blender_addon", default_set=True)
import os
os._exit(0)
"""


def chunks(folder: Path) -> int:
    """Number of finished chunks below a folder."""
    return len(list(folder.rglob("chunk-*.npz")))


def results(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """File name -> arrays of every person below a folder."""
    found = {}
    for path in sorted(folder.rglob("person*.npz")):
        with np.load(path) as archive:
            found[path.name] = {name: archive[name] for name in archive.files}
    return found


def results_equal(one: dict[str, dict[str, np.ndarray]], other: dict[str, dict[str, np.ndarray]]) -> bool:
    if not one or one.keys() != other.keys():
        return False
    return all(np.array_equal(one[k][name], other[k][name]) for k in one for name in one[k])


def children(pid: int) -> list[int]:
    """Process ids of the children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except (OSError, ValueError):
            continue
    return found


class KillTargets:
    """Starts the target processes; each kind writes into its own folder below `folder`."""

    def __init__(self, clip: Path, folder: Path) -> None:
        self.clip, self.folder = clip, folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "BLENDER_USER_RESOURCES": str(folder / "profile"),
        }

    def start(self, kind: str) -> subprocess.Popen[str]:
        out = self.folder / kind
        out.mkdir(parents=True, exist_ok=True)
        if kind == "blender":
            command = [sys.executable, "-c", IN_BLENDER, str(Path(sys.prefix)), str(self.clip), str(out)]
        else:
            command = [sys.executable, "-m", "backend", "recover", str(self.clip), "--out", str(out)]
        if kind == "worker":
            command = [sys.executable, "-m", "tools.kill_clip", "--through-server", str(self.clip), str(out)]
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=ROOT,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def kill_once(targets: KillTargets, kind: str, rng: random.Random) -> bool:
    """Start, wait for progress, kill after a random time; returns whether the target was still running."""
    out = targets.folder / kind
    process = targets.start(kind)
    before, began = chunks(out), time.monotonic()
    wait = rng.random() * 1.5
    while chunks(out) == before and process.poll() is None and time.monotonic() - began < 60:
        time.sleep(0.02)
    time.sleep(wait)
    alive = process.poll() is None
    if kind == "worker" and alive:
        servers = children(process.pid)
        workers = [pid for server in servers for pid in children(server)]
        for pid in workers[:1]:
            os.kill(pid, signal.SIGKILL)
        alive = bool(workers) and process.wait(180) == 0
    else:
        process.kill()
    process.wait()
    return alive


def through_server(clip: Path, out: Path) -> int:
    """Recover the clip through a server of this process; returns 0 when it is done."""
    from backend.clips.job_file import ClipJobFile
    from blender_addon.backend.process import BackendProcess
    from blender_addon.client import client as wire

    ClipJobFile(source=str(clip), out=str(out)).save(out / "job.json")
    backend = BackendProcess(sys.executable, str(out / "backend.log"), "cpu")
    assert backend.start()
    client = wire.Client()
    client.connect(backend.endpoint, backend.token)
    job = client.recover_clip(str(out / "job.json"))
    while not isinstance(event := job.events.get(timeout=180), wire.FINAL_EVENTS):
        pass
    client.close()
    backend.stop()
    return 0 if isinstance(event, wire.Done) else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--kills", type=int, default=10, help="per kind of target (10)")
    parser.add_argument("--through-server", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.through_server:
        return through_server(args.clip, args.out)
    rng = random.Random(0)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="recover-mesh-kill-") as name:
        targets = KillTargets(args.clip.resolve(), Path(name))
        targets.start("command").wait()
        expected = results(Path(name) / "command")
        (Path(name) / "command").rename(Path(name) / "uninterrupted")
        for kind in ("command", "worker", "blender"):
            killed = rounds = differ = lost = 0
            while killed < args.kills and rounds < 3 * args.kills:
                rounds += 1
                had = chunks(targets.folder / kind)
                killed += kill_once(targets, kind, rng)
                lost += chunks(targets.folder / kind) < had
                # compare a finished job and start again
                if list((targets.folder / kind).rglob("result.json")):
                    differ += not results_equal(results(targets.folder / kind), expected)
                    subprocess.run(["rm", "-rf", str(targets.folder / kind)], check=True)
            targets.start(kind).wait()
            differ += not results_equal(results(targets.folder / kind), expected)
            print(f"{kind}: {killed} kills, {lost} times chunks were lost, {differ} results differ", flush=True)
            bad += differ + lost
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
