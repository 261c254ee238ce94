"""The schema of run files: one YAML file is one complete published run.  Imports neither torch nor lightning."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from backend.errors import BadInput
from training.schema import bad_run, read_value

RUNS = Path(__file__).resolve().parent.parent / "runs"
METRICS = ("MPJPE", "PA-MPJPE", "MPVPE", "PA-MPVPE", "F@5", "F@15")


def _reader() -> YAML:
    """A reader of YAML 1.2 (`1e-4` is a number; a repeated key is an error) with YAML 1.1's yes, no, on and off.

    As a text, the `no` of an untyped setting would count as true.
    """
    reader = YAML(typ="safe", pure=True)
    _ = reader.resolver.versioned_resolver  # reading it adds the rules of 1.2
    words = re.compile("^(yes|no|on|off)$", re.IGNORECASE)
    reader.resolver.add_version_implicit_resolver((1, 2), "tag:yaml.org,2002:bool", words, list("yYnNoO"))
    return reader


_YAML = _reader()


@dataclass(frozen=True)
class SetSpec:
    """One benchmark split, as `training.datasets.registry.build_dataset` takes it, its path below the data root."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    protocol: str = ""  # a name in `training.evaluation.protocols`; only for validate and test

    @classmethod
    def from_file(cls, value: Any, file: str, key: str) -> SetSpec:
        """A table as SetSpec: all keys but kind and protocol are options.  Raises BadInput `bad_run`."""
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            raise bad_run(file, key, "has no kind of data set", "Write {kind: NAME, path: FOLDER, ...}.")
        options = {str(name): item for name, item in value.items() if name not in ("kind", "protocol")}
        return cls(value["kind"], options, str(value.get("protocol", "")))


@dataclass(frozen=True)
class DataSpec:
    """Data sets, their mixture, and how a record becomes the network's input."""

    train: list[SetSpec]
    validate: list[SetSpec]
    prepare: dict[str, Any]  # kind: a name in `training.run.registry.PREPARERS`; the rest are its settings
    mixture: Literal["concatenate", "pose2mesh"] = "concatenate"
    workers: int = 8  # loader processes per device


@dataclass(frozen=True)
class StartSpec:
    """Initial weights: of the full network by `run` or `weights`, of its backbone by `backbone` or `backbone_of`."""

    backbone: str = ""  # file below the data root, in its authors' format; `mediapipe`: from MediaPipe's wheel
    backbone_of: str = ""  # local run whose trained backbone is taken
    freeze: Literal["nothing", "early", "backbone"] = "nothing"  # early: the backbone's early layers
    weights: str = ""  # file of a full network: official, or ours
    run: str = ""  # local run whose trained network is taken
    what: str = ""  # the original's initial weights, and where to get them


@dataclass(frozen=True)
class TrainingSpec:
    """The loop's settings.  devices x batch is the global batch of the published numbers; see `accumulate_for`."""

    epochs: int
    batch: int  # per device
    devices: int  # of the original
    precision: Literal["32", "bf16"] = "32"
    clip: float = 0.0  # gradient norm; 0: not clipped
    sync_batchnorm: bool = False
    drop_last: bool = False
    unused_parameters: bool = False  # some get no gradient; DDP needs to know
    keep_maps: bool = False  # cache the features of frozen layers, see `training.engine.feature_cache`
    select: str = ""  # the metric whose best epoch is exported; empty: the last epoch
    log_every: int = 50  # steps
    checkpoint_every: int = 500  # steps; another after every epoch
    samples_published: int = 0  # published size of the training set; 0: not known; used for estimates alone


@dataclass(frozen=True)
class Published:
    """Results of the paper or the repository, mm (F-scores in 0..1).  results: set, protocol and metrics by name."""

    source: str
    results: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True)
class Run:
    """One training run, as its file describes it."""

    name: str
    title: str
    network: str  # a name in `backend.models.spec`
    module: str  # a name in `training.run.registry.MODULES`
    body: str  # `smpl`, `mano` or any imported body; `open_body` and `open_hand` are always installed
    seed: int
    upstream_quirks: bool  # repeat what the original's code does even where it looks like a mistake
    published: Published
    start: StartSpec
    data: DataSpec
    settings: dict[str, Any]  # of the module: losses, optimiser, schedule
    training: TrainingSpec
    file: str = field(default="", compare=False)

    def accumulate_for(self, devices: int) -> int:
        """Batches per optimiser step that keep the published global batch on fewer devices."""
        return max(1, round(self.training.devices / devices))


def run_names() -> list[str]:
    """Sorted names of the run files in `training/runs`."""
    return sorted(path.stem for path in RUNS.glob("*.yaml"))


def load_run(source: str | Path, overrides: Sequence[str] = ()) -> Run:
    """A published run by name, or a run file by path.  overrides: `key.key=value`, the value in YAML.

    Raises BadInput `unknown_run`, `bad_run`, `bad_usage` with file and key.
    """
    path = RUNS / f"{source}.yaml"
    if not path.is_file():
        path = Path(source)
        if path.suffix not in (".yaml", ".yml") or not path.is_file():
            raise BadInput(
                "unknown_run",
                f"There is no run {str(source)!r}.",
                "See `python -m training list`, or give the path of a run file (.yaml).",
            )
    try:
        content = _YAML.load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        what = " ".join(str(error).split())[:200]
        raise BadInput("bad_run", f"{path} is not YAML ({what}).", "Fix it there.") from None
    if not isinstance(content, dict):
        raise BadInput("bad_run", f"{path} has no keys.", "Copy one of training/runs and change it.")
    for override in overrides:
        _set(content, override)
    run: Run = read_value(Run, content | {"file": str(path)}, path.name, "")
    named = [k for k in ("run", "weights", "backbone", "backbone_of") if getattr(run.start, k)]
    if len(named) > 1:
        raise bad_run(path.name, "start", f"names {' and '.join(named)}", "Keep one of them.")
    if run.training.keep_maps and run.start.freeze == "nothing":
        why = "is true, but the backbone is trained: cached features would be those of its initial weights"
        raise bad_run(path.name, "training.keep_maps", why, "Set start.freeze to backbone or early, too.")
    return run


def _set(content: dict[str, Any], override: str) -> None:
    """Changes one key in place."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise BadInput("bad_usage", f"--set {override} sets nothing.", "Write --set key=value.")
    *parents, last = key.split(".")
    node: Any = content
    for step in parents:
        node = _child(node, step, key)
    value = _YAML.load(text)
    if isinstance(node, list):
        _child(node, last, key)
        node[int(last)] = value
    else:
        node[last] = value


def _child(node: Any, step: str, key: str) -> Any:
    if isinstance(node, list) and step.isdigit() and int(step) < len(node):
        return node[int(step)]
    if isinstance(node, dict) and isinstance(node.get(step), (dict, list)):
        return node[step]
    known = ", ".join(map(str, node if isinstance(node, dict) else range(len(node))))
    raise BadInput("bad_usage", f"--set {key}: there is no {step!r} there.", f"There is: {known}.")
