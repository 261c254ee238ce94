"""`--camera` and `--scene-scale` of the command reach the job."""

import argparse
from pathlib import Path

from backend.cli import recover
from backend.clips.job_file import ClipJobFile


def jobs(*arguments):
    parser = argparse.ArgumentParser()
    recover.add_arguments(parser)
    args = parser.parse_args(arguments)
    return recover.recover_clip.jobs(args, [Path(name) for name in args.inputs])


def test_the_camera_reaches_the_job(tmp_path):
    (job,) = jobs("a.mp4", "--camera", "camera.json", "--scene-scale", "2.5", "--out", str(tmp_path))
    assert (job.camera, job.scene_scale) == (str(Path("camera.json").resolve()), 2.5)
    job.save(tmp_path / "elsewhere" / "job.json")
    assert ClipJobFile.load(tmp_path / "elsewhere" / "job.json").camera == job.camera
    (job,) = jobs("a.mp4")
    assert (job.camera, job.scene_scale) == ("", 0.0)
