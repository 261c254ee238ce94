"""The bodies by name: the embedded one, and those that the user has imported.  Listing them needs no torch."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.errors import BadInput
from backend.paths import data_dir

OPEN_BODY = Path(__file__).resolve().parent.parent / "assets" / "open_body.npz"
OPEN_NAMES = ("open", "open_body")


@dataclass(frozen=True)
class BodySpec:
    """A body as lists show it."""

    name: str
    label: str
    license: str
    path: Path


def available_bodies() -> list[BodySpec]:
    """The embedded body first, then the imported ones by name.  Cheap: reads names and licences only."""
    specs = [BodySpec("open_body", "Open Body", "CC0-1.0", OPEN_BODY)]
    for path in sorted(_folder().glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as archive:
                license_text = str(archive["license"]) if "license" in archive.files else "unknown"
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            continue  # one damaged file must not hide the others; load_body says what is wrong with it
        specs.append(BodySpec(path.stem, path.stem, license_text, path))
    return specs


def find_body(source: str | Path) -> Path:
    """A name or path -> the file.  Raises BadInput `unknown_body` with the list of names."""
    if str(source) in OPEN_NAMES:
        return available_bodies()[0].path
    path = Path(source)
    if path.suffix or path.is_file():
        return path
    specs = {spec.name: spec.path for spec in available_bodies()}
    if str(source) not in specs:
        raise BadInput(
            "unknown_body",
            f"There is no body {str(source)!r}.",
            f"Choose one of: {', '.join(specs)}; or add yours: recover-mesh bodies import FILE.",
        )
    return specs[str(source)]


def import_body(file: Path, name: str | None = None) -> BodySpec:
    """Validate a body file and keep it, as npz, in the user's folder.  Raises BadInput: bad_name, and `load_body`'s."""
    from backend.body.loader import read_body

    name = name or file.stem
    if not re.fullmatch(r"[\w-][\w.-]{0,63}", name) or name in OPEN_NAMES:
        raise BadInput(
            "bad_name",
            f"{name!r} cannot be the name of a body.",
            "Use letters, digits, '_' and '-', not 'open'.",
        )
    body = read_body(file)
    table = np.stack([body.parents, np.arange(len(body.parents))])
    arrays: dict[str, np.ndarray] = {
        "name": np.array(name),
        "license": np.array(body.license),
        "joint_names": np.array(body.joint_names),
        "v_template": body.v_template,
        "f": body.faces.astype(np.uint32),
        "shapedirs": body.shapedirs,
        "posedirs": body.posedirs,
        "J_regressor": body.joint_regressor,
        "weights": body.weights,
        "kintree_table": table,
    }
    optional = {"uv": body.uv, "uv_faces": body.uv_faces, "part_ids": body.part_ids, "mirror": body.mirror}
    optional |= {"hands_components": body.hand_components, "hands_mean": body.hand_mean}
    optional |= {f"J_regressor_{key}": value for key, value in body.regressors.items()}
    arrays |= {key: value for key, value in optional.items() if value is not None}
    path = _folder() / f"{name}.npz"
    partial = path.with_suffix(".partial")
    with partial.open("wb") as out:
        np.savez_compressed(out, **arrays)
    partial.replace(path)
    return BodySpec(name, name, body.license, path)


def _folder() -> Path:
    folder = data_dir() / "bodies"
    folder.mkdir(exist_ok=True)
    return folder
