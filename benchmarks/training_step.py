"""`python -m benchmarks.training_step`: samples per second of loaders and training steps, against eager float32.

Uses generated files and the open body.  Rates are by CPU time of one thread, on a GPU by wall time.  Machines are
noisy: compare rows of one run, not runs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
RUNS = (
    "fastmetro-s-r50-mixed",
    "smpler-mixed",
    "deformer-r50",
    "pose2mesh-human36m-posenet",
    "pose2mesh-human36m-full",
    "fastmetro-small",
    "smpler-small",
    "deformer-small",
)


@dataclass(frozen=True)
class Row:
    """One measured step or loader.  ms: of the fastest repetition.  part: `loader`, or how the step is computed."""

    run: str
    part: str
    batch: int
    ms: float
    note: str = ""

    @property
    def rate(self) -> float:
        """Samples per second."""
        return 1000 * self.batch / self.ms


def rows_of(name: str, folder: Path, batch: int, device: str, repeat: int) -> list[Row]:
    """Rows of the loader and the steps of one run."""
    from training.engine.dry_run import with_generated_data
    from training.run.build import build_module
    from training.run.build_data import build_datamodule
    from training.run.spec import load_run

    run = with_generated_data(load_run(name), folder, batch)
    built = build_module(run)
    source = build_datamodule(run, folder, built.body, check_rows=0)
    source.setup("fit")
    records = source.sets["train"][0]
    clock = time.perf_counter if device == "cuda" else time.process_time

    import numpy as np

    def load() -> None:
        source.prepare(records[0], np.random.default_rng(0))

    results = [Row(name, "loader", 1, best_ms(load, time.process_time, max(repeat, 5)))]
    items = [source.prepare(records[k % len(records)], np.random.default_rng(k)) for k in range(batch)]
    stacked: dict[str, Any] = torch.utils.data.default_collate(items)
    module: Any = built.module.to(device).train()
    module.log_dict = lambda *args, **kwargs: None
    moved = {key: value.to(device) for key, value in stacked.items()}
    for part, ms, note in steps(module, moved, device, clock, repeat):
        results.append(Row(name, part, batch, ms, note))
    return results


def steps(
    module: Any, batch: dict[str, torch.Tensor], device: str, clock: Callable[[], float], repeat: int
) -> list[tuple[str, float, str]]:
    """(variant, ms, note) of a step (forward, losses, backward, optimiser), per variant."""
    parameters = [p for p in module.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, 1e-6)

    def one_step(mixed_precision: bool) -> None:
        amp = torch.autocast(device, torch.bfloat16) if mixed_precision else nullcontext()
        optimizer.zero_grad(set_to_none=True)
        with amp:
            loss = module.training_step(batch, 0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 0.3)
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    results = [("eager float32", best_ms(lambda: one_step(False), clock, repeat), "")]
    if "image" in batch:
        module.model.to(memory_format=torch.channels_last)
        batch = batch | {"image": batch["image"].to(memory_format=torch.channels_last)}
        results.append(("channels_last", best_ms(lambda: one_step(False), clock, repeat), ""))
    if device == "cuda":  # most CPUs only emulate bfloat16
        results.append(("channels_last bf16", best_ms(lambda: one_step(True), clock, repeat), ""))
    return results


def best_ms(work: Callable[[], None], clock: Callable[[], float], repeat: int) -> float:
    """ms of the fastest of `repeat` calls, after a warm-up."""
    work()
    times = []
    for _ in range(repeat):
        began = clock()
        work()
        times.append(clock() - began)
    return 1000 * min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", default=RUNS, help="one of each kind by default; `all`: every run")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=2)
    args = parser.parse_args()
    from training.run.spec import run_names

    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    results: list[Row] = []
    for name in run_names() if args.runs == ["all"] else args.runs:
        with tempfile.TemporaryDirectory() as folder:
            rows = rows_of(name, Path(folder), args.batch, device, args.repeat)
        results += rows
        eager = next(row.ms for row in rows if row.part == "eager float32")
        for row in rows:
            ratio = f"{eager / row.ms:6.2f}x" if row.part != "loader" else ""
            print(
                f"{name:28}{row.part:22}{row.ms:10.1f} ms{row.rate:10.2f} samples/s {ratio} {row.note}",
                flush=True,
            )
    out = ROOT / "out" / "bench_training.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"device": device, "rows": [asdict(row) for row in results]}, indent=1))


if __name__ == "__main__":
    main()
