"""Jobs and requests for bodies -> tasks of the worker; the worker's answers -> messages to clients.

Called by the polling thread only; nothing here blocks.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from backend.errors import RecoverMeshError
from backend.serving.jobs import PROGRESS_SECONDS, Job, JobQueue
from backend.serving.messages import error_fields
from backend.serving.sessions import Sessions
from backend.serving.worker_process import WorkerProcess

log = logging.getLogger("recover-mesh.server")
MAX_DEATHS = 3  # of workers in a row, after which all queued jobs fail
MAX_BODY_REQUESTS = 16


@dataclass
class _Task:
    """The worker's present task."""

    number: int
    began: float
    header: dict[str, Any]
    job: Job | None  # None: a body
    client: bytes
    request: str


class Scheduler:
    """Gives the worker one task at a time.  A cancelled job is over at once, even if its task still runs."""

    def __init__(self, worker: WorkerProcess, sessions: Sessions, device: str, task_seconds: float) -> None:
        self._worker = worker
        self._sessions = sessions
        self._task_seconds = task_seconds
        self._jobs = JobQueue()
        self._body_requests: deque[tuple[bytes, str, str]] = deque()  # client, request, name
        self._task: _Task | None = None
        self._tasks = 0
        self.device = device  # as in the options; the worker's own name of it, once it is ready

    @property
    def progress_waits(self) -> bool:
        return any(job.progress_wanted for job in self._jobs)

    def submit(self, job: Job) -> None:
        """Queue a job and answer `accepted`.  Raises RecoverMeshError `busy`, `duplicate_job`."""
        ahead = self._jobs.add(job)
        self._sessions.answer(job.client, "accepted", job.request, {"job": job.id, "queued": ahead})

    def request_body(self, client: bytes, request: str, name: str) -> None:
        """Queue a `get_body`.  Raises RecoverMeshError `busy`."""
        if len(self._body_requests) >= MAX_BODY_REQUESTS:
            raise RecoverMeshError("busy", "Too many bodies are requested at once.", "Try again later.")
        self._body_requests.append((client, request, name))

    def acknowledge(self, client: bytes, job_id: str, index: int) -> None:
        job = self._jobs.get(client, job_id)
        if job is not None:  # else it ended in the meantime
            job.unacked.discard(index)

    def cancel(self, client: bytes, job_id: str, request: str) -> None:
        """Cancel a job and answer `cancelled`.  Raises RecoverMeshError `unknown_job`."""
        job = self._jobs.get(client, job_id)
        if job is None:
            raise RecoverMeshError("unknown_job", f"There is no job {job_id!r}.", "It may be finished.")
        self._drop(job)
        self._sessions.answer(client, "cancelled", request, {"job": job.id})

    def drop_client(self, client: bytes) -> None:
        """Cancel the jobs of a client that is gone."""
        for job in self._jobs.of_client(client):
            self._drop(job)

    def _drop(self, job: Job) -> None:
        """Remove a job; the worker cancels its task at the next stage, and its later messages are dropped."""
        self._jobs.remove(job)
        if self._task is not None and self._task.job is job:
            self._worker.send({"do": "cancel", "task": self._task.number})
        last = job.release()
        if last is not None:
            self._worker.send(last)

    def _fail(self, job: Job, fields: dict[str, str]) -> None:
        self._drop(job)
        self._sessions.answer(job.client, "error", job.request, {**fields, "job": job.id})

    def tick(self) -> None:
        """Send due progress, give an idle worker a task, kill one whose task takes too long."""
        self._send_progress()
        now = time.monotonic()
        if self._task is None:
            self._dispatch()
        elif now - self._task.began > self._task_seconds:
            log.error("a task took more than %g s: the worker is killed", self._task_seconds)
            self._task.began = now
            self._worker.kill()

    def _send_progress(self) -> None:
        now = time.monotonic()
        for job in self._jobs:
            if job.progress_wanted and now - job.progress_sent >= PROGRESS_SECONDS:
                job.progress_wanted, job.progress_sent = False, now
                fields = {"job": job.id, **job.progress()}
                self._sessions.answer(job.client, "progress", job.request, fields, droppable=True)

    def _dispatch(self) -> None:
        """Give the idle worker its next task: bodies first, because they are quick."""
        if not self._worker.alive:
            return
        while self._body_requests:
            client, request, name = self._body_requests.popleft()
            if self._sessions.get(client) is not None:
                self._begin({"do": "body", "name": name}, [], None, client, request)
                return
        job = self._jobs.take(self._sessions.reachable)
        if job is None:
            return
        job.running = True
        self._begin(*job.next_task(self._worker.ready), job, job.client, job.request)

    def _begin(self, header: dict[str, Any], frames: list[bytes], job: Job | None, client: bytes, request: str) -> None:
        self._tasks += 1
        self._task = _Task(self._tasks, time.monotonic(), header, job, client, request)
        self._worker.send({**header, "task": self._tasks, "request": request}, frames)

    def on_worker(self, header: dict[str, Any], frames: list[bytes]) -> None:
        """Handle one message of the worker, see `backend.serving.worker`."""
        event, task = header["event"], self._task
        if event == "ready":
            self.device = header["device"]
            log.info("worker ready on %s", self.device)
        elif event == "warm_failed":
            log.error("the model could not be loaded: %s %s", header["message"], header["hint"])
        elif event == "died":
            self._on_death(header["code"])
        elif task is None or header["task"] != task.number:
            log.warning("a message of the worker about task %s, which has ended, is dropped", header["task"])
        elif event == "stage":
            if task.job is not None and header["stage"] != "done":
                task.job.set_stage(header["stage"], header.get("numbers"))
        elif event == "part":
            if task.job is not None and not task.job.over:
                if header["chunk"] is not None:
                    task.job.unacked.add(header["chunk"])
                self._sessions.send(task.client, frames)
        else:
            self._task = None
            problem: dict[str, str] = {name: header[name] for name in ("code", "message", "hint") if name in header}
            if task.job is not None:
                self._end_task(task.job, task.header, header, frames, problem)
            elif event == "body":
                self._sessions.send(task.client, frames)
            else:
                self._sessions.answer(task.client, "error", task.request, {"job": "", **problem})

    def _end_task(
        self,
        job: Job,
        task: dict[str, Any],
        answer: dict[str, Any],
        frames: list[bytes],
        problem: dict[str, str],
    ) -> None:
        job.running = False
        if job.over:
            return  # cancelled: the late result is dropped
        if answer["event"] == "job_failed":
            self._fail(job, problem)
            return
        job.end_task(task, answer)
        if answer["event"] == "result":
            self._sessions.send(job.client, frames)
        elif answer["event"] == "source_failed":
            source = {"job": job.id, "index": task["index"], "source": task["source"]}
            self._sessions.answer(job.client, "source_failed", job.request, {**source, **problem})
        if job.complete:
            self._jobs.remove(job)
            seconds = time.monotonic() - job.started
            self._sessions.answer(job.client, "done", job.request, {"job": job.id, "seconds": seconds})

    def _on_death(self, code: int) -> None:
        """Fail the job of the present task, unless it resumes; after MAX_DEATHS in a row all queued jobs too."""
        error = RecoverMeshError(
            "worker_died",
            f"The process that recovers bodies ended unexpectedly (exit code {code}).",
            "Try again: a new one starts automatically. If it happens again, use a smaller photo (memory may "
            "have run out) and look at the backend's log.",
        )
        fields = error_fields(error)
        task, self._task = self._task, None
        if task is not None and task.job is not None:
            task.job.running = False
            if not task.job.over and not task.job.resumes():
                self._fail(task.job, fields)
        elif task is not None:
            self._sessions.answer(task.client, "error", task.request, {"job": "", **fields})
        if self._worker.deaths >= MAX_DEATHS:
            for job in self._jobs:
                self._fail(job, fields)
            while self._body_requests:
                client, request, _ = self._body_requests.popleft()
                self._sessions.answer(client, "error", request, {"job": "", **fields})
