"""Weights of MediaPipe's pose network as torch tensors, read from the wheel that the backend installs (Apache-2.0)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.errors import BadInput
from backend.models.backbones.blazepose import BlazePose
from backend.models.checkpoints import load_tensors

_FILE = "modules/pose_landmark/pose_landmark_full.tflite"
_HINT = "Install the backend's version: pip install mediapipe==0.10.21."


def wheel_file() -> Path:
    """The path of pose_landmark_full.tflite.  Raises BadInput `file_missing`."""
    import mediapipe

    path = Path(mediapipe.__file__).parent / _FILE
    if not path.is_file():
        raise BadInput("file_missing", f"MediaPipe's wheel does not contain {_FILE}.", _HINT)
    return path


def load_mediapipe_backbone(backbone: BlazePose) -> Path:
    """Loads the wheel's weights -> their file.  Raises BadInput `file_missing`, `checkpoint_mismatch`."""
    path = wheel_file()
    load_tensors(backbone, blazepose_weights(path), path.name)
    return path


def blazepose_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of `BlazePose` by name, float32.  path: pose_landmark_full.tflite.

    Raises BadInput `checkpoint_mismatch` where the file's convolutions are not those of the module.
    """
    state = BlazePose().state_dict()
    # the file has no scale for its last map: see `BlazePose.calibrate`
    weights: dict[str, Tensor] = {name: state[name] for name in ("offset", "spread", "limit")}
    try:
        for name, pair in zip(_order(state), _convolutions(path), strict=False):
            if name:
                weights |= {f"{name}.weight": pair[0], f"{name}.bias": pair[1]}
    except Exception as error:  # a corrupt flatbuffer can raise anything
        raise BadInput("checkpoint_mismatch", f"{path.name} cannot be read ({error}).", _HINT) from None
    mismatched = [name for name in state if name not in weights or weights[name].shape != state[name].shape]
    if mismatched:
        raise BadInput("checkpoint_mismatch", f"{path.name} is another network: {mismatched[0]} differs.", _HINT)
    return weights


def _order(state: dict[str, Tensor]) -> list[str]:
    """The backbone's convolutions in the file's order; empty where the file has one that the backbone leaves out."""
    names = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]

    def part(prefix: str) -> list[str]:
        return [name for name in names if name.startswith(prefix)]

    order = part("stem.")
    for stage in range(4):
        expand, *rest = part(f"stages.{stage}.")
        side = part(f"lateral.{stage - 1}.") if stage else ["", ""]  # at stride 2: only for the segmentation mask
        order += [expand, *side, *rest]
    heads = [""] * 12  # segmentation mask and heatmaps
    return [*order, *part("top."), *part("lateral.3."), *heads, *part("last."), *part("head.")]


def _convolutions(path: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Weight (outputs, inputs per group, k, k) and bias (outputs,) of every convolution, in the file's order."""
    from mediapipe.tasks.metadata import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    graph = model.subgraphs[0]
    operators = schema.BuiltinOperator
    kinds = [model.operatorCodes[op.opcodeIndex].builtinCode for op in graph.operators]
    # weights are stored as float16 and converted by DEQUANTIZE operators
    stored = {
        op.outputs[0]: op.inputs[0]
        for op, kind in zip(graph.operators, kinds, strict=True)
        if kind == operators.DEQUANTIZE
    }

    def constant(index: int) -> np.ndarray:
        tensor: Any = graph.tensors[stored.get(index, index)]
        kind = {schema.TensorType.FLOAT16: np.float16, schema.TensorType.FLOAT32: np.float32}[tensor.type]
        values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), kind)
        return values.reshape(tensor.shape).astype(np.float32)

    for op, kind in zip(graph.operators, kinds, strict=True):
        if kind in (operators.CONV_2D, operators.DEPTHWISE_CONV_2D):
            weight, bias = constant(op.inputs[1]), constant(op.inputs[2])
            # (outputs, k, k, inputs), and (1, k, k, outputs) channel by channel
            axes = (0, 3, 1, 2) if kind == operators.CONV_2D else (3, 0, 1, 2)
            yield torch.from_numpy(weight.transpose(axes).copy()), torch.from_numpy(bias)
