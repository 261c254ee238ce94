"""Medians of a run's metrics over its seeds."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from backend.errors import BadInput


@dataclass(frozen=True)
class Median:
    """One metric over the seeds of a run."""

    metric: str
    median: float
    values: dict[str, float]  # folder of the seed -> value

    @property
    def spread(self) -> float:
        """Largest minus smallest."""
        return max(self.values.values()) - min(self.values.values())


def seed_medians(folder: Path) -> list[Median]:
    """One `Median` per metric.  folder: of a run, with `seed-*/results.json`, as `test` writes it.

    With an even number of seeds it is the lower of the two middle values, so that some run has reached it.
    Raises BadInput `no_results`.
    """
    values_by_metric: dict[str, dict[str, float]] = {}
    for path in sorted(folder.glob("seed-*/results.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for metric, value in content["metrics"].items():
            values_by_metric.setdefault(metric, {})[path.parent.name] = float(value)
    if not values_by_metric:
        raise BadInput(
            "no_results",
            f"There are no results below {folder}.",
            "Run `python -m training test RUN --seed N` for every seed first.",
        )
    return [
        Median(metric, statistics.median_low(values.values()), values)
        for metric, values in sorted(values_by_metric.items())
    ]
