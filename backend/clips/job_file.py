"""The job file: all that recovering one clip depends on, as JSON for the add-on, the command line and a render farm."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from backend.atomic import atomic_path
from backend.errors import BadInput
from backend.models.registry import DEFAULT_MODEL
from backend.people.limit import people_limit

VERSION = 1
FOOT_LOCKS = ("auto", "always", "never")
# only the motions depend on these: they are solved again from the journal, without reading the clip
_MOTION_SETTINGS = (
    "people", "smoothing", "foot_lock", "height_m", "scene_scale", "merge", "split", "edits", "keep",
)  # fmt: skip
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class ClipJobFile:
    """The settings of one clip's job.  Raises BadInput `bad_job` where a value is not what its comment says."""

    source: str  # a video, a folder of images, or one image of a numbered sequence
    out: str  # folder of the journal and the results
    model: str = DEFAULT_MODEL
    first: int = 0  # clip frames are counted from 0
    last: int | None = None  # the last frame that is recovered; None: the clip's last
    step: int = 1  # every `step`-th frame is recovered
    fps: str = ""  # frame rate of a sequence, "24" or "30000/1001"; a video has its own
    focal_px: float = 0.0  # of the upright frame; 0: 1.2 times its long side
    people: str = "all"  # all, largest, or a number
    smoothing: float = 0.5  # 0 none .. 1 most
    foot_lock: str = "auto"  # auto, always, never
    height_m: float = 0.0  # height of the person seen longest: sets the scale; 0: unknown
    camera: str = ""  # file of a camera track (see `backend.motion.camera_track`); none: the camera is fixed
    scene_scale: float = 0.0  # units per metre of the scene that `camera` belongs to; 0: estimated
    merge: tuple[tuple[int, ...], ...] = ()  # ids that are one person
    split: tuple[tuple[int, int], ...] = ()  # (id, frame): from that frame on it is another person
    # applied after merge and split, in this order, each to the ids that the one before left; see `apply_edits`
    edits: tuple[tuple[str, int, int, int], ...] = ()  # ("merge", id, other, 0) or ("split", id, frame, new id)
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
            ("edits", all(map(_is_edit, self.edits)), _EXPECTED["edits"]),
            ("height_m", self.height_m == 0 or 0.4 <= self.height_m <= 2.6, "0, or 0.4 to 2.6 metres"),
            ("scene_scale", self.scene_scale == 0 or 1e-4 <= self.scene_scale <= 1e4, "0, or units per metre"),
        )
        for name, good, wanted in checks:
            if not good:
                raise _bad(f"{name} is {getattr(self, name)!r}, it must be {wanted}")
        people_limit(self.people)

    @property
    def rate(self) -> Fraction | None:
        """Frame rate of a sequence in Hz, None if none is given."""
        return _rate(self.fps)

    @property
    def clip_key(self) -> str:
        """Digest of the settings that the journal depends on, without the clip's path and content.

        Without the camera track too: the journal's bodies are in each frame's camera frame.
        """
        skip = {*_MOTION_SETTINGS, "source", "out", "camera", "version"}
        return _digest({k: v for k, v in asdict(self).items() if k not in skip})

    @property
    def motion_key(self) -> str:
        """Digest of the settings that the motions depend on besides the journal.

        Without the camera track's path: its content counts (`CameraTrack.digest`).
        """
        return _digest({k: getattr(self, k) for k in _MOTION_SETTINGS})

    def save(self, path: Path) -> None:
        """Write the job file atomically.  Raises RecoverMeshError `disk_full`, `unwritable`."""
        content = {"recover_mesh": "clip", **asdict(self)}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ClipJobFile:
        """The job of a file; paths in it are relative to its folder.  Raises BadInput `bad_job`, `file_missing`."""
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise _bad("it is too large", path)
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BadInput("file_missing", f"There is no job file {path}.", "Check the name.") from None
        except (OSError, ValueError) as error:
            raise _bad(f"it cannot be read: {error}", path) from None
        if not isinstance(content, dict) or content.pop("recover_mesh", None) != "clip":
            raise _bad('it is not a JSON object with "recover_mesh": "clip"', path)
        job = cls.from_fields(content)
        folder = path.resolve().parent
        camera = str(folder / job.camera) if job.camera else ""
        return replace(job, source=str(folder / job.source), out=str(folder / job.out), camera=camera)

    @classmethod
    def from_fields(cls, content: dict[str, Any]) -> ClipJobFile:
        """The job with these values, as a job file has them.  Raises BadInput `bad_job`."""
        types = get_type_hints(cls)
        unknown = sorted(set(content) - set(types))
        if unknown:
            raise _bad(f"{', '.join(unknown)}: there is no such setting")
        missing = {"source", "out"} - set(content)
        if missing:
            raise _bad(f"{', '.join(sorted(missing))} is missing")
        values = {}
        for name, value in content.items():
            try:
                values[name] = msgspec.convert(value, types[name])
            except (msgspec.ValidationError, OverflowError):
                wanted = _EXPECTED.get(name) or _EXPECTED_TYPES[types[name]]
                raise _bad(f"{name} is {value!r}, it must be {wanted}") from None
        return cls(**values)


# for error messages: what a value must be, where its type is not enough
_EXPECTED = {
    "source": "a path",
    "out": "a path",
    "camera": "a path",
    "last": "a whole number or null",
    "merge": "a list of lists of ids",
    "split": "a list of [id, frame]",
    "edits": 'a list of ["merge", id, other, 0] and ["split", id, frame, new id]',
    "keep": "a list of ids",
}
_EXPECTED_TYPES: dict[Any, str] = {str: "a text", int: "a whole number", float: "a number"}


def _is_edit(edit: tuple[str, int, int, int]) -> bool:
    kind, one, second, new = edit
    if kind == "merge":
        return one >= 1 and second >= 1 and new == 0
    return kind == "split" and one >= 1 and second >= 0 and new >= 1 and new != one


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
    return BadInput("bad_job", f"{name} cannot be used: {why}.", "Correct it, or let the add-on write a new one.")
