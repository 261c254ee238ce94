"""Jobs and the bounded, fair queue that they wait in."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from backend.errors import RecoverMeshError
from backend.protocol import RESULT_WINDOW

MAX_JOBS_PER_CLIENT = 8
MAX_JOBS = 32
MAX_QUEUED_BYTES = 1024**3  # of encoded images in the queue
MAX_CLIP_CRASHES = 2  # of workers in a row without a new step, after which a clip fails
PROGRESS_SECONDS = 0.05  # shortest time between two `progress` of a job
# Share of an image's time that is over when a stage begins; measured: detection takes about half
STAGE_SHARES = {"queued": 0.0, "loading": 0.0, "decode": 0.0, "detect": 0.1, "fit": 0.6, "done": 1.0}


@dataclass(eq=False)
class Job(ABC):
    """One request of a client and its state.  The worker has at most one task of it at a time."""

    client: bytes
    id: str  # chosen by the client
    request: str
    _: KW_ONLY
    started: float = field(default_factory=time.monotonic)
    unacked: set[int] = field(default_factory=set)  # results or chunks that the client has not acknowledged
    running: bool = False  # the worker has a task of it
    over: bool = False  # done, failed or cancelled: later messages of the worker are dropped
    stage: str = "queued"
    progress_wanted: bool = False
    progress_sent: float = 0.0
    goes_last: ClassVar[bool] = False  # after each task, behind the other jobs of its client

    @property
    @abstractmethod
    def left(self) -> bool:
        """Whether a task is left to begin."""

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether all tasks are done."""

    @property
    def may_run(self) -> bool:
        """Whether a task is left, none is running, and the window of unacknowledged results is not full."""
        return self.left and not self.running and not self.over and len(self.unacked) < RESULT_WINDOW

    @property
    def image_bytes(self) -> int:
        """Bytes of encoded images that it holds."""
        return 0

    @abstractmethod
    def next_task(self, worker_ready: bool) -> tuple[dict[str, Any], list[bytes]]:
        """Header and frames of the worker's next task, see `backend.serving.worker`."""

    @abstractmethod
    def end_task(self, task: dict[str, Any], answer: dict[str, Any]) -> None:
        """Record that a task is done.  task: the header of `next_task`.  answer: the header of the worker's answer."""

    def set_stage(self, stage: str, numbers: dict[str, Any] | None = None) -> None:
        """Record the worker's stage.  numbers: further fields of a clip's `progress`."""
        self.stage, self.progress_wanted = stage, True

    @abstractmethod
    def progress(self) -> dict[str, Any]:
        """Fields of `progress`, without the job's id."""

    def resumes(self) -> bool:
        """Called when the worker ended during its task: whether the next worker continues it."""
        return False

    def release(self) -> dict[str, Any] | None:
        """Free what an ended job holds; returns the header of a last message to the worker, or None."""
        return None


@dataclass(eq=False)
class PhotoJob(Job):
    """One `recover`.  Its sources are recovered in order, one per task."""

    sources: list[str]
    images: deque[bytes]  # encoded, of the empty sources, in order
    model: str
    people: str
    focal_px: float
    next_index: int = 0
    finished: int = 0

    @property
    def left(self) -> bool:
        return self.next_index < len(self.sources)

    @property
    def complete(self) -> bool:
        return self.finished == len(self.sources)

    @property
    def image_bytes(self) -> int:
        return sum(len(image) for image in self.images)

    def next_task(self, worker_ready: bool) -> tuple[dict[str, Any], list[bytes]]:
        index, self.next_index = self.next_index, self.next_index + 1
        source = self.sources[index]
        if not worker_ready:
            self.set_stage("loading")
        task = {"do": "recover", "job": self.id, "index": index, "source": source, "model": self.model}
        task |= {"people": self.people, "focal_px": self.focal_px}
        return task, [] if source else [self.images.popleft()]

    def end_task(self, task: dict[str, Any], answer: dict[str, Any]) -> None:
        self.finished += 1
        self.progress_wanted = True
        if answer["event"] == "result":
            self.unacked.add(task["index"])

    def progress(self) -> dict[str, Any]:
        share = STAGE_SHARES.get(self.stage, 0.0) if self.running else 0.0
        fraction = min(1.0, (self.finished + share) / len(self.sources))
        return {"fraction": fraction, "stage": self.stage, "done": self.finished, "total": len(self.sources)}

    def release(self) -> dict[str, Any] | None:
        self.images.clear()
        return None


