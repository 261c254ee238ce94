"""Reads a run's `log.jsonl`."""

from __future__ import annotations

import json
import math
from pathlib import Path


def read_log(path: Path) -> dict[str, dict[int, float]]:
    """Metric -> step -> value.  An incomplete line of a killed process is skipped."""
    values: dict[str, dict[int, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        for name, value in row.items():
            if name != "step" and isinstance(value, int | float) and math.isfinite(value):
                values.setdefault(name, {})[int(row["step"] or 0)] = float(value)
    return values
