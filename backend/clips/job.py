"""The job file: everything that recovering one clip depends on, as JSON that panel, command line and farm share."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from backend.errors import BadInput
from backend.export.files import atomic_path
from backend.models.registry import DEFAULT_MODEL
from backend.people.limit import people_limit

VERSION = 1
FOOT_LOCKS = ("auto", "always", "never")
# what the motions alone depend on: they are made again from the journal, nothing is looked at again
_MOTION_SETTINGS = (
    "people", "smoothing", "foot_lock", "height_m", "scene_scale", "merge", "split", "edits", "keep",
)  # fmt: skip
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class ClipJobFile:
    """Raises BadInput `bad_job` where a value is not what its comment says."""

    source: str  # a video, a folder of pictures, or one picture of a numbered sequence
    out: str  # folder of the journal and the results
    model: str = DEFAULT_MODEL
    first: int = 0  # clip frames are counted from 0
    last: int | None = None  # the last frame that is recovered; None: the clip's last
    step: int = 1  # every so many frames
    fps: str = ""  # frame rate of a sequence, "24" or "30000/1001"; a video has its own
    focal_px: float = 0.0  # of the upright frame; 0: 1.2 times its long side
    people: str = "all"  # all, largest, or a number
    smoothing: float = 0.5  # 0 none .. 1 most
    foot_lock: str = "auto"  # auto, always, never
    height_m: float = 0.0  # height of the person seen longest: sets the scale; 0: unknown
    camera: str = ""  # file of the camera's way (see `camera_track`); none: it does not move
    scene_scale: float = 0.0  # units per metre of the scene that `camera` belongs to; 0: to be found
    merge: tuple[tuple[int, ...], ...] = ()  # ids that are one person
    split: tuple[tuple[int, int], ...] = ()  # (id, frame): from that frame on it is another person
    # after merge and split, in this order, on the ids that the edit before left; see `identities.edited`:
    edits: tuple[
        tuple[str, int, int, int], ...
    ] = ()  # ("merge", id, other, 0) or ("split", id, frame, new id)
    keep: tuple[int, ...] = ()  # ids to recover; none: by `people`
    version: int = field(default=VERSION, compare=False)

    def __post_init__(self) -> None:
        checks: tuple[tuple[str, bool, str], ...] = (
            ("version", self.version == VERSION, f"{VERSION}, the version of job files known here"),
            ("source", bool(self.source), "the path of a clip"),
            ("out", bool(self.out), "the path of a folder"),
            ("first", self.first >= 0, "0 or more"),
            ("last", self.last is None or self.last >= self.first, "the last frame, `first` or later"),
            ("step", self.step >= 1, "1 or more"),
            ("fps", not self.fps or _rate(self.fps) is not None, "a frame rate as 24 or 30000/1001"),
            ("focal_px", 0 <= self.focal_px <= 1e6, "a focal length in pixels"),
            ("smoothing", 0 <= self.smoothing <= 1, "from 0 to 1"),
            ("foot_lock", self.foot_lock in FOOT_LOCKS, f"one of {', '.join(FOOT_LOCKS)}"),
            ("height_m", self.height_m == 0 or 0.4 <= self.height_m <= 2.6, "0, or 0.4 to 2.6 metres"),
            (
                "scene_scale",
                self.scene_scale == 0 or 1e-4 <= self.scene_scale <= 1e4,
                "0, or units per metre",
            ),
        )
        for name, good, wanted in checks:
            if not good:
                raise _bad(f"{name} is {getattr(self, name)!r}, it must be {wanted}")
        people_limit(self.people)

    @property
    def rate(self) -> Fraction | None:
        """Frame rate of a sequence, None where it is not given."""
        return _rate(self.fps)

    @property
    def clip_key(self) -> str:
        """Changes with every setting that the journal depends on; the clip's place and content are no settings.

        Nor is the camera's way: the journal holds what each frame shows, in that frame's own camera.
        """
        skip = {*_MOTION_SETTINGS, "source", "out", "camera", "version"}
        return _digest({k: v for k, v in asdict(self).items() if k not in skip})

    @property
    def motion_key(self) -> str:
        """Changes with every setting that the final motions depend on besides the journal.

        The camera's way is no setting either: of that the content counts (`CameraTrack.digest`), not the path.
        """
        return _digest({k: getattr(self, k) for k in _MOTION_SETTINGS})

    def save(self, path: Path) -> None:
        """Write the job file, whole or not at all.  Raises RecoverMeshError `disk_full`, `unwritable`."""
        content = {"recover_mesh": "clip", **asdict(self)}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ClipJobFile:
        """Read a job file; paths in it are relative to its folder.  Raises BadInput `bad_job`, `file_missing`."""
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise _bad("it is too large", path)
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BadInput("file_missing", f"There is no job file {path}.", "Check the name.") from None
        except (OSError, ValueError) as error:
            raise _bad(f"it cannot be read: {error}", path) from None
        if not isinstance(content, dict) or content.pop("recover_mesh", None) != "clip":
            raise _bad('it is no map with "recover_mesh": "clip"', path)
        job = cls.from_fields(content)
        folder = path.resolve().parent
        way = str(folder / job.camera) if job.camera else ""
        return replace(job, source=str(folder / job.source), out=str(folder / job.out), camera=way)

    @classmethod
    def from_fields(cls, content: dict[str, Any]) -> ClipJobFile:
        """From the values of a job file.  Raises BadInput `bad_job`."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(content) - known)
        if unknown:
            raise _bad(f"{', '.join(unknown)}: there is no such setting")
        missing = {"source", "out"} - set(content)
        if missing:
            raise _bad(f"{', '.join(sorted(missing))} is missing")
        values = {}
        for name, value in content.items():
            take, wanted = _TYPES[name]
            try:
                values[name] = take(value)
            except (TypeError, ValueError):
                raise _bad(f"{name} is {value!r}, it must be {wanted}") from None
        return cls(**values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _wholes(value: Any) -> tuple[int, ...]:
    return tuple(_whole(one) for one in value)


def _groups(value: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(_wholes(one) for one in value)


def _cuts(value: Any) -> tuple[tuple[int, int], ...]:
    cuts = _groups(value)
    if any(len(cut) != 2 for cut in cuts):
        raise ValueError
    return tuple((cut[0], cut[1]) for cut in cuts)


def _edits(value: Any) -> tuple[tuple[str, int, int, int], ...]:
    edits = []
    for kind, *numbers in value:
        one, second, new = (_whole(number) for number in numbers)
        if kind not in ("merge", "split") or one < 1 or (kind == "merge" and (second < 1 or new)):
            raise ValueError
        if kind == "split" and (second < 0 or new < 1 or new == one):
            raise ValueError
        edits.append((kind, one, second, new))
    return tuple(edits)


_TYPES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "source": (_text, "a path"),
    "out": (_text, "a path"),
    "model": (_text, "a text"),
    "first": (_whole, "a whole number"),
    "last": (lambda value: None if value is None else _whole(value), "a whole number or null"),
    "step": (_whole, "a whole number"),
    "fps": (_text, "a text"),
    "focal_px": (_number, "a number"),
    "people": (_text, "a text"),
    "smoothing": (_number, "a number"),
    "foot_lock": (_text, "a text"),
    "height_m": (_number, "a number"),
    "camera": (_text, "a path"),
    "scene_scale": (_number, "a number"),
    "merge": (_groups, "a list of lists of ids"),
    "split": (_cuts, "a list of [id, frame]"),
    "edits": (_edits, 'a list of ["merge", id, other, 0] and ["split", id, frame, new id]'),
    "keep": (_wholes, "a list of ids"),
    "version": (_whole, "a whole number"),
}


def _rate(text: str) -> Fraction | None:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    return rate if 0 < rate <= 1000 else None


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _bad(why: str, path: Path | None = None) -> BadInput:
    name = "The job" if path is None else f"The job file {path}"
    return BadInput(
        "bad_job", f"{name} cannot be used: {why}.", "Correct it, or let the panel write a new one."
    )
