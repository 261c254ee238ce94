"""A fake `backend.clips.clip_run.ClipRun` for a real worker process; the job's source selects what it does.

`COUNT` chunks, then a final one; a word may follow: `wait:PATH` (the second chunk waits until PATH exists), `die:PATH`
(kills its process at the second chunk unless PATH exists, and writes PATH first), `die` (kills it always at the second
chunk), `bug`, `nan`.  The journal is a file in the job's folder with one line per chunk, from which it resumes.
"""

from __future__ import annotations

import os
import signal
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from backend.structures import Camera, ClipChunk, ClipPeople, ClipProgress, World


class FakeClip:
    def __init__(self, job, recoverer):
        self.job = job
        self.count, _, self.order = Path(job.source).name.partition(" ")
        self.out = Path(job.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.journal = self.out / "journal.txt"
        self.resumed = len(self._lines())
        self.sent = 0
        self.over = False
        self.camera_track = None
        self.model_name, self.body_name, self.license, self.notice = "fake", "fake", "CC0-1.0", ""
        self.camera = Camera(500.0, 500.0, 319.5, 239.5, 640, 480)
        self.info = SimpleNamespace(fps=Fraction(30000, 1001), frame_count=int(self.count), first_number=1)

    def _lines(self):
        return self.journal.read_text().split() if self.journal.exists() else []

    def close(self):
        (self.out / "closed").touch()

    def advance(self, on_progress):
        on_progress(ClipProgress("detect", self.sent / (int(self.count) + 1), self.sent, int(self.count), 10.0, 3.0))
        if self.sent == int(self.count):
            self.over = True
            ids = np.array([3])
            thumbnails = np.full((1, 4, 5, 3), 200, np.uint8)
            return [ClipPeople(ids, ids, ids, ids, np.array([True]), thumbnails), self._chunk(True)]
        if self.sent == 1:
            self._obey(on_progress)
        if self.sent >= len(self._lines()):
            with self.journal.open("a") as file:
                file.write(f"{self.sent}\n")
        self.sent += 1
        return [self._chunk(False)]

    def _obey(self, on_progress):
        word, _, path = self.order.partition(":")
        path = path.replace("|", "/")
        if word == "bug":
            raise ZeroDivisionError("a bug")
        if word == "wait":
            Path(path + ".started").touch()
            while not Path(path).exists():
                on_progress(ClipProgress("detect", 0.1, 1, int(self.count)))
                time.sleep(0.01)
        if word == "die" and not (path and Path(path).exists()):
            if path:
                Path(path).touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def _chunk(self, final):
        number = self.sent
        poses = np.full((2, 24, 3), float(number))
        if self.order == "nan":
            poses[0, 0, 0] = np.nan
        return ClipChunk(
            final=final, people=np.array([3]), betas=np.zeros((1, 10)), person=np.array([3, 3]),
            frames=np.array([2 * number, 2 * number + 1]), poses=poses, trans=np.zeros((2, 3)),
            confidence=np.ones((2, 24)), filled=np.zeros(2, bool), hidden=np.zeros(2, bool),
            contacts=np.ones((2, 2), bool), reprojection_px=np.ones(2), world=World(),
            lost=("A frame is lost.",) if number == 1 else (),
        )  # fmt: skip
