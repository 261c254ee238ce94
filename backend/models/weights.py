"""Loading, importing and saving network weights, and making test weights."""

from __future__ import annotations

import datetime
import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend.atomic import atomic_path
from backend.body.arrays import BodyArrays
from backend.body.loader import load_body
from backend.body.model import BodyModel
from backend.body.registry import OPEN_BODIES, available_bodies, save_body
from backend.errors import BadInput
from backend.models.adapter import Adapter, adapter_of
from backend.models.checkpoints import file_hash, load_tensors, read_checkpoint
from backend.models.spec import NetworkSpec, how_to_get, network
from backend.models.weights_files import Card, card_text, find_weights, read_card, weights_path
from backend.paths import cannot_save

_JOINTS = {"body": 24, "hand": 16}
# SMPLer's output layers: pose, shape and camera
_PARAMETER_HEADS = re.compile(r"(theta|beta|cam)_predictor\.|\.dec(pose|shape|cam)\.")
TEST_NOTICE = "Test weights: computed by a formula, the bodies are meaningless."


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with weights, on its device, in eval mode."""

    spec: NetworkSpec
    adapter: Adapter
    module: nn.Module
    body: BodyModel
    card: Card


def load_network(name: str, device: str = "cpu", path: Path | None = None) -> LoadedNetwork:
    """The network called `name` with its weights and body.

    path: of the weights file; None takes `find_weights`'.
    Raises BadInput: unknown_model, weights_missing, not_weights, body_mismatch, checkpoint_mismatch.
    """
    spec = network(name)
    path = path or find_weights(name)
    if path is None:
        raise BadInput("weights_missing", f"There are no weights of {spec.label}.", how_to_get(spec))
    card = read_card(path)
    body = load_body(card.body)
    if faces_hash(body) != card.faces:
        raise BadInput(
            "body_mismatch",
            f"The weights of {name} were made for another mesh than that of the body {card.body!r}.",
            f"Import the body that they were trained on as {card.body!r}, or import the weights again.",
        )
    tensors, constants = split(read_checkpoint(path))
    adapter = adapter_of(spec)
    module = adapter.build(spec, body, constants)
    load_tensors(module, tensors, path.name)
    return LoadedNetwork(spec, adapter, module.eval().to(device), body.to(device), card)


def import_weights(name: str, file: Path, *, body: str | None = None, files: Sequence[Path] = ()) -> tuple[Path, Card]:
    """Import an official checkpoint of the network `name` -> path and card of the weights file that was written.

    body: name of the body that the weights were trained on; None takes the body in the file, else the imported one
    that fits.  files: auxiliary files, or folders of them; the checkpoint's own folder is searched too.
    Raises BadInput as `read_checkpoint`, `load_tensors` and the network's adapter do; RecoverMeshError `unwritable`.
    """
    spec = network(name)
    adapter = adapter_of(spec)
    tensors = read_checkpoint(file)
    chosen = None if spec.carries_body and body is None else _choose_body(spec, body)
    imported = adapter.convert(spec, tensors, chosen, _auxiliary([*files, file.parent]))
    notes = ""
    if chosen is None and imported.body is not None:
        chosen, notes = _carried_body(imported.body)
    if chosen is None:
        kind = "MANO hand" if spec.part == "hand" else "SMPL body"
        raise BadInput(
            "body_missing",
            f"The {kind} that the weights of {spec.label} were trained on is not imported.",
            "Import it first: recover-mesh bodies import FILE.",
        )
    module = adapter.build(spec, chosen, imported.constants)
    load_tensors(module, imported.tensors, file.name)
    if notes and imported.body is not None:  # only now, after every check
        save_body(imported.body, chosen.name)
    card = _card(name, chosen, spec.license, file.name, source_sha256=file_hash(file), notes=notes)
    return save_weights(module, imported.constants, card), card


def make_test_weights(name: str, *, seed: int = 0, body: str | None = None) -> tuple[Path, Card]:
    """Write weights computed by a formula, for tests without official files -> path and card.

    body: name of the body; None takes the open one.
    """
    spec = network(name)
    adapter = adapter_of(spec)
    chosen = load_body(body or OPEN_BODIES[spec.part])
    constants = adapter.constants(spec, chosen)
    module = adapter.build(spec, chosen, constants)
    fill_module(module, seed)
    card = _card(name, chosen, f"{TEST_NOTICE} Body: {chosen.license}", f"formula, seed {seed}", testing=True)
    return save_weights(module, constants, card), card


def save_weights(module: nn.Module, constants: Mapping[str, Tensor], card: Card, path: Path | None = None) -> Path:
    """Write a network's state dict, its constants and the card -> the path; raises RecoverMeshError `unwritable`."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = path or weights_path(card.name)
    tensors = {f"net.{name}": value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    tensors |= {f"const.{name}": value.cpu().contiguous() for name, value in constants.items()}
    with atomic_path(path, partial(cannot_save, "The weights")) as temporary:
        try:
            save_file(tensors, temporary, metadata={"card": card_text(card)})
        except SafetensorError as error:  # raised instead of OSError where the disk is full
            raise OSError(str(error)) from error
    return path


def split(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """State dict and constants of a weights file: tensors `net.*` and `const.*` without the prefix."""
    net: dict[str, Tensor] = {}
    constants: dict[str, Tensor] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        (net if kind == "net" else constants)[rest] = value
    return net, constants


def fill_module(module: nn.Module, seed: int) -> None:
    """Fill every parameter with values that depend on its name, shape and `seed` alone."""
    state = module.state_dict()
    for name, value in state.items():
        if value.is_floating_point() and ".init_" not in name:
            state[name] = torch.as_tensor(_filled(name, tuple(value.shape), seed))
            if _PARAMETER_HEADS.search(name):  # small changes, so that poses and shapes stay bounded
                state[name] = 0.0005 * state[name]
            if name.endswith("theta_predictor.bias"):
                state[name] = state[name] + torch.tensor([1.0, 0, 0, 1, 0, 0])
    module.load_state_dict(state)


def _filled(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Normal random values: matrices scaled by 1 / sqrt(inputs), gains near 1, variances above 1, the rest small."""
    rng = np.random.RandomState(zlib.crc32(f"{seed}:{name}".encode()))
    values = rng.standard_normal(shape).astype(np.float32)
    leaf = name.rpartition(".")[2]
    if leaf == "running_var":
        return 1 + 0.1 * np.abs(values)
    if len(shape) >= 2:
        return (values / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
    return 1 + 0.1 * values if leaf == "weight" else 0.1 * values


def faces_hash(body: BodyModel | BodyArrays) -> str:
    """Hash of a body's vertex count and faces, 32 hexadecimal digits."""
    faces = np.ascontiguousarray(np.asarray(torch.as_tensor(body.faces).cpu()), np.int64)
    return hashlib.sha256(len(body.v_template).to_bytes(8, "little") + faces.tobytes()).hexdigest()[:32]


def _carried_body(body: BodyArrays) -> tuple[BodyModel, str]:
    """A checkpoint's body and a note for the card: the equal imported body, else this one under a free name."""
    names = {spec.name for spec in available_bodies()}
    for name in sorted(names - set(OPEN_BODIES.values())):
        known = load_body(name)
        template = known.v_template.numpy()
        if faces_hash(known) == faces_hash(body) and np.abs(template - body.v_template).max() < 1e-4:
            return known, ""
    free = next(name for name in ("smpl", *(f"smpl{k}" for k in range(2, 1000))) if name not in names)
    return BodyModel(replace(body, name=free)), "The body came with the checkpoint."


def _choose_body(spec: NetworkSpec, name: str | None) -> BodyModel | None:
    """The body called `name`, else the imported body with this part's joints; None where there is none."""
    joints = _JOINTS[spec.part]
    if name is None:
        # no official weights were trained on the open bodies
        own = [load_body(known.name) for known in available_bodies() if known.name not in OPEN_BODIES.values()]
        fitting = [body for body in own if len(body.parents) == joints]
        if len({faces_hash(body) for body in fitting}) > 1:
            names = ", ".join(body.name for body in fitting)
            raise BadInput("body_unclear", f"Several imported bodies fit: {names}.", "Name one with --body.")
        return fitting[0] if fitting else None
    body = load_body(name)
    if len(body.parents) != joints:
        raise BadInput(
            "body_mismatch",
            f"{spec.label} needs a {spec.part} of {joints} joints, {name!r} has {len(body.parents)}.",
            "Name another body with --body.",
        )
    return body


def _auxiliary(paths: Sequence[Path]) -> list[Path]:
    """The given files, and the files in the given folders."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(p for p in path.iterdir() if p.is_file())
        elif path.is_file():
            files.append(path)
        else:
            raise BadInput("file_missing", f"There is no file or folder {path}.", "Check what follows --with.")
    return files


def _card(name: str, body: BodyModel, license_text: str, source: str, **more: Any) -> Card:
    made = datetime.date.today().isoformat()
    return Card(name, body.name, faces_hash(body), license_text, source, made=made, **more)
