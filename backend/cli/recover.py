"""`recover-mesh recover`: from photos and clips to one npz per person, an overlay, and other formats."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from backend.cli import recover_clip
from backend.device import DEVICES
from backend.errors import BadInput, RecoverMeshError
from backend.export import FORMATS
from backend.models.registry import DEFAULT_MODEL, get_model

if TYPE_CHECKING:
    from rich.console import Console

    from backend.models.inference.engine import EngineOptions
    from backend.recovery import Recoverer
    from backend.structures import FrameResult

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="photos, videos, or folders of them")
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="where results go (out)")
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME", help="see `recover-mesh models`")
    parser.add_argument("--people", default="all", metavar="all|largest|N", help="people to recover (all)")
    parser.add_argument(
        "--export",
        metavar="LIST",
        help=f"comma-separated; photos: {', '.join(FORMATS)} (npz,overlay); "
        f"clips: {', '.join(recover_clip.FORMATS)} (npz); all but npz, obj and overlay need Blender",
    )
    parser.add_argument(
        "--focal", type=float, default=0.0, metavar="PX", help="focal length in pixels (EXIF, else 1.2 x long side)"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument(
        "--keypoints", type=Path, metavar="FILE", help="your own 2D poses (.npy, .json) for pose2mesh models"
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="of networks: fp32 is exact, bf16 faster; its error is measured and printed (fp32)",
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile the network: slow to start, then faster")
    recover_clip.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from backend.people.limit import people_limit

    people_limit(args.people)  # wrong use fails before the slow imports
    get_model(args.model)
    photos, clips = _inputs(args.inputs, args.sequence)
    jobs = recover_clip.jobs(args, clips)
    if not photos and not jobs and not args.shard:
        raise BadInput("no_input", "No input was given.", "Give photos, videos, or --job FILE.")
    photo_formats = _formats(args.export or "npz,overlay", FORMATS) if photos else []
    clip_formats = _formats(args.export or "npz", recover_clip.FORMATS) if jobs else []
    _ensure_folder(args.out)
    console = Console(highlight=False, soft_wrap=True)
    recoverers = _loader(args, console)
    failed = _recover_photos(photos, args, photo_formats, console, recoverers) if photos else 0
    failed += recover_clip.run_jobs(jobs, clip_formats, console, recoverers) if jobs else 0
    if failed:
        console.print(f"{failed} of {len(photos) + len(jobs)} inputs could not be used.")
    return 1 if failed else 0


def _loader(args: argparse.Namespace, console: Console) -> Callable[[str], Recoverer]:
    """Model name -> Recoverer, loaded on first use; the last one stays loaded."""

    @lru_cache(maxsize=1)
    def load(model: str) -> Recoverer:
        from backend.models.inference.engine import EngineOptions
        from backend.recovery import Recoverer

        options = EngineOptions(args.precision, args.compile)
        recoverer = Recoverer(model, args.device, options=options, keypoints=args.keypoints)
        _report_options(recoverer, options, console)
        return recoverer

    return load


def _recover_photos(
    photos: list[Path],
    args: argparse.Namespace,
    formats: list[str],
    console: Console,
    recoverers: Callable[[str], Recoverer],
) -> int:
    """Number of photos that could not be recovered."""
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from backend.export import export

    failed = 0
    with Progress(
        *Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task("Loading", total=len(photos))
        recoverer = recoverers(args.model)
        for index, path in enumerate(photos):
            bar.update(task, description=path.name)
            try:
                start = time.perf_counter()
                result = recoverer.recover(str(path), index=index, people=args.people, focal_px=args.focal)
                seconds = time.perf_counter() - start
                files = export(result, formats, args.out, result.pixels, recoverer.model.body) if result.people else []
                console.print(_summary(path, result, seconds, files, recoverer.model.spec.part))
                if result.notice:
                    console.print(f"[yellow]{result.notice}[/]")
            except RecoverMeshError as error:
                failed += 1
                console.print(f"[red]{path.name}[/]: {error.message}", f"\n  {error.hint}" if error.hint else "")
            bar.advance(task)
    return failed


def _report_options(recoverer: Recoverer, options: EngineOptions, console: Console) -> None:
    engine = recoverer.model.engine
    if engine is None:
        if not options.exact:
            console.print("[yellow]--precision and --compile have no effect: this model is not a network.[/]")
    elif not options.exact:
        names = [options.precision, *(["compiled"] if options.compile else [])]
        console.print(f"{', '.join(names)}: vertices move by up to {engine.error_mm:.2f} mm against exact fp32.")


def _summary(path: Path, result: FrameResult, seconds: float, files: list[Path], part: str) -> str:
    one, many, size = ("hand", "hands", "its size") if part == "hand" else ("person", "people", "body height")
    if not result.people:
        return f"{path.name}: no {many} found ({seconds:.2f} s)"
    count = len(result.people)
    errors = ", ".join(f"{p.reprojection_px:.1f} px ({p.reprojection_relative:.1%})" for p in result.people)
    noun = one if count == 1 else many
    names = "".join(f"\n  {file}" for file in files)
    return f"{path.name}: {count} {noun}, {seconds:.2f} s, reprojection error {errors} of {size}{names}"


def _formats(text: str, known: Sequence[str]) -> list[str]:
    formats = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in formats if word not in known]
    if unknown or not formats:
        raise BadInput(
            "unknown_format",
            f"Cannot export {', '.join(unknown) or 'nothing'}.",
            f"Choose from: {', '.join(known)}.",
        )
    return formats


def _inputs(names: list[str], sequence: bool) -> tuple[list[Path], list[Path]]:
    """Paths of photos and of clips; a folder stands for the images and videos in it, sorted by name."""
    photos: list[Path] = []
    clips: list[Path] = []
    for name in names:
        path = Path(name)
        if sequence or recover_clip.is_clip(path):
            clips.append(path)
        elif path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_file())
            images = [p for p in inside if p.suffix.lower() in IMAGE_SUFFIXES]
            videos = [p for p in inside if recover_clip.is_clip(p)]
            if not images and not videos:
                raise BadInput(
                    "no_pictures",
                    f"The folder {path} contains no images or videos.",
                    f"Known endings: {', '.join(sorted(IMAGE_SUFFIXES | recover_clip.VIDEO_SUFFIXES))}.",
                )
            photos += images
            clips += videos
        else:
            photos.append(path)
    return photos, clips


def _ensure_folder(folder: Path) -> None:
    """Create the output folder.  Raises BadInput `unwritable` before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".recover-mesh-probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise BadInput(
            "unwritable", f"Cannot write to {folder} ({error.strerror}).", "Choose another folder with --out."
        ) from None
