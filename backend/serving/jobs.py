"""Jobs and the bounded, fair queue that they wait in."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from backend.errors import RecoverMeshError
from backend.protocol import RESULT_WINDOW

MAX_JOBS_PER_CLIENT = 8
MAX_JOBS = 32
MAX_QUEUED_BYTES = 1024**3  # encoded images that wait
PROGRESS_SECONDS = 0.05
# Part of a picture's time that is over when a stage begins: measured, detection takes about half
STAGE_SHARES = {"queued": 0.0, "loading": 0.0, "decode": 0.0, "detect": 0.1, "fit": 0.6, "done": 1.0}


@dataclass(eq=False)
class Job:
    """One `recover`: where it stands.  Sources are worked on in order, one at a time."""

    client: bytes
    id: str
    request: str
    sources: list[str]
    images: deque[bytes]  # of the empty sources, in order
    model: str
    people: str
    focal_px: float
    started: float = field(default_factory=time.monotonic)
    next_index: int = 0
    finished: int = 0
    unacked: set[int] = field(default_factory=set)
    running: bool = False  # its picture is with the worker
    over: bool = False  # done, failed or cancelled: whatever still comes is dropped
    stage: str = "queued"
    progress_wanted: bool = False
    progress_sent: float = 0.0

    @property
    def left(self) -> bool:
        """Something is left to begin."""
        return self.next_index < len(self.sources)

    @property
    def may_run(self) -> bool:
        """A picture is left, none is with the worker, and the client has taken enough of the results."""
        return self.left and not self.running and not self.over and len(self.unacked) < RESULT_WINDOW

    @property
    def image_bytes(self) -> int:
        return sum(len(image) for image in self.images)

    def set_stage(self, stage: str) -> None:
        self.stage, self.progress_wanted = stage, True

    @property
    def fraction(self) -> float:
        share = STAGE_SHARES.get(self.stage, 0.0) if self.running else 0.0
        return min(1.0, (self.finished + share) / len(self.sources))

    def progress(self) -> dict[str, Any]:
        """Fields of `progress`, but the job's id."""
        return {
            "fraction": self.fraction,
            "stage": self.stage,
            "done": self.finished,
            "total": len(self.sources),
        }


@dataclass(eq=False)
class ClipJobState(Job):
    """One `recover_clip`.  The worker takes step after step, until it says that the clip is over."""

    file: str = ""  # the job file
    exhausted: bool = False
    steps: int = 0  # that the present worker has done
    furthest: int = 0  # that any worker has done
    crashes: int = 0  # of workers in a row, none of which came further than those before
    numbers: dict[str, Any] = field(default_factory=dict)  # what the worker said of its progress

    @property
    def key(self) -> str:
        """Name of the clip in the worker: clients choose the ids of their jobs freely."""
        return f"{self.client.hex()}:{self.id}"

    @property
    def left(self) -> bool:
        return not self.exhausted

    def crashed(self) -> int:
        """A worker died: how many in a row did so without coming further."""
        self.crashes = 1 if self.steps > self.furthest else self.crashes + 1
        self.furthest, self.steps = max(self.furthest, self.steps), 0
        return self.crashes

    def progress(self) -> dict[str, Any]:
        return {"fraction": 0.0, "done": 0, "total": 0, **self.numbers, "stage": self.stage}


class JobQueue:
    """The unfinished jobs.  Clients take turns picture by picture: one photo never waits for a long list."""

    def __init__(self) -> None:
        self._clients: OrderedDict[bytes, list[Job]] = OrderedDict()

    def __iter__(self) -> Iterator[Job]:
        for jobs in list(self._clients.values()):
            yield from list(jobs)

    def __len__(self) -> int:
        return sum(len(jobs) for jobs in self._clients.values())

    def add(self, job: Job) -> int:
        """Returns the number of jobs ahead of it; raises RecoverMeshError `busy` or `duplicate_job`."""
        ahead, own = len(self), self._clients.get(job.client, [])
        if any(other.id == job.id for other in own):
            raise RecoverMeshError(
                "duplicate_job", f"There is a job {job.id!r} already.", "Give every job an id of its own."
            )
        waiting_bytes = sum(other.image_bytes for other in self) + job.image_bytes
        if ahead >= MAX_JOBS or len(own) >= MAX_JOBS_PER_CLIENT or waiting_bytes > MAX_QUEUED_BYTES:
            raise RecoverMeshError(
                "busy",
                f"The backend has {ahead} unfinished jobs, {len(own)} of them yours; at most {MAX_JOBS} are "
                f"taken, {MAX_JOBS_PER_CLIENT} of one client, and {MAX_QUEUED_BYTES >> 20} MiB of images.",
                "Wait for one to finish, or cancel one.",
            )
        self._clients.setdefault(job.client, []).append(job)
        return ahead

    def get(self, client: bytes, job_id: str) -> Job | None:
        return next((job for job in self._clients.get(client, []) if job.id == job_id), None)

    def of_client(self, client: bytes) -> list[Job]:
        return list(self._clients.get(client, []))

    def remove(self, job: Job) -> None:
        job.over = True
        job.images.clear()
        jobs = self._clients.get(job.client, [])
        if job in jobs:
            jobs.remove(job)
        if not jobs:
            self._clients.pop(job.client, None)

    def take(self, reachable: Callable[[bytes], bool]) -> Job | None:
        """The next job with a picture to work on; clients take turns, `reachable` may pass one by."""
        for client in list(self._clients):
            if not reachable(client):
                continue
            jobs = self._clients[client]
            for job in list(jobs):
                if job.may_run:
                    self._clients.move_to_end(client)
                    if isinstance(
                        job, ClipJobState
                    ):  # a photo does not wait for a whole clip, not even one's own
                        jobs.remove(job)
                        jobs.append(job)
                    return job
        return None
