"""Tiny data sets in METRO's TSV format, plain and composite, bodies and hands."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from training.datasets.tiny.people import SIZE, Person, bodies, hands
from training.datasets.tsv import write_lineidx

_YAML = YAML(typ="safe", pure=True)


def write_tsv(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """One plain set, `human3.6m/train.yaml`."""
    return {"kind": "tsv", "path": str(_plain(folder / "human3.6m", bodies(count, seed))), "body": "open"}


def write_tsv_hand(folder: Path, count: int, seed: int) -> dict[str, Any]:
    path = _plain(folder / "freihand", hands(count, seed), (224, 224))
    return {"kind": "tsv", "path": str(path), "body": "open_hand"}


def write_tsv_mix(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """A composite of three sets as `Tax-H36m-coco40k-Muco-UP-Mpii/train.yaml`: full labels, no 3D, 2D only."""
    kept = {"human3.6m": ("3d", "smpl"), "coco_smpl": ("smpl",), "mpii": ()}
    for k, (name, parts) in enumerate(kept.items()):
        _plain(folder / name, bodies(count, seed + k), keep=parts)
    mix = folder / "Tax-H36m-coco40k-Muco-UP-Mpii"
    mix.mkdir(exist_ok=True)
    config: dict[str, Any] = {"composite": True, "linelist": "train.linelist.tsv"}
    config |= {part: [f"../{name}/train.{part}.tsv" for name in kept] for part in ("img", "hw", "label")}
    _YAML.dump(config, mix / "train.yaml")
    lines = [f"{k}\t{row}\n" for k in range(len(kept)) for row in range(count)]
    (mix / "train.linelist.tsv").write_text("".join(lines))
    return {"kind": "tsv", "path": str(mix / "train.yaml"), "body": "open"}


def _plain(
    folder: Path, people: Sequence[Person], size: tuple[int, int] = SIZE, keep: Sequence[str] = ("3d", "smpl")
) -> Path:
    """Writes `folder/train.yaml` and its files -> its path."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = [f"S{1 + p.index % 2}_Walking_{p.index:06d}.jpg" for p in people]
    images = [base64.b64encode(p.jpeg(size)) for p in people]
    _rows(folder / "train.img.tsv", keys, images)
    _rows(folder / "train.hw.tsv", keys, [_json([{"height": size[1], "width": size[0]}]) for _ in people])
    _rows(folder / "train.label.tsv", keys, [_json([label(p, keep)]) for p in people])
    (folder / "train.linelist.tsv").write_text("".join(f"{k}\n" for k in range(len(people))))
    config = {part: f"train.{part}.tsv" for part in ("img", "hw", "label", "linelist")}
    _YAML.dump({**config, "composite": False}, folder / "train.yaml")
    return folder / "train.yaml"


def label(person: Person, keep: Sequence[str] = ("3d", "smpl")) -> dict[str, Any]:
    """A label as METRO's conversion writes it; 3D relative to the root joint."""
    kind, root = ("hand21", 0) if len(person.pose) == 48 else ("metro24", 14)
    box, points, joints = person.box(), person.joints2d(kind), person.joints3d(kind)
    has3d, has_smpl = "3d" in keep, "smpl" in keep
    return {
        "center": ((box[:2] + box[2:]) / 2).tolist(),
        "scale": float(1.2 * (box[2:] - box[:2]).max() / 200),
        "2d_joints": [_column(points).tolist()],
        "3d_joints": [(_column(joints - joints[root]) if has3d else np.zeros((len(joints), 4))).tolist()],
        "has_2d_joints": 1,
        "has_3d_joints": int(has3d),
        "has_smpl": int(has_smpl),
        "pose": (person.pose if has_smpl else np.zeros(len(person.pose))).tolist(),
        "betas": (person.betas if has_smpl else np.zeros(10)).tolist(),
    }


def _column(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.ones((len(points), 1))], 1)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _rows(path: Path, keys: Sequence[str], columns: Sequence[bytes]) -> None:
    path.write_bytes(b"".join(k.encode() + b"\t" + c + b"\n" for k, c in zip(keys, columns, strict=True)))
    write_lineidx(path)
