"""The worker process: loads the models and does one task at a time.  Only it imports torch.

It exchanges messages of `backend.serving.pipe` with the server over standard input and output.  It exits when its
input closes, so that no worker outlives its server, not even a killed one.

Server -> worker: `recover` (task, request, job, index, source, model, people, focal_px; an image as frame),
`clip` (task, request, clip, job, file: one step of a clip), `forget` (clip), `body` (task, request, name),
`cancel` (task).  Worker -> server: `ready` (device), `warm_failed`, `stage` (task, stage, of clips numbers),
`part` (task, chunk, frames for the client), and one end of each task: `result` (frames for the client),
`source_failed`, `job_failed`, `given_up` (cancelled), `step` (of a clip: over), `body` (frames for the client),
`body_failed`.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import queue
import signal
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from backend import protocol
from backend.errors import Cancelled, RecoverMeshError
from backend.serving.clip_runs import ClipRuns, load_callable
from backend.serving.messages import Shapes, error_fields, result_message, shapes_of_body, shapes_of_person
from backend.serving.pipe import read_message, write_message

if TYPE_CHECKING:
    from backend.recovery import Recoverer

log = logging.getLogger("recover-mesh.worker")
MODEL_MEMORY = 4 << 30  # bytes of weights kept in memory; the least recently used model goes first


def read_body(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fields and arrays of the message `body`, for a body's name."""
    from backend.body.loader import load_body
    from backend.body.wire import body_message

    return body_message(load_body(name))


