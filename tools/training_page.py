"""`python -m tools.training_page`: write the table of all runs into docs/results-training.md.

From the run files, and from what `tools.overfit_runs` gathered in docs/training-results.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tools.overfit_runs import same_network
from training.commands.listing import numbers
from training.run import load_run, run_names

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "results-training.md"
RESULTS = ROOT / "docs" / "training-results"
BEGIN, END = "<!-- runs: python -m tools.training_page -->", "<!-- end of runs -->"
_MEASURES = ("MPVPE", "PA-MPVPE", "MPJPE", "PA-MPJPE")


def table(results: Path = RESULTS) -> str:
    """Markdown: a line per run."""
    learned, tried = (_read(results / f"{kind}.json") for kind in ("overfit", "dry-run"))
    lines = [
        "| Run | Published, mm | One batch learned by heart | M parameters | Step of 2, CPU s | Seed, commit, log |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in run_names():
        run = load_run(name)
        by = same_network(run)
        row, dry = learned.get(by), tried.get(name) or tried.get(by)
        lines.append(
            f"| `{name}` | {numbers(run)} | {_learned(row, '' if by == name else by)} | {_size(row, dry)} "
            f"| {'' if dry is None else format(dry['seconds'], '.1f')} | {_proof(row)} |"
        )
    return "\n".join(lines)


def _learned(row: dict[str, Any] | None, by: str) -> str:
    if row is None:
        return "not run"
    measure = next((m for m in _MEASURES if m in row["metrics_after"]), "")
    before, after = (row[f"metrics_{when}"].get(measure, float("nan")) for when in ("before", "after"))
    same = f" (same network: `{by}`)" if by else ""
    return (
        f"{row['steps']} steps of {row['samples']}: loss {row['first_loss']:.3g} to {row['last_loss']:.3g}, "
        f"{measure} {before:.0f} to {after:.0f} mm{same}"
    )


def _size(row: dict[str, Any] | None, dry: dict[str, Any] | None) -> str:
    found = row or dry
    return "" if found is None else f"{found['parameters'] / 1e6:.1f}"


def _proof(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"{row['seed']}, `{row['git'].get('commit', '')[:8]}`, `{row['log_sha256'][:8]}`"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def main() -> int:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