@dataclass(eq=False)
class ClipJob(Job):
    """One `recover_clip`.  A task is one step of the run; the worker's answer says when the clip is over."""

    file: str  # path of the job file
    exhausted: bool = False
    steps: int = 0  # done by the present worker
    furthest: int = 0  # most steps that any worker has done
    crashes: int = 0  # of workers in a row without a new step
    numbers: dict[str, Any] = field(default_factory=dict)  # of the last `stage`
    goes_last: ClassVar[bool] = True  # a photo never waits for a whole clip, not even of the same client

    @property
    def key(self) -> str:
        """Name of the clip in the worker; job ids are unique only per client."""
        return f"{self.client.hex()}:{self.id}"

    @property
    def left(self) -> bool:
        return not self.exhausted

    @property
    def complete(self) -> bool:
        return self.exhausted

    def next_task(self, worker_ready: bool) -> tuple[dict[str, Any], list[bytes]]:
        return {"do": "clip", "clip": self.key, "job": self.id, "file": self.file}, []

    def end_task(self, task: dict[str, Any], answer: dict[str, Any]) -> None:
        self.steps += 1
        self.exhausted = answer["over"]

    def set_stage(self, stage: str, numbers: dict[str, Any] | None = None) -> None:
        super().set_stage(stage)
        self.numbers = numbers or {}

    def progress(self) -> dict[str, Any]:
        return {"fraction": 0.0, "done": 0, "total": 0, **self.numbers, "stage": self.stage}

    def resumes(self) -> bool:
        """Whether the next worker continues from the journal: until MAX_CLIP_CRASHES."""
        self.crashes = 1 if self.steps > self.furthest else self.crashes + 1
        self.furthest, self.steps = max(self.furthest, self.steps), 0
        return self.crashes <= MAX_CLIP_CRASHES

    def release(self) -> dict[str, Any] | None:
        return {"do": "forget", "clip": self.key}


class JobQueue:
    """The unfinished jobs.  Clients take turns, task by task: one photo never waits for another client's long list."""

    def __init__(self) -> None:
        self._clients: OrderedDict[bytes, list[Job]] = OrderedDict()

    def __iter__(self) -> Iterator[Job]:
        for jobs in list(self._clients.values()):
            yield from list(jobs)

    def __len__(self) -> int:
        return sum(len(jobs) for jobs in self._clients.values())

    def add(self, job: Job) -> int:
        """Queue a job; returns the number of jobs before it.  Raises RecoverMeshError `busy`, `duplicate_job`."""
        ahead, own = len(self), self._clients.get(job.client, [])
        if any(other.id == job.id for other in own):
            raise RecoverMeshError(
                "duplicate_job", f"There is a job {job.id!r} already.", "Give every job an id of its own."
            )
        waiting_bytes = sum(other.image_bytes for other in self) + job.image_bytes
        if ahead >= MAX_JOBS or len(own) >= MAX_JOBS_PER_CLIENT or waiting_bytes > MAX_QUEUED_BYTES:
            raise RecoverMeshError(
                "busy",
                f"The backend has {ahead} unfinished jobs, {len(own)} of them yours; it takes at most {MAX_JOBS}, "
                f"{MAX_JOBS_PER_CLIENT} of one client, and {MAX_QUEUED_BYTES >> 20} MiB of images.",
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
        jobs = self._clients.get(job.client, [])
        if job in jobs:
            jobs.remove(job)
        if not jobs:
            self._clients.pop(job.client, None)

    def take(self, reachable: Callable[[bytes], bool]) -> Job | None:
        """The next job that may run, None if there is none.  reachable: whether a client gets a turn."""
        for client in list(self._clients):
            if not reachable(client):
                continue
            jobs = self._clients[client]
            for job in list(jobs):
                if job.may_run:
                    self._clients.move_to_end(client)
                    if job.goes_last:
                        jobs.remove(job)
                        jobs.append(job)
                    return job
        return None