class Worker:
    """Does one task after the other.  `cancel` may be called from another thread at any time."""

    def __init__(
        self,
        factory: str,
        body_source: str,
        device: str,
        emit: Callable[..., None],
        budget: int = MODEL_MEMORY,
        precision: str = "fp32",
        clip_factory: str = "backend.clips.clip_run:ClipRun",
    ) -> None:
        self._factory = factory
        self._body_source = body_source
        self._device = device
        self._emit = emit
        self._budget = budget
        self._precision = precision
        self._clips = ClipRuns(clip_factory, self._recoverer, emit)
        self._models: OrderedDict[str, Recoverer] = OrderedDict()
        self._shapes: dict[str, Shapes] = {}
        self._cancelled: set[int] = set()
        self._lock = threading.Lock()

    def cancel(self, task: int) -> None:
        with self._lock:
            self._cancelled.add(task)

    def _is_cancelled(self, task: int) -> bool:
        with self._lock:
            return task in self._cancelled

    def warm_up(self, model: str) -> None:
        """Load the first model at the start, so that the first recovery is fast."""
        try:
            recoverer = self._recoverer(model)
        except Exception as error:
            log.exception("the model %s could not be loaded", model)
            self._emit({"event": "warm_failed", **error_fields(error)})
            return
        device = recoverer.device
        with contextlib.suppress(Exception):  # only a name to show
            from backend.device import describe_device

            device = describe_device(device)
        self._emit({"event": "ready", "device": device[:128]})

    def run(self, task: dict[str, Any], frames: Sequence[bytes]) -> None:
        """Do one task and emit its end; emits errors too, never raises them."""
        if task["do"] == "body":
            self._body(task)
        elif task["do"] == "forget":
            self._clips.forget(task["clip"])
            return
        elif task["do"] == "clip":
            self._clips.step(task, self._is_cancelled)
        else:
            self._recover(task, frames)
        with self._lock:
            self._cancelled = {number for number in self._cancelled if number > task["task"]}

    def _recoverer(self, model: str) -> Recoverer:
        if model not in self._models:
            self._models[model] = load_callable(self._factory)(model, self._device, **self._options())
            engine = self._models[model].model.engine
            if engine is not None and not engine.options.exact:
                log.info("%s in %s: vertices move by up to %.2f mm", model, self._precision, engine.error_mm)
            self._shapes[model] = shapes_of_body(self._models[model].model.body)
            while len(self._models) > 1 and self._memory() > self._budget:
                name, _ = self._models.popitem(last=False)
                log.info("the model %s is unloaded", name)
        self._models.move_to_end(model)
        return self._models[model]

    def _options(self) -> dict[str, Any]:
        if self._precision == "fp32":
            return {}
        from backend.models.inference.engine import EngineOptions

        return {"options": EngineOptions(self._precision)}

    def _memory(self) -> int:
        """Bytes of the weights of all loaded models."""
        return sum(recoverer.model.memory for recoverer in self._models.values())

    def _recover(self, task: dict[str, Any], frames: Sequence[bytes]) -> None:
        number = task["task"]

        def on_stage(stage: str) -> None:
            if self._is_cancelled(number):
                raise Cancelled
            self._emit({"event": "stage", "task": number, "stage": stage[:32]})

        try:
            if task["model"] not in self._models:
                on_stage("loading")
            recoverer = self._recoverer(task["model"])
        except Cancelled:
            self._emit({"event": "given_up", "task": number})
            return
        except Exception as error:
            log.exception("the model %s could not be loaded", task["model"])
            self._emit({"event": "job_failed", "task": number, **error_fields(error)})
            return
        try:
            on_stage("decode")
            result = recoverer.recover(
                frames[0] if frames else task["source"],
                index=task["index"],
                people=task["people"],
                focal_px=task["focal_px"],
                on_stage=on_stage,
            )
            if result.people:
                self._shapes[task["model"]] = shapes_of_person(result.people[0])
            fields, arrays = result_message(task["job"], result, self._shapes[task["model"]], task["source"])
            message = protocol.encode("result", task["request"], arrays, **{**fields, "index": task["index"]})
            on_stage("done")  # checks for `cancel` a last time before the result is sent
        except Cancelled:
            self._emit({"event": "given_up", "task": number})
        except Exception as error:
            if not isinstance(error, RecoverMeshError):
                log.exception("source %d failed", task["index"])
            self._emit({"event": "source_failed", "task": number, **error_fields(error)})
        else:
            self._emit({"event": "result", "task": number}, message)

    def _body(self, task: dict[str, Any]) -> None:
        try:
            fields, arrays = load_callable(self._body_source)(task["name"])
            message = protocol.encode("body", task["request"], arrays, **fields)
        except Exception as error:
            if not isinstance(error, RecoverMeshError):
                log.exception("the body %s could not be read", task["name"])
            self._emit({"event": "body_failed", "task": task["task"], **error_fields(error)})
        else:
            self._emit({"event": "body", "task": task["task"]}, message)


def _take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Copies of standard input and output; 0 and 1 are redirected, so that printing never corrupts messages."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return incoming, outgoing


def main(settings_json: str) -> int:
    """Work until the server exits.

    settings_json: `factory`, `body_source`, `clip_factory`, `device`, `precision`, `model` (loaded at the start).
    """
    settings = json.loads(settings_json)
    incoming, outgoing = _take_over_pipes()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C goes to the whole process group; the server stops the worker
    with contextlib.suppress(OSError):  # Linux: when memory runs out, kill this process and not Blender
        Path("/proc/self/oom_score_adj").write_text("500")

    def emit(header: dict[str, Any], frames: Sequence[bytes | memoryview] = ()) -> None:
        try:
            write_message(outgoing, header, frames)
        except OSError:
            os._exit(0)  # the server has exited

    names = ("factory", "body_source", "clip_factory", "device", "precision")
    worker = Worker(emit=emit, **{name: settings[name] for name in names})
    tasks: queue.SimpleQueue[tuple[dict[str, Any], list[bytes]]] = queue.SimpleQueue()

    def read() -> None:
        while (message := read_message(incoming)) is not None:
            if message[0]["do"] == "cancel":
                worker.cancel(message[0]["task"])
            else:
                tasks.put(message)
        os._exit(0)

    threading.Thread(target=read, name="pipe", daemon=True).start()
    if settings["model"]:
        worker.warm_up(settings["model"])
    while True:
        worker.run(*tasks.get())
