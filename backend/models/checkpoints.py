"""Reading checkpoint files into named tensors, and loading tensors into a network with every difference reported.

No code in a file is executed: it is safetensors, or a torch file with tensors and plain values only.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend.errors import BadInput

_WRAPPERS = ("model_state_dict", "state_dict", "model")  # Pose2Mesh; Lightning and HRNet; SMPLer
_PREFIX = "module."  # added by DataParallel
_MAX_NAMES = 6  # per list in a message
_COUNTER = ".num_batches_tracked"  # of batch norm: unused here, and absent from files of old torch versions


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Named tensors of a checkpoint file; the state dict is unwrapped from the trainers' dictionaries.

    Raises BadInput: file_missing, refused_pickle (the file would run code, or contains Python objects),
    not_a_checkpoint.
    """
    if not path.is_file():
        raise BadInput("file_missing", f"There is no file {path}.", "Give the path of a checkpoint.")
    with path.open("rb") as file:
        head = file.read(64)
    if head.lstrip()[:1] == b"<" or head.startswith(b"version https://git-lfs"):
        raise _not_a_checkpoint(path, "it is a web page or a Git LFS pointer, not the file itself")
    # safetensors: 8 bytes of header length, then JSON
    is_safetensors = head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size
    content = _read_safetensors(path) if is_safetensors else _read_torch(path)
    for _ in range(2):
        for key in _WRAPPERS:
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise _not_a_checkpoint(path, "it holds no tensors")
    if all(name.startswith(_PREFIX) for name in tensors):
        tensors = {name[len(_PREFIX) :]: value for name, value in tensors.items()}
    return tensors


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Load `tensors` into `module`; names and shapes must be exactly those of its state dict.

    name: of the file or model, for the message.  Raises BadInput `checkpoint_mismatch` that lists tensors that are
    missing, unexpected, misshapen, or contain NaN or infinite values; the module is unchanged then.
    """
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in tensors and not key.endswith(_COUNTER)]
    unexpected = [key for key in tensors if key not in wanted]
    misshapen = [
        f"{key} is {_shape(tensors[key])}, expected {_shape(value)}"
        for key, value in wanted.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    broken = [key for key, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    problems = [
        f"{len(keys)} {what}: {', '.join(keys[:_MAX_NAMES])}{', …' if len(keys) > _MAX_NAMES else ''}"
        for what, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("misshapen", misshapen),
            ("with NaN or infinite values", broken),
        )
        if keys
    ]
    if problems:
        raise BadInput(
            "checkpoint_mismatch",
            f"{name} does not fit the network of {len(wanted)} tensors: {'; '.join(problems)}.",
            "Check that the file is of this model and variant (see `recover-mesh models`), and complete.",
        )
    module.load_state_dict({key: tensors.get(key, value) for key, value in wanted.items()})


def _shape(value: Tensor) -> str:
    return "x".join(str(n) for n in value.shape) or "a single value"


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except Exception as error:  # a corrupt file can raise anything
        raise _not_a_checkpoint(path, f"{type(error).__name__}: {error}") from None


def _numpy_values() -> list[Any]:
    """numpy's scalar types, which `weights_only` refuses by default; Pose2Mesh's training log contains them."""
    types = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "b1")}
    scalar = np.float64(0).__reduce__()[0]  # its module's name differs between numpy 1 and 2
    return [*((scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")), np.dtype, *types]


def _read_torch(path: Path) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals(_numpy_values()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadInput(
            "refused_pickle",
            f"{path.name} was refused: a checkpoint may contain tensors and plain values only ({_first_line(error)}).",
            "If you trust its source, save only its state_dict where it was made: "
            "torch.save(model.state_dict(), FILE).",
        ) from None
    except Exception as error:  # a corrupt file can raise anything
        raise _not_a_checkpoint(path, f"{type(error).__name__}: {_first_line(error)}") from None
    if not isinstance(content, Mapping):
        raise _not_a_checkpoint(path, f"it contains a {type(content).__name__}")
    return dict(content)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line in lines:
        if "GLOBAL" in line or "Unsupported" in line:
            return line[:200]
    return (lines or ["no reason given"])[0][:200]


def _not_a_checkpoint(path: Path, reason: str) -> BadInput:
    return BadInput(
        "not_a_checkpoint",
        f"{path.name} is not a readable checkpoint ({reason}).",
        "Give a .safetensors file, or a torch file of a state_dict; download it again if it is corrupt.",
    )
