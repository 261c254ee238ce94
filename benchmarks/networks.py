"""`python -m benchmarks.networks`: our engine against the same network in eager mode, in one run.

Reference: the network as it is trained (batch norms unfolded, default memory layout, no cached constants, Pose2Mesh
with its fake nodes), autograd off.  Weights are random; vertices are compared on the same inputs.  Times are CPU time
over the number of threads, the best of several interleaved rounds, so that other load hardly changes them.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

# waiting threads must not use CPU time; read when torch is loaded
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor, nn

from backend.body.loader import load_body
from backend.body.registry import OPEN_BODIES
from backend.models.adapter import adapter_of
from backend.models.inference.engine import Engine, EngineOptions
from backend.models.inference.network_model import predict_tensors
from backend.models.pose2mesh.joint_sets import POSE_SETS
from backend.models.pose2mesh.network import Pose2Mesh
from backend.models.spec import network
from backend.models.weights import fill_module

NAMES = ("fastmetro-s-r50", "fastmetro-l-h64", "smpler-w32", "smpler-w48", "deformer-w48", "pose2mesh-coco")
GOALS = {"exact fp32": 1.5, "bf16": 2.5}
Row = dict[str, Any]


def rows(names: tuple[str, ...] = NAMES, batches: tuple[int, ...] = (1, 8), rounds: int = 5) -> list[Row]:
    """A row per network, batch size and option: images/s of both, their ratio, largest vertex difference in mm."""
    results: list[Row] = []
    for name in names:
        module, run, example = _network(name)
        variants: dict[str, Callable[[Tensor], dict[str, Tensor]]] = {"reference": partial(_reference, module, run)}
        for label, options in (("exact fp32", EngineOptions()), ("bf16", EngineOptions("bf16"))):
            variants[label] = Engine(_network(name)[0], run, options, example(2))
        for batch in batches:
            inputs = example(batch)
            outputs = {label: call(inputs)["vertices"] for label, call in variants.items()}
            seconds = _interleaved(variants, inputs, rounds)
            for label in GOALS:
                difference = (outputs[label] - outputs["reference"]).norm(dim=-1).max()
                results.append(
                    {
                        "network": name,
                        "batch": batch,
                        "option": label,
                        "reference /s": batch / seconds["reference"],
                        "ours /s": batch / seconds[label],
                        "ratio": seconds["reference"] / seconds[label],
                        "goal": GOALS[label],
                        "max difference mm": float(difference) * 1000,
                        "% of body": 100 * float(difference / _extent(outputs["reference"])),
                    }
                )
    return results


def _extent(vertices: Tensor) -> Tensor:
    """Diagonal of the box around the largest body, m; with random weights it has any size."""
    return (vertices.amax(1) - vertices.amin(1)).norm(dim=-1).max()


def _network(
    name: str,
) -> tuple[nn.Module, Callable[[nn.Module, Tensor], dict[str, Tensor]], Callable[[int], Tensor]]:
    spec = network(name)
    adapter, body = adapter_of(spec), load_body(OPEN_BODIES[spec.part])
    module = adapter.build(spec, body, adapter.constants(spec, body)).eval().requires_grad_(False)
    fill_module(module, 0)
    size = adapter.input_size(spec)

    def example(count: int) -> Tensor:
        generator = torch.Generator().manual_seed(count)
        if size is not None:
            return torch.randn(count, 3, *size, generator=generator)
        return torch.randn(count, len(POSE_SETS[adapter.pose_set(spec) or ""].joints), 2, generator=generator)

    return module, partial(predict_tensors, adapter=adapter, body=body), example


@torch.inference_mode()
def _reference(
    module: nn.Module, run: Callable[[nn.Module, Tensor], dict[str, Tensor]], inputs: Tensor
) -> dict[str, Tensor]:
    if isinstance(module, Pose2Mesh):
        return module(inputs, fake_nodes=True)
    return run(module, inputs)


def _interleaved(calls: dict[str, Callable[[Tensor], Any]], inputs: Tensor, rounds: int) -> dict[str, float]:
    """Best time of each, s; interleaved, so that other load affects all of them."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for label, call in calls.items():
            start = time.process_time()
            call(inputs)
            best[label] = min(best[label], (time.process_time() - start) / torch.get_num_threads())
    return best


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=NAMES, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    results = rows(tuple(args.networks), rounds=args.rounds)
    table = Table(*results[0])
    for row in results:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
