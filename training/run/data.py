"""The data of a run for Lightning: its sets, its mixture and its preparer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from backend.body.model import BodyModel
from backend.errors import BadInput
from training.datasets.base import BaseSet
from training.datasets.datamodule import RecordData
from training.datasets.kinds import build_set, class_of
from training.datasets.loader import Damage, PreparedSet, Preparer
from training.run.registry import PREPARERS, look_up, make_with, takes
from training.run.spec import Run, SetSpec


def make_data(run: Run, root: Path, body: BodyModel | None = None, check_rows: int = 8) -> RecordData:
    """Sets are opened by `setup`.  Raises BadInput for settings that a preparer does not take."""
    training = run.training
    return RecordData(
        make_preparer(run, body, train=True),
        train=training_table(run),
        validation=[table_of(spec, run) for spec in run.data.validate],
        batch_size=training.batch,
        prepare_evaluation=make_preparer(run, body, train=False),
        workers=run.data.workers,
        seed=run.seed,
        root=root,
        drop_last=training.drop_last,
        check_rows=check_rows,
        same=training.keep_maps,
    )


def make_preparer(run: Run, body: BodyModel | None, train: bool) -> Preparer:
    """The run's preparer, for training or for evaluation."""
    file = Path(run.file).name
    settings = dict(run.data.prepare)
    make = look_up(PREPARERS, str(settings.pop("kind", "")), file, "data.prepare.kind")
    more = {"body": body, "upstream_quirks": run.upstream_quirks, "train": train}
    given = {name: value for name, value in more.items() if takes(make, name)}
    return make_with(make, settings, file, "data.prepare", **given)


def table_of(spec: SetSpec, run: Run) -> dict[str, Any]:
    """As `training.datasets.kinds.build_set` takes it: body and quirks are those of the run."""
    more = {"body": run.body, "upstream_quirks": run.upstream_quirks}
    make = class_of(spec.kind)
    given = {key: value for key, value in more.items() if takes(make, key)}
    return {"kind": spec.kind, **given, **spec.options}


def training_table(run: Run) -> dict[str, Any]:
    """One set, or the run's mixture of several."""
    tables = [table_of(spec, run) for spec in run.data.train]
    if len(tables) == 1:
        return tables[0]
    return {"kind": "mix" if run.data.mixture == "pose2mesh" else "concatenation", "sets": tables}


def check_sets(run: Run, root: Path, most: int | None) -> list[str]:
    """What is wrong with the user's copies, set by set; `note: ` starts what is no error."""
    problems: list[str] = []
    for spec in [*run.data.train, *run.data.validate]:
        try:
            problems += build_set(table_of(spec, run), root).check(most)
        except BadInput as error:
            problems.append(str(error))
    return list(dict.fromkeys(problems))


def try_first(data: RecordData, rows: int = 2) -> None:
    """Prepare the first rows of every set, so that bad data are found before the first step.

    Raises BadInput, row named; `not_a_number` where a prepared value is not finite.
    """
    for prepared in _sets(data):
        for index in range(min(rows, len(prepared))):
            try:
                item = prepared[index]
            except (TypeError, ValueError, AttributeError) as error:
                raise BadInput(
                    "bad_run",
                    f"{prepared.records.name}, row {index}: data.prepare cannot be used ({error}).",
                    "Compare it with a file of training/runs for the same network.",
                ) from error
            if isinstance(item, Damage):
                raise BadInput(*item)
            for name, value in item.items():
                values = np.asarray(value)
                if values.dtype.kind == "f" and not np.isfinite(values).all():
                    raise BadInput(
                        "not_a_number",
                        f"{prepared.records.name}, row {index}: {name} holds values that are not numbers.",
                        "Run `python -m training check-data`.",
                    )


def _sets(data: RecordData) -> Iterator[PreparedSet]:
    train: list[BaseSet] = data.sets.get("train", [])
    yield from (PreparedSet(records, data.prepare, data.seed) for records in train)
    for records in data.sets.get("validation", []):
        yield PreparedSet(records, data.prepare_evaluation, data.seed, augment=False)
