"""A small rendered clip, and the built-in model to recover it with."""

from dataclasses import replace

import pytest

from backend.body.loader import load_body
from backend.clips.clip_run import ClipRun
from backend.clips.job_file import ClipJobFile
from backend.recovery import Recoverer
from benchmarks.clips.__main__ import write_clip
from benchmarks.clips.motions import MOTIONS, MotionMaker
from benchmarks.clips.render import Renderer


@pytest.fixture(scope="session")
def walk(tmp_path_factory):
    """mp4 of one walking person, 40 frames, 640 x 360, 15 fps; the ground truth in an npz next to it."""
    body = load_body("open")
    scene = MOTIONS["walk"](MotionMaker(body, 15.0), (640, 360), seconds=40 / 15)
    return write_clip(tmp_path_factory.mktemp("clip"), "walk", scene, Renderer(body))


@pytest.fixture(scope="session")
def recoverer():
    return Recoverer()


@pytest.fixture
def run_clip(recoverer, walk, tmp_path):
    """Run all or `steps` steps of a job in tmp_path/out, where the journal stays; returns the run and its records."""

    def run(steps=None, on_progress=lambda progress: None, **settings):
        job = replace(ClipJobFile(source=str(walk), out=str(tmp_path / "out")), **settings)
        run = ClipRun(job, recoverer)
        records = []
        try:
            while not run.over and (steps is None or steps > 0):
                records += run.advance(on_progress)
                steps = None if steps is None else steps - 1
        finally:
            run.close()
        return run, records

    return run
