"""Metrics of two real processes equal those of one, also where one has fewer samples."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import sys, torch, torch.distributed as dist
torch.set_num_threads(1)
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
from training.evaluation.protocols import PROTOCOLS, Evaluator
rng = torch.Generator().manual_seed(0)
pred, gt = (torch.randn(7, 14, 3, generator=rng) for _ in range(2))
valid = torch.tensor([1, 1, 0, 1, 0, 1, 1]).bool()
mine = Evaluator(PROTOCOLS["synthetic"], upstream_quirks=False)
rows = slice(0, 5) if rank == 0 else slice(5, 7)
mine.update(pred[rows], gt[rows], valid[rows], pred[rows], gt[rows], valid[rows])
shared = mine.compute()
dist.destroy_process_group()
alone = Evaluator(PROTOCOLS["synthetic"], upstream_quirks=False)
alone.update(pred, gt, valid, pred, gt, valid)
for name, value in alone.compute().items():
    torch.testing.assert_close(shared[name], value)
print("equal", len(shared))
"""


@pytest.mark.slow
def test_two_processes(tmp_path):
    root = Path(__file__).parents[3]
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(rank), str(tmp_path / "meet")],
            cwd=root,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for run in runs:
        out, errors = run.communicate()
        assert run.returncode == 0, errors
        assert out.strip() == "equal 3"
