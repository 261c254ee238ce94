"""`recover-mesh recover` for clips: videos, image sequences, job files.  Finished clips are skipped, others resumed."""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.clips.job_file import FOOT_LOCKS, ClipJobFile
from backend.errors import BadInput, RecoverMeshError

if TYPE_CHECKING:
    from rich.console import Console

    from backend.clips.clip_run import ClipRun
    from backend.recovery import Recoverer

VIDEO_SUFFIXES = {
    ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".3gp", ".ogv",
    ".mxf", ".flv",
}  # fmt: skip
THROUGH_BLENDER = ("blend", "glb", "fbx", "bvh", "usd", "abc", "pc2")
FORMATS = ("npz", "overlay", "amass", *THROUGH_BLENDER)
JOB_FILE = "job.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    clips = parser.add_argument_group("clips (videos and image sequences)")
    clips.add_argument("--job", type=Path, action="append", default=[], metavar="FILE", help="a clip's job file")
    clips.add_argument("--sequence", action="store_true", help="inputs are image sequences, each one clip")
    clips.add_argument("--shard", metavar="I/N", help="only every N-th clip, beginning with the I-th (1/4 … 4/4)")
    clips.add_argument("--first", type=int, default=0, metavar="FRAME", help="first frame, counted from 0 (0)")
    clips.add_argument("--last", type=int, metavar="FRAME", help="last frame (the clip's)")
    clips.add_argument("--step", type=int, default=1, metavar="N", help="only every N-th frame (1)")
    clips.add_argument("--fps", default="", help="frame rate of image sequences (24)")
    clips.add_argument("--smoothing", type=float, default=0.5, metavar="0..1", help="0 none, 1 most (0.5)")
    clips.add_argument("--foot-lock", choices=FOOT_LOCKS, default="auto", help="keep standing feet still (auto)")
    clips.add_argument(
        "--height", type=float, default=0.0, metavar="M", help="height of the person seen longest, metres"
    )
    clips.add_argument(
        "--camera", type=Path, metavar="FILE", help="camera track of a moving camera (JSON; see the user guide)"
    )
    clips.add_argument(
        "--scene-scale", type=float, default=0.0, metavar="UNITS",
        help="units per metre of the scene that --camera belongs to (estimated from standing feet)",
    )  # fmt: skip


def is_clip(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def jobs(args: argparse.Namespace, clips: Sequence[Path]) -> list[ClipJobFile]:
    """One job per clip, each with its own folder below --out; then the jobs of --job; of these the --shard.

    Raises BadInput `bad_job`, `file_missing`, `bad_shard`.
    """
    found = []
    names: dict[str, Path] = {}
    same = ("model", "first", "last", "step", "fps", "people", "smoothing", "foot_lock", "scene_scale")
    settings = {name: getattr(args, name) for name in same}
    for path in clips:
        name = path.stem or path.resolve().name
        if names.setdefault(name, path) != path:  # same name, other folder
            name += "-" + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:6]
        found.append(
            ClipJobFile(
                source=str(path.resolve()),
                out=str((args.out / name).resolve()),
                focal_px=args.focal,
                height_m=args.height,
                camera=str(args.camera.resolve()) if args.camera else "",
                **settings,
            )
        )
    found += [ClipJobFile.load(path) for path in args.job]
    return found[_shard(args.shard)] if args.shard else found


def _shard(text: str) -> slice:
    try:
        index, count = (int(part) for part in text.split("/"))
        if not 1 <= index <= count:
            raise ValueError
    except ValueError:
        raise BadInput("bad_shard", f"--shard cannot be {text!r}.", "Use I/N with 1 <= I <= N, such as 2/8.") from None
    return slice(index - 1, None, count)


def run_jobs(
    todo: Sequence[ClipJobFile],
    formats: Sequence[str],
    console: Console,
    recoverers: Callable[[str], Recoverer],
) -> int:
    """Recover the clips; returns how many failed.  recoverers: model name -> Recoverer."""
    failed = 0
    for number, job in enumerate(todo, 1):
        label = f"[{number}/{len(todo)}] {Path(job.source).name}"
        try:
            _run_job(job, label, formats, console, recoverers(job.model))
        except RecoverMeshError as error:
            failed += 1
            console.print(f"[red]{label}[/]: {error.message}", f"\n  {error.hint}" if error.hint else "")
    return failed


def _run_job(job: ClipJobFile, label: str, formats: Sequence[str], console: Console, recoverer: Recoverer) -> None:
    from rich.progress import BarColumn, Progress, TextColumn

    from backend.clips.clip_run import ClipRun

    start = time.perf_counter()
    job.save(Path(job.out) / JOB_FILE)
    run = ClipRun(job, recoverer)
    try:
        done_before = run.finished_before
        if run.resumed and not done_before:
            console.print(f"{label}: resumed, {run.resumed} frames were done.")
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"))
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(label, total=1.0, status="")

            def on_progress(progress: Any) -> None:
                status = f"{progress.stage}, {progress.done} of {progress.total}"
                if progress.rate:
                    status += f", {progress.rate:.1f} fps, {progress.left:.0f} s left"
                bar.update(task, completed=progress.fraction, status=status)

            while not run.over:
                run.advance(on_progress)
        seconds = time.perf_counter() - start
        if done_before:
            console.print(f"{label}: done already, {_people_count(run)}.")
        else:
            console.print(
                f"{label}: {_people_count(run)}, {run.total} frames, {seconds:.1f} s "
                f"({(run.total - run.resumed) / seconds:.1f} fps)"
            )
        if run.camera_track is not None and run.world.scale != 1.0:
            console.print(f"  The camera's scene has {run.world.scale:.4g} units per metre.")
        for sentence in run.lost:
            console.print(f"[yellow]{sentence}[/]")
        if run.notice:
            console.print(f"[yellow]{run.notice}[/]")
        for path in _export(run, formats, console):
            console.print(f"  {path}")
    finally:
        run.close()


def _people_count(run: ClipRun) -> str:
    count = len(run.motions)
    return "no people found" if not count else f"{count} {'person' if count == 1 else 'people'}"


def _export(run: ClipRun, formats: Sequence[str], console: Console) -> list[Path]:
    """Write the run's motions in `formats`; returns the paths of all result files, the npz included."""
    out = Path(run.job.out)
    written = run.files
    if not run.motions:
        return written
    if "overlay" in formats:
        from backend.export.overlay_video import write_overlay_video
        from backend.media.video import open_clip

        job = run.job
        clip = open_clip(job.source, first=job.first, last=job.last, step=job.step, fps=job.rate)
        path = out / f"{Path(job.source).stem}_overlay.mp4"
        with console.status("Drawing the overlay"):
            write_overlay_video(path, clip.frames(), run.motions, run.body, run.camera, run.info.fps / job.step)
        written.append(path)
    if "amass" in formats:
        import torch

        from backend.export.amass import write_amass

        for motion in run.motions:
            root = run.body.rest_joints(torch.as_tensor(motion.betas)[None].float())[0, 0].numpy()
            path = out / f"person{motion.id}_amass.npz"
            rate = float(run.info.fps / run.job.step)
            write_amass(path, motion, run.world, root, rate, body=run.body.name, license=run.body.license)
            written.append(path)
    scenes = [out / f"{Path(run.job.source).stem}.{name}" for name in THROUGH_BLENDER if name in formats]
    if scenes:
        from backend.export.blender_export import write_clip_through_blender

        with console.status("Blender writes the files"):
            write_clip_through_blender(run.files, run.body, scenes)
        written += scenes
    return written
