"""`python -m tools.slurm_trial`: `training/slurm.sbatch` on a Slurm cluster of two nodes on one machine.

Debian: `apt install slurmctld slurmd slurm-client munge`, and be root.  It starts its own daemons on its own ports,
generates 48 synthetic images, and trains a small network in four ways:

one        one process that accumulates gradients over two batches
two        a job of two nodes, a process on each (gloo on a CPU)
preempted  the same job, sent USR1 after some steps: it must write a checkpoint, exit with 75, be requeued and finish
limited    the same job with more epochs than time: Slurm must send USR1 by itself, and the job be requeued

`preempted` must have the weights of `two` bit for bit, and `two` those of `one` up to rounding.  Slurm delays a
requeued job by two minutes, so that the trial takes about seven.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from training.engine.checkpoints import PREEMPTED

ROOT = Path(__file__).resolve().parent.parent
RUN = "fastmetro-small"  # without dropout, so that one process is comparable with two
NODES = ("node1", "node2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue")
# the global batch of two devices
SETTINGS = {
    "training.batch": "4",
    "training.devices": "2",
    "training.epochs": "4",
    "training.checkpoint_every": "5",
    "training.keep_maps": "false",  # single machine
}
CONFIGURATION = """
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldPort=26817
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_res
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port=26821 CPUs=2 State=UNKNOWN
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port=26822 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """A running cluster; yields the environment for its commands.  Its daemons stop with the block."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"{', '.join(missing)}: not installed. apt install slurmctld slurmd slurm-client munge")
    for name in ("state", *(f"spool.{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=socket.gethostname(), folder=folder))
    env = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    arguments = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "seed")]
    arguments.append(f"--socket={folder}/munge.socket")
    daemons = [
        ["munged", "--force", "--foreground", f"--log-file={folder}/munge.log", *arguments],
        ["slurmctld", "-D", "-L", str(folder / "slurmctld.log")],
        *(["slurmd", "-D", "-N", node, "-L", str(folder / f"{node}.log")] for node in NODES),
    ]
    running = []
    try:
        for daemon in daemons:
            running.append(subprocess.Popen(daemon, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(1)
        yield env
    finally:
        subprocess.run(["scancel", "--user=root"], env=env)
        time.sleep(3)
        for process in reversed(running):
            process.terminate()
            process.wait(20)


class Trial:
    """Starts fits and jobs that write below one folder, and waits for them."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        # the nodes' names cannot be resolved
        more = {"PYTHON": sys.executable, "RECOVER_MESH_DATA": str(folder / "data"), "MASTER_ADDR": "127.0.0.1"}
        self.env = env | more | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def arguments(self, **changed: str) -> list[str]:
        settings = SETTINGS | {f"training.{name}": value for name, value in changed.items()}
        return [RUN, *(word for name, value in settings.items() for word in ("--set", f"{name}={value}"))]

    def fit_env(self, name: str) -> dict[str, str]:
        """The environment of a fit that writes into `run_folder(name)`."""
        return self.env | {"RECOVER_MESH_RUNS": str(self.folder / name)}

    def run_folder(self, name: str) -> Path:
        return self.folder / name / RUN / "seed-88"

    def submit(self, name: str, *options: str, **changed: str) -> str:
        """Submit the job; returns its id."""
        size = ["--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=0", "--cpus-per-task=2", "--parsable"]
        call = ["sbatch", *size, f"--output={self.folder}/{name}.log", *options, "training/slurm.sbatch"]
        arguments = self.arguments(**changed)
        done = subprocess.run([*call, *arguments], env=self.fit_env(name), cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        return done.stdout.strip()

    def run_single_process(self, name: str) -> None:
        call = [sys.executable, "-m", "training", "fit", *self.arguments(), "--quiet"]
        with (self.folder / f"{name}.log").open("w") as log:
            subprocess.run(call, env=self.fit_env(name), cwd=ROOT, stdout=log, stderr=log, check=True)

    def state(self, job: str) -> str:
        """RUNNING, PENDING, ...; empty: the job has ended."""
        call = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
        return subprocess.run(call, env=self.env, capture_output=True, text=True).stdout.strip()

    def wait(self, what: str, condition: Callable[[], object], minutes: float = 8) -> None:
        end = time.monotonic() + 60 * minutes
        while not condition():
            if time.monotonic() > end:
                raise SystemExit(f"{what}: not within {minutes:g} minutes; see {self.folder}")
            time.sleep(0.3)

    def ended_with_weights(self, job: str, name: str) -> None:
        self.wait(f"the end of {name}", lambda: not self.state(job))
        if not list(self.run_folder(name).glob("weights/*.safetensors")):
            raise SystemExit(f"{name} ended without weights; see {self.folder}/{name}.log")

    def weights(self, name: str) -> dict[str, np.ndarray]:
        (path,) = self.run_folder(name).glob("weights/*.safetensors")
        return load_file(path)

    def max_difference(self, one: str, other: str) -> float:
        """Maximum difference of the weights of two fits."""
        a, b = self.weights(one), self.weights(other)
        assert a.keys() == b.keys()
        return max(float(np.abs(a[name] - b[name]).max()) for name in a)

    def left_for_preemption(self, name: str) -> bool:
        log = self.folder / f"{name}.log"
        return log.is_file() and f"exit code {PREEMPTED}" in log.read_text()

    def errors(self, name: str) -> str:
        lines = (self.run_folder(name) / "log.jsonl").read_text().splitlines()
        found = [row["synthetic/MPJPE"] for row in map(json.loads, lines) if "synthetic/MPJPE" in row]
        return f"MPJPE {found[0]:.1f} -> {found[-1]:.1f} mm"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="an empty folder (default: a temporary one, not deleted)")
    args = parser.parse_args()
    folder = (args.out or Path(tempfile.mkdtemp(prefix="slurm-trial-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    generate = [sys.executable, "-m", "training.synthetic", str(folder / "data" / "synthetic"), "--count", "48"]
    subprocess.run(generate, cwd=ROOT, check=True, capture_output=True)
    with cluster(folder) as env:
        trial = Trial(folder, env)
        trial.run_single_process("one")
        trial.ended_with_weights(trial.submit("two"), "two")
        delta = trial.max_difference("one", "two")
        print(f"one process, two nodes: {trial.errors('two')}; maximum difference of weights {delta:.1e}", flush=True)

        job = trial.submit("preempted")
        trial.wait("its first step", lambda: list(trial.run_folder("preempted").glob("checkpoints/*.ckpt")))
        subprocess.run(["scancel", "--signal=USR1", job], env=env, check=True)
        trial.wait("its return to the queue", lambda: trial.state(job) == "PENDING")
        print(f"preempted: exit code 75: {trial.left_for_preemption('preempted')}, requeued", flush=True)
        trial.ended_with_weights(job, "preempted")
        same = trial.max_difference("two", "preempted") == 0
        print(f"preempted: weights equal the uninterrupted job's bit for bit: {same}", flush=True)

        job = trial.submit("limited", "--time=2", "--signal=USR1@60", epochs="100000", checkpoint_every="100000")
        trial.wait(
            "its return to the queue",
            lambda: trial.state(job) == "PENDING" and trial.left_for_preemption("limited"),
        )
        kept = sorted(path.name for path in trial.run_folder("limited").glob("checkpoints/*.ckpt"))
        print(f"limited: got USR1 in time, requeued, with {kept[-1]}", flush=True)
    return 0 if same and delta < 1e-4 else 1


if __name__ == "__main__":
    raise SystemExit(main())
