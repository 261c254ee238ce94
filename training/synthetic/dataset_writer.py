"""Writes a data set in shards: a killed run resumes, and the files do not depend on the number of workers."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from backend.atomic import atomic_path, remove_unfinished
from backend.errors import BadInput
from backend.models.checkpoints import file_hash
from training.synthetic.studio import SPLITS, Sample, Studio
from training.synthetic.studios import make_studio
from training.synthetic.tsv_writer import TsvWriter

VERSION = 2  # of the data that a seed gives; 2: limbs' labels by Human3.6M's regressor, fitted to bent poses too
SHARD = 128
_PARTS = "shards"


@dataclass(frozen=True)
class Settings:
    """All that the files depend on.  renderer: `gl` or `numpy`; backgrounds: hash of the images' names and sizes."""

    part: str
    count: int
    size: int
    seed: int
    renderer: str
    device: str = ""
    backgrounds: str = ""
    version: int = VERSION

    def splits(self) -> dict[str, int]:
        """Rows per split: 5 % val, 5 % test, at least one each; the rest train."""
        few = max(1, round(0.05 * self.count))
        return {"train": self.count - 2 * few, "val": few, "test": few}

    def shards(self) -> list[tuple[int, int, int]]:
        """(split, shard, rows) of every shard."""
        return [
            (split, shard, min(SHARD, rows - shard * SHARD))
            for split, rows in enumerate(self.splits().values())
            for shard in range(-(-rows // SHARD))
        ]


def write_dataset(
    out: Path,
    *,
    part: str = "body",
    count: int = 20000,
    size: int = 224,
    seed: int = 0,
    workers: int = 1,
    renderer: str = "auto",
    photos: Path | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict:
    """Write the data set into `out`, or resume writing it; returns its card.

    Raises BadInput: `bad_count`, `bad_size`, `other_settings` where `out` holds a data set of other settings, `no_gl`,
    `no_pictures`.
    """
    if count < 3:
        raise BadInput("bad_count", f"{count} images cannot be split in three.", "Ask for at least 3.")
    if not 32 <= size <= 2048 or seed < 0:
        raise BadInput("bad_size", f"Size {size} or seed {seed} is out of range.", "Size 32 to 2048, seed 0 or more.")
    studio = make_studio(part, size, renderer, photos)
    device = getattr(studio.renderer, "device", "")
    settings = Settings(part, count, size, seed, studio.renderer.name, device, _fingerprint(studio))
    out.mkdir(parents=True, exist_ok=True)
    _check_settings(out, settings)
    card = out / "card.json"
    if card.is_file():
        return json.loads(card.read_text())
    folder = out / _PARTS
    folder.mkdir(exist_ok=True)
    remove_unfinished(folder)
    todo = [task for task in settings.shards() if not _path(folder, *task[:2]).is_file()]
    rows = sum(n for _, _, n in settings.shards())
    done = rows - sum(n for _, _, n in todo)
    report(done, rows)
    for made in _make_shards(studio, settings, folder, todo, workers, photos):
        done += made
        report(done, rows)
    return _merge_shards(out, settings)


def _fingerprint(studio: Studio) -> str:
    if not studio.photos:
        return ""
    return hashlib.sha256("".join(f"{p.name} {p.stat().st_size}\n" for p in studio.photos).encode()).hexdigest()[:16]


def _check_settings(out: Path, settings: Settings) -> None:
    path = out / "settings.json"
    if path.is_file():
        stored = json.loads(path.read_text())
        if stored != asdict(settings):
            other = [k for k, v in asdict(settings).items() if stored.get(k) != v]
            raise BadInput(
                "other_settings",
                f"{out} holds a data set made with other settings ({', '.join(other)}).",
                "Give the same settings to resume it, or another folder.",
            )
    else:
        _write(path, json.dumps(asdict(settings), indent=2).encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _path(folder: Path, split: int, shard: int) -> Path:
    return folder / f"{SPLITS[split]}-{shard:05d}.npz"


def save_shard(path: Path, samples: list[Sample]) -> None:
    """Write one shard atomically as npz."""
    arrays = {name: np.stack([s.arrays[name] for s in samples]) for name in samples[0].arrays}
    jpegs = [np.frombuffer(s.jpeg, np.uint8) for s in samples]
    labels = json.dumps([s.label for s in samples]).encode()
    with atomic_path(path) as temporary:
        np.savez(
            temporary,
            _jpegs=np.concatenate(jpegs),
            _lengths=np.array([len(j) for j in jpegs]),
            _labels=np.frombuffer(labels, np.uint8),
            **arrays,
        )


_studio: Studio | None = None  # of a worker process


def _init_worker(part: str, size: int, renderer: str, photos: Path | None) -> None:
    global _studio
    _studio = make_studio(part, size, renderer, photos)


def _make_shard(task: tuple[Path, int, int, int, int]) -> int:
    folder, seed, split, shard, rows = task
    assert _studio is not None
    save_shard(_path(folder, split, shard), _studio.shard(seed, split, shard, rows))
    return rows


def _make_shards(studio, settings: Settings, folder: Path, todo, workers: int, photos: Path | None) -> Iterator[int]:
    tasks = [(folder, settings.seed, *task) for task in todo]
    if workers <= 1 or len(tasks) <= 1:
        global _studio
        _studio = studio
        yield from map(_make_shard, tasks)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # inherited by the workers
    context = multiprocessing.get_context("spawn")  # an OpenGL context does not survive a fork
    with context.Pool(
        min(workers, len(tasks)), _init_worker, (settings.part, settings.size, settings.renderer, photos)
    ) as pool:
        yield from pool.imap_unordered(_make_shard, tasks)


def _merge_shards(out: Path, settings: Settings) -> dict:
    """Merge the shards into TSV files and npz; write the card and return it."""
    folder = out / _PARTS
    files: list[Path] = []
    actions: dict[str, int] = {}
    for split, name in enumerate(SPLITS):
        writer = TsvWriter(out, name, settings.size)
        columns: dict[str, list[np.ndarray]] = {}
        for its_split, shard, _ in settings.shards():
            if its_split != split:
                continue
            with np.load(_path(folder, split, shard), allow_pickle=False) as content:
                ends = np.cumsum(content["_lengths"])
                jpegs, labels = content["_jpegs"], json.loads(content["_labels"].tobytes())
                for row, label in enumerate(labels):
                    jpeg = jpegs[ends[row] - content["_lengths"][row] : ends[row]].tobytes()
                    key = f"{settings.part}_{name}_{shard:05d}_{row:03d}"
                    writer.write(key, jpeg, label)
                    columns.setdefault("key", []).append(np.array([key]))
                    actions[label["action"]] = actions.get(label["action"], 0) + 1
                for column in content.files:
                    if not column.startswith("_"):
                        columns.setdefault(column, []).append(content[column])
        files += writer.close()
        npz = out / f"{name}.npz"
        with npz.open("wb") as file:
            np.savez(file, **{k: np.concatenate(v) for k, v in columns.items()})
        files.append(npz)
    card = {
        "name": f"synthetic {settings.part}",
        "licence": "CC0-1.0",
        "settings": asdict(settings),
        "splits": settings.splits(),
        "archetypes": dict(sorted(actions.items())),
        "sha256": {path.name: file_hash(path) for path in sorted(files)},
    }
    (out / "README.md").write_text(_readme(card))
    _write(out / "card.json", json.dumps(card, indent=2).encode())
    shutil.rmtree(folder)
    return card


def _readme(card: dict) -> str:
    settings, splits = card["settings"], card["splits"]
    hands = settings["part"] == "hand"
    joints = "21 joints in FreiHAND's order" if hands else "METRO's 24 joints (`training.synthetic.studio`)"
    lines = [
        f"# {card['name']}: card",
        "",
        f"{settings['count']} images of {settings['size']} x {settings['size']} px: {splits['train']} to train,",
        f"{splits['val']} to validate, {splits['test']} to test.",
        f"Written by `python -m training.synthetic` of Recover Mesh, version {settings['version']}, seed",
        f"{settings['seed']}, renderer {settings['renderer']}.",
        f"Licence CC0-1.0: poses, bodies (open_{'hand' if hands else 'body'}, CC0), textures and backgrounds are",
        "all procedural.",
        *(
            ["Some backgrounds are images of whoever made the set; their licences apply."]
            if settings["backgrounds"]
            else []
        ),
        "",
        "## Files",
        "",
        "`SPLIT.yaml` names `SPLIT.img.tsv`, `.hw.tsv`, `.label.tsv` and `.linelist.tsv` (METRO's format;",
        "`.lineidx` has byte offsets). A label has METRO's fields: `2d_joints` (px, pixel centres at integers,",
        f"visible 0 or 1), `3d_joints` (m, camera frame, confidence), {joints},",
        "`pose`, `betas`, `center`, `scale`, and besides `trans` (m), `camera` (fx fy cx cy px),",
        "`box` (x0 y0 x1 y1 px), `action`. Joints are regressed from the posed mesh of the open body, as in the",
        "evaluation of a network; `smpl_joints3d` in a body's npz are the skeleton's own. A joint is visible where",
        "it is in the image and no object occludes it; self-occlusion does not count.",
        "`SPLIT.npz` holds the same as arrays, without the images. Pose, betas and trans belong to the open body",
        "alone. Splits come from different streams of random numbers. `card.json` has the SHA-256 of every file.",
        "",
        "## Limits",
        "",
        f"Procedural poses around {len(card['archetypes'])} archetypes: plausible, not motion capture. No moving hair",
        "or cloth, no lens distortion, no sample of any population.",
        "",
    ]
    return "\n".join(lines)
