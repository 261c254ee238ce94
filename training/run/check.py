"""Checks names and types of a run file against the signatures that take them, before anything is built.

Imports the classes that the run names, and so torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.datasets.registry import check_dataset_config
from training.evaluation.protocols import PROTOCOLS
from training.run.registry import MODULES, PREPARERS, has_parameter, resolve
from training.run.spec import Run
from training.schema import bad_run, read_arguments

_POSITIVE_KEYS = ("epochs", "batch", "devices", "log_every", "checkpoint_every")


def check_run(run: Run) -> None:
    """Checks a run file.  Raises BadInput `bad_run` or `unknown_dataset` with file, key and what was expected."""
    file = Path(run.file).name
    _check_training(run, file)
    module = resolve(MODULES, run.module, file, "module")
    read_arguments(module, run.settings, file, "settings", module_arguments_of(run, module))
    prepare = dict(run.data.prepare)
    preparer = resolve(PREPARERS, str(prepare.pop("kind", "")), file, "data.prepare.kind")
    given = [name for name in ("body", "upstream_quirks", "train") if has_parameter(preparer, name)]
    read_arguments(preparer, prepare, file, "data.prepare", given)
    for part, specs in (("train", run.data.train), ("validate", run.data.validate)):
        for k, spec in enumerate(specs):
            check_dataset_config(spec.options, spec.kind, file, f"data.{part}[{k}]")


def module_arguments_of(run: Run, module: Callable[..., Any]) -> dict[str, Any]:
    """The arguments of a run's module that are not in `settings`; model and body are still None."""
    given = {
        "model": None,
        "body": None,
        "protocols": [spec.protocol for spec in run.data.validate],
        "upstream_quirks": run.upstream_quirks,
    }
    # preparer and module must agree on these, so only data.prepare has them
    shared = ("target", "bodies")
    return given | {k: v for k, v in run.data.prepare.items() if k in shared and has_parameter(module, k)}


def _check_training(run: Run, file: str) -> None:
    for name in _POSITIVE_KEYS:
        value = getattr(run.training, name)
        if value < 1:
            raise bad_run(file, f"training.{name}", f"is {value}, expected 1 or more", "Correct it.")
    if run.training.samples_published < 0:
        raise bad_run(file, "training.samples_published", "is negative", "Write 0 where it is not known.")
    metric_names: list[str] = []
    for k, spec in enumerate(run.data.validate):
        if spec.protocol not in PROTOCOLS:
            hint = f"Choose one of: {', '.join(PROTOCOLS)}."
            raise bad_run(file, f"data.validate[{k}].protocol", f"is {spec.protocol!r}, which is not known", hint)
        metric_names += PROTOCOLS[spec.protocol].metrics
    select = run.training.select
    if select and select not in metric_names:
        hint = f"Evaluated are: {', '.join(dict.fromkeys(metric_names)) or 'none'}; '' takes the last epoch."
        raise bad_run(file, "training.select", f"is {select!r}, a metric of no validation set", hint)
