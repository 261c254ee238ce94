"""Builds the LightningDataModule of a run: data sets, mixture, preparers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from backend.body.model import BodyModel
from backend.errors import BadInput
from training.datasets.base import BaseDataset
from training.datasets.datamodule import RecordData
from training.datasets.loader import PreparedDataset, Preparer, SampleError
from training.datasets.registry import build_dataset, dataset_class
from training.run.registry import PREPARERS, has_parameter, instantiate, resolve
from training.run.spec import Run, SetSpec


def build_datamodule(run: Run, root: Path, body: BodyModel | None = None, check_rows: int = 8) -> RecordData:
    """The run's data module; `setup` opens its data sets.  Raises BadInput `bad_run` for wrong preparer settings."""
    training = run.training
    return RecordData(
        build_preparer(run, body, train=True),
        train=training_dataset_config(run),
        validation=[dataset_config(spec, run) for spec in run.data.validate],
        batch_size=training.batch,
        prepare_evaluation=build_preparer(run, body, train=False),
        workers=run.data.workers,
        seed=run.seed,
        root=root,
        drop_last=training.drop_last,
        check_rows=check_rows,
        fixed_augmentation=training.keep_maps,
    )


def build_preparer(run: Run, body: BodyModel | None, train: bool) -> Preparer:
    """The run's preparer, for training or for evaluation.  Raises BadInput `bad_run`."""
    file = Path(run.file).name
    settings = dict(run.data.prepare)
    make = resolve(PREPARERS, str(settings.pop("kind", "")), file, "data.prepare.kind")
    run_options = {"body": body, "upstream_quirks": run.upstream_quirks, "train": train}
    given = {name: value for name, value in run_options.items() if has_parameter(make, name)}
    return instantiate(make, settings, file, "data.prepare", **given)


def dataset_config(spec: SetSpec, run: Run) -> dict[str, Any]:
    """The table that `training.datasets.registry.build_dataset` takes, with the run's body and `upstream_quirks`."""
    run_options = {"body": run.body, "upstream_quirks": run.upstream_quirks}
    make = dataset_class(spec.kind)
    given = {key: value for key, value in run_options.items() if has_parameter(make, key)}
    return {"kind": spec.kind, **given, **spec.options}


def training_dataset_config(run: Run) -> dict[str, Any]:
    """The table of the training set: one data set, or the run's mixture of several."""
    tables = [dataset_config(spec, run) for spec in run.data.train]
    if len(tables) == 1:
        return tables[0]
    return {"kind": "mix" if run.data.mixture == "pose2mesh" else "concatenation", "sets": tables}


def check_datasets(run: Run, root: Path, max_rows: int | None) -> list[str]:
    """Validation problems of all data sets of a run; a line that is not an error starts with `note: `."""
    problems: list[str] = []
    for spec in [*run.data.train, *run.data.validate]:
        try:
            problems += build_dataset(dataset_config(spec, run), root).check(max_rows)
        except BadInput as error:
            problems.append(str(error))
    return list(dict.fromkeys(problems))


def check_first_rows(data: RecordData, rows: int = 2) -> None:
    """Prepares the first rows of every data set, so that bad data are found before the first step.

    Raises BadInput with set and row; `not_a_number` where a prepared value is NaN or infinite.
    """
    for prepared in _prepared_datasets(data):
        for index in range(min(rows, len(prepared))):
            try:
                item = prepared[index]
            except (TypeError, ValueError, AttributeError) as error:
                raise BadInput(
                    "bad_run",
                    f"{prepared.records.name}, row {index}: data.prepare cannot be used ({error}).",
                    "Compare it with a file of training/runs for the same network.",
                ) from error
            if isinstance(item, SampleError):
                raise BadInput(*item)
            for name, value in item.items():
                values = np.asarray(value)
                if values.dtype.kind == "f" and not np.isfinite(values).all():
                    raise BadInput(
                        "not_a_number",
                        f"{prepared.records.name}, row {index}: {name} contains NaN or infinite values.",
                        "Run `python -m training check-data`.",
                    )


def _prepared_datasets(data: RecordData) -> Iterator[PreparedDataset]:
    train: list[BaseDataset] = data.sets.get("train", [])
    yield from (PreparedDataset(records, data.prepare, data.seed) for records in train)
    for records in data.sets.get("validation", []):
        yield PreparedDataset(records, data.prepare_evaluation, data.seed, augment=False)
