"""`python -m benchmarks.attention`: the implementations of DeFormer's two attentions, compared in one run.

Every case has a process of its own.  Memory: growth of its resident set (on CUDA: of the allocator) over inputs and
pattern.  Time: the best of several runs.  Machines are noisy: compare rows of one run, not runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEVELS = {445: 2, 1737: 1, 6904: 0}  # tokens -> level of the open body's mesh
ATTENTION = ("math", "sdpa", "tiles", "flex")
SAMPLING = ("bag", "grid_sample")
HEADS, WIDTH, POINTS = 8, 32, 4
SHAPES = ((64, 64), (32, 32), (16, 16), (8, 8), (1, 1))
THREADS = 2
_SECONDS = 2.0  # spent on repeating one case


@dataclass(frozen=True)
class Row:
    """One case.  ms and mb are None where it cannot run, and `note` says why."""

    part: str  # `attention` or `sampling`
    backend: str
    tokens: int
    train: bool  # forward and backward, or forward alone
    ms: float | None = None
    mb: float | None = None
    note: str = ""


def rows(tokens: tuple[int, ...] = tuple(LEVELS), device: str = "cpu") -> list[Row]:
    """Every case, run one after the other; about two minutes on two cores."""
    cases = [
        Row(part, backend, count, train)
        for part, backends in (("attention", ATTENTION), ("sampling", SAMPLING))
        for count in tokens
        for train in (False, True)
        for backend in backends
    ]
    return [_in_subprocess(case, device) for case in cases]


def _in_subprocess(case: Row, device: str) -> Row:
    command = [sys.executable, "-m", "benchmarks.attention", "--case", json.dumps(asdict(case))]
    done = subprocess.run([*command, "--device", device], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return Row(case.part, case.backend, case.tokens, case.train, note=last[:100])
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def measure(case: Row, device: str) -> Row:
    """The case with its time and memory, measured in this process."""
    import torch

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    inputs, run = (_attention if case.part == "attention" else _sampling)(case, device)

    def peak() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
            return torch.cuda.max_memory_allocated() / 2**20
        return peak_resident_mb()

    def run_once() -> float:
        began = time.perf_counter()
        if case.train:
            run(*inputs).sum().backward()
            for x in inputs:
                x.grad = None
        else:
            with torch.no_grad():
                run(*inputs)
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    reset_peak()
    before = peak()
    times = [run_once()]
    peak_growth = peak() - before
    limit = time.perf_counter() + _SECONDS
    while len(times) < 3 or (time.perf_counter() < limit and len(times) < 50):
        times.append(run_once())
    best = min(times[1:]) * 1e3
    return Row(case.part, case.backend, case.tokens, case.train, round(best, 2), round(peak_growth, 1))


def reset_peak() -> None:
    """Reset the peak of the resident set (Linux; elsewhere an earlier peak hides small cases)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_resident_mb() -> float:
    """Peak of the resident set since the last reset, MB."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _attention(case: Row, device: str):  # type: ignore[no-untyped-def]
    import torch

    from backend.body.loader import load_body
    from backend.body.mesh_levels import body_levels
    from backend.models.deformer.sparse_attention import flex_unusable, sparse_attention
    from backend.models.deformer.sparse_pattern import mesh_pattern

    body = load_body("open")
    levels = body_levels(body.v_template.numpy(), body.faces.numpy())
    pattern = mesh_pattern(levels.adjacency[LEVELS[case.tokens]]).to(device)
    if case.backend != "tiles":
        pattern.allowed()
    shape = (1, case.tokens, HEADS, WIDTH)  # as linear layers leave them
    inputs = [torch.randn(shape, device=device).requires_grad_(case.train) for _ in range(3)]
    reason = flex_unusable(inputs[0], inputs[1], inputs[2]) if case.backend == "flex" else ""
    if reason:
        raise SystemExit(reason)

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return sparse_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), pattern, case.backend)

    return inputs, attend


def _sampling(case: Row, device: str):  # type: ignore[no-untyped-def]
    import torch

    from backend.models.deformer.deformable_attention import sample_maps

    pixels = sum(h * w for h, w in SHAPES)
    shape = (1, case.tokens, HEADS, len(SHAPES), POINTS)
    size = torch.tensor([[[w, h]] for h, w in SHAPES], device=device)
    offsets = torch.randn(*shape, 2, device=device) * 2 / size
    values = torch.randn(1, pixels, HEADS, WIDTH, device=device)
    locations = torch.rand(1, case.tokens, 1, 1, 1, 2, device=device) + offsets
    weights = torch.rand(shape, device=device)
    inputs = [x.requires_grad_(case.train) for x in (values, locations, weights)]
    return inputs, lambda v, x, w: sample_maps(v, SHAPES, x, w, case.backend)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--tokens", type=int, nargs="*", choices=tuple(LEVELS), default=tuple(LEVELS))
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(asdict(measure(Row(**json.loads(options.case)), options.device))))
        return
    print(f"{options.device}, {THREADS} threads, {HEADS} heads of {WIDTH}, float32, batch 1")
    print(f"{'part':<11}{'tokens':>7}  {'pass':<17}{'backend':<12}{'ms':>10}{'MB':>9}")
    for row in rows(tuple(options.tokens), options.device):
        direction = "forward+backward" if row.train else "forward"
        numbers = f"{row.ms:>10.1f}{row.mb:>9.0f}" if row.ms is not None else f"  {row.note}"
        print(f"{row.part:<11}{row.tokens:>7}  {direction:<17}{row.backend:<12}{numbers}")


if __name__ == "__main__":
    main()
