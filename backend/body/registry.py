"""The registry of bodies by name, embedded and imported.  Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backend.atomic import atomic_path
from backend.errors import BadInput, RecoverMeshError
from backend.paths import cannot_save, data_dir

if TYPE_CHECKING:
    from backend.body.arrays import BodyArrays

_ASSETS = Path(__file__).resolve().parent.parent / "assets"
OPEN_BODY = _ASSETS / "open_body.npz"
OPEN_HAND = _ASSETS / "open_hand.npz"  # a right hand in MANO's format
OPEN_BODIES = {"body": "open_body", "hand": "open_hand"}  # by `BodyArrays.part`
OPEN_NAMES = ("open", "open_body")
LEFT = "_left"  # appended to the name of a right hand: its mirror image
RESERVED = (*OPEN_NAMES, "open_hand", "open_hand" + LEFT)


@dataclass(frozen=True)
class BodySpec:
    """A body's entry in the registry; `label` is its display name."""

    name: str
    label: str
    license: str
    path: Path


def available_bodies() -> list[BodySpec]:
    """The embedded body and hand, then the imported ones by name.  Cheap: of the files only licences are read."""
    specs = [
        BodySpec("open_body", "Open Body", "CC0-1.0", OPEN_BODY),
        BodySpec("open_hand", "Open Hand", "CC0-1.0", OPEN_HAND),
    ]
    for path in sorted(_imported()):
        try:
            with np.load(path, allow_pickle=False) as archive:
                license_text = str(archive["license"]) if "license" in archive.files else "unknown"
        except Exception:
            continue  # a damaged file must not hide the others; `load_body` reports its error
        specs.append(BodySpec(path.stem, path.stem, license_text, path))
    return specs


def find_body(source: str | Path) -> Path:
    """The file of a body's name, or the path itself.  Raises BadInput `unknown_body`, which lists the names."""
    if str(source) in OPEN_NAMES:
        return OPEN_BODY
    specs = {spec.name: spec.path for spec in available_bodies()}
    path = Path(source)
    if str(source) not in specs and (path.suffix or path.is_file()):
        return path
    if str(source) not in specs:
        raise BadInput(
            "unknown_body",
            f"There is no body {str(source)!r}.",
            f"Choose one of: {', '.join(specs)}; or add yours: recover-mesh bodies import FILE.",
        )
    return specs[str(source)]


def right_hand_of(source: str | Path) -> Path | None:
    """The file of NAME for `NAME_left`; None for other names, and where a body was imported as `NAME_left`."""
    names = {spec.name: spec.path for spec in available_bodies()}
    return None if str(source) in names else names.get(str(source).removesuffix(LEFT))


# file name of an official joint regressor -> joint set
REGRESSOR_FILES = {
    "J_regressor_h36m_correct.npy": "h36m17",
    "J_regressor_coco.npy": "coco17",
    "J_regressor_3dpw.npy": "h36m17_3dpw",
}


def save_body(body: BodyArrays, name: str) -> BodySpec:
    """Save a validated body as `name` in the user's folder -> its entry.  Raises RecoverMeshError `unwritable`."""
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
    path = data_dir() / "bodies" / f"{name}.npz"
    with atomic_path(path, partial(cannot_save, "The body")) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
    return BodySpec(name, name, body.license, path)


def _imported() -> list[Path]:
    try:
        return list((data_dir() / "bodies").glob("*.npz"))
    except RecoverMeshError:
        return []  # the embedded bodies need no data folder
