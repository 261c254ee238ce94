"""The kinds of data sets, by their names in run files: `{kind: human36m, path: Human36M, split: train}`.

Modules are imported on use; none imports torch.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.errors import BadInput
from training.datasets.base import BaseDataset, make_subset
from training.schema import read_arguments, read_value

DATASETS = {
    "tsv": "tsv:TsvDataset",
    "synthetic": "tsv:TsvDataset",
    "human36m": "human36m:Human36M",
    "muco": "muco:MuCo",
    "coco": "coco:Coco",
    "eft": "eft:Eft",
    "mpii": "mpii:Mpii",
    "spin": "spin:SpinNpz",
    "up3d": "up3d:Up3d",
    "pw3d": "pw3d:Pw3d",
    "pw3d_json": "pw3d_json:Pw3dJson",
    "amass": "amass:Amass",
    "surreal": "surreal:Surreal",
    "surreal_json": "surreal_json:SurrealJson",
    "freihand": "freihand:FreiHand",
    "freihand_json": "freihand_json:FreiHandJson",
    "mix": "mixture:RandomMix",
    "concatenation": "mixture:Concatenation",
}
_PATH_OPTIONS = ("path", "images", "cache")
_SUBSET_OPTIONS = ("first", "every", "subjects")


def dataset_class(kind: str) -> type[BaseDataset]:
    """The class of a kind.  Raises BadInput `unknown_dataset`."""
    if kind not in DATASETS:
        hint = f"Choose one of: {', '.join(DATASETS)}."
        raise BadInput("unknown_dataset", f"There is no kind of data set {kind!r}.", hint)
    module, name = DATASETS[kind].split(":")
    return getattr(importlib.import_module(f"training.datasets.{module}"), name)


def build_dataset(config: Mapping[str, Any], root: str | Path = "") -> BaseDataset:
    """The data set of a table in a run file.  root: folder of relative paths.

    `first`, `every` and `subjects` make a subset of any kind; `sets` of a mixture are tables, too.
    Raises BadInput `unknown_dataset`, `unknown_option`, and what the data set raises.
    """
    options = dict(config)
    kind = str(options.pop("kind", ""))
    factory = dataset_class(kind)
    if "sets" in options:
        options["sets"] = [build_dataset(table, root) for table in options["sets"]]
    for key in _PATH_OPTIONS:
        if options.get(key) is not None:
            options[key] = Path(root) / options[key]
    known = inspect.signature(factory).parameters
    subset = {key: options.pop(key) for key in _SUBSET_OPTIONS if key in options and key not in known}
    unknown = [key for key in options if key not in known]
    if unknown:
        raise BadInput(
            "unknown_option",
            f"{kind} has no option {', '.join(unknown)}.",
            f"Its options are: {', '.join([*known, *_SUBSET_OPTIONS])}.",
        )
    return make_subset(factory(**options), **subset)


def check_dataset_config(options: Mapping[str, Any], kind: str, file: str, key: str) -> None:
    """Checks names and types of a table for `build_dataset`; opens no file.  file, key: for messages.

    Raises BadInput `bad_run`, `unknown_dataset`.
    """
    factory = dataset_class(kind)
    known = inspect.signature(factory).parameters
    subset_options = {name: value for name, value in options.items() if name in _SUBSET_OPTIONS and name not in known}
    read_arguments(make_subset, subset_options, file, key, given=("data",))
    own = {name: value for name, value in options.items() if name not in subset_options}
    if "sets" in known:
        tables = read_value(list[dict[str, Any]], own.pop("sets", []), file, f"{key}.sets")
        for k, table in enumerate(tables):
            inner = {name: value for name, value in table.items() if name != "kind"}
            check_dataset_config(inner, str(table.get("kind", "")), file, f"{key}.sets[{k}]")
    read_arguments(factory, own, file, key, given=("sets",))
