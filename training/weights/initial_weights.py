"""Loads initial weights: backbones in their authors' formats, official networks, weights of our own runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from backend.errors import BadInput
from backend.models.checkpoints import load_tensors, read_checkpoint

# children of torchvision's ResNet -> of FastMETRO's sequential one
_SEQUENTIAL = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


@dataclass(frozen=True)
class LoadReport:
    """What was loaded from a file.

    tensors: how many were loaded.  missing_keys: the network's tensors that keep their random values.
    """

    tensors: int
    missing_keys: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.missing_keys[:4]) + (", …" if len(self.missing_keys) > 4 else "")
        return f"{self.tensors} tensors" + (
            f"; random values stay in {len(self.missing_keys)}: {shown}" * bool(self.missing_keys)
        )


def load_network(model: nn.Module, path: Path) -> LoadReport:
    """Loads a full network (or Pose2Mesh's lifter alone), ours or official, by name and shape.

    A file may lack a top-level part of the network, e.g. the SMPL regressor or MeshNet, but no single tensors.
    Raises BadInput `checkpoint_mismatch`, `not_a_checkpoint`, `refused_pickle`, `file_missing`.
    """
    tensors = {name: value for name, value in read_checkpoint(path).items() if not name.startswith("const.")}
    tensors = {name.removeprefix("net."): value for name, value in tensors.items()}
    expected = model.state_dict()
    if not any(name in expected for name in tensors):  # a file of the lifter alone has no prefix
        tensors = {f"pose_lifter.{name}": value for name, value in tensors.items()}
    tensors = {name: value for name, value in tensors.items() if not name.startswith("smpl_handler.")}
    present = {name.partition(".")[0] for name in tensors}
    missing_keys = tuple(name for name in expected if name.partition(".")[0] not in present)
    complete = {name: expected[name] for name in missing_keys} | tensors
    load_tensors(model, complete, path.name)
    return LoadReport(len(tensors), missing_keys)


def load_backbone(backbone: nn.Module, path: Path) -> LoadReport:
    """Loads ImageNet or 2D-pose weights without their heads.

    Raises BadInput `checkpoint_mismatch` where a shape differs, or where the file has less than half of the backbone.
    """
    expected = backbone.state_dict()
    tensors = _matching(expected, read_checkpoint(path))
    misshapen = [name for name, value in tensors.items() if value.shape != expected[name].shape]
    needed = [name for name in expected if not name.endswith("num_batches_tracked")]
    if misshapen or 2 * sum(name in tensors for name in needed) < len(needed):
        what = f"{misshapen[0]} has another shape" if misshapen else "most of the backbone's tensors are not in it"
        raise BadInput(
            "checkpoint_mismatch",
            f"{path.name} does not fit the backbone: {what}.",
            "Give the file that the run's `start.what` names.",
        )
    load_tensors(backbone, expected | tensors, path.name)
    return LoadReport(len(tensors), tuple(name for name in needed if name not in tensors))


def _matching(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The file's tensors by the backbone's names: of the usual namings the one that matches most of them."""

    def sequential(name: str) -> str:
        first, dot, rest = name.removeprefix("backbone.").partition(".")
        return _SEQUENTIAL.get(first, first) + dot + rest

    renamings: list[Callable[[str], str]] = [str, lambda name: name.removeprefix("backbone."), sequential]
    candidates = [{rename_key(name): value for name, value in tensors.items()} for rename_key in renamings]
    best = max(candidates, key=lambda names: sum(name in expected for name in names))
    return {name: value for name, value in best.items() if name in expected}
