"""`python -m assets_build.embed_weights RUN FOLDER --data DIR`: embed a finished run's weights in the backend.

FOLDER: output of `python -m training fit RUN --out FOLDER`.  Writes backend/assets/weights/NETWORK.safetensors (half
precision) and its card, evaluates that file on the data set's test split, and stores manifest, log and results in
docs/training-results/RUN.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LICENSE = "CC0-1.0 (weights and open body are ours); the image trunk is MediaPipe's, Apache-2.0. Any use."
MAX_BYTES = 25 << 20
# start.freeze -> text of the card
BACKBONE_TRAINING = {"early": "late layers fine-tuned", "backbone": "not trained further", "nothing": "fine-tuned"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m assets_build.embed_weights", description=__doc__)
    parser.add_argument("run")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cost", required=True, help="cost of the training in words, for the card")
    parser.add_argument("--checkpoint", type=Path, help="in place of the checkpoint that the run chooses")
    options = parser.parse_args()
    from backend.models.weights_files import EMBEDDED
    from training.engine.manifest import git_state
    from training.engine.results import evaluate_run, export_checkpoint, write_results
    from training.engine.trainer import find_machines
    from training.run.spec import load_run

    run = load_run(options.run, ["data.validate.0.path=synthetic/test.yaml"])
    full = export_checkpoint(run, options.data, options.folder, options.checkpoint)
    path = EMBEDDED / full.name
    to_half_precision(full, path)
    assert path.stat().st_size <= MAX_BYTES, path.stat().st_size
    measured = evaluate_run(run, options.data, options.folder, find_machines(), path, quiet=True)
    measured = replace(measured, weights=path.relative_to(ROOT))
    written = write_results(options.folder, run, measured)
    archive = ROOT / "docs" / "training-results" / run.name
    archive_run(options.folder, archive, written, options.data)
    manifest = json.loads((options.folder / "manifest.json").read_text())
    made = json.loads((options.data / "synthetic" / "settings.json").read_text())
    (EMBEDDED / f"{path.stem}.md").write_text(
        card(run, path, manifest, json.loads(written.read_text()), git_state(), made, options.cost)
    )
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB): {measured.metrics}")
    return 0


def to_half_precision(full: Path, path: Path) -> None:
    """Write weights `full` in half precision to `path`, with our licence in the card.  AssertionError: overflow."""
    import torch
    from safetensors.torch import load_file, save_file

    from backend.models.weights_files import card_text, read_card

    tensors = load_file(str(full))
    small = {
        name: value.half() if name.startswith("net.") and value.dtype == torch.float32 else value
        for name, value in tensors.items()
    }
    non_finite = [name for name, value in small.items() if value.is_floating_point() and not value.isfinite().all()]
    assert not non_finite, non_finite  # the largest half-precision number is 65504
    path.parent.mkdir(parents=True, exist_ok=True)
    made = replace(read_card(full), license=LICENSE)
    save_file(small, path, metadata={"card": card_text(made)})


def archive_run(folder: Path, archive: Path, results: Path, data: Path) -> None:
    """Copy manifest, log and results of a run into `archive`, without local paths."""
    archive.mkdir(parents=True, exist_ok=True)
    run_file = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["config"]["file"]
    tree = run_file.rpartition("training/runs/")[0]  # it may have been trained from another working tree
    for name in ("manifest.json", results.name):
        text = (folder / name).read_text(encoding="utf-8")
        # absolute paths only: a relative one may be a word of the manifest ("data")
        for path, short in ((folder.absolute(), "OUT"), (data.absolute(), "DATA")):
            text = text.replace(str(path), short)
        text = text.replace(tree, "").replace(f"{ROOT}/", "")
        (archive / name).write_text(text, encoding="utf-8")
    # no time in the header: equal logs give equal files
    with (
        (archive / "log.jsonl.gz").open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed,
    ):
        packed.write((folder / "log.jsonl").read_bytes())


def card(run: Any, path: Path, manifest: dict, results: dict, git: dict, made: dict[str, Any], cost: str) -> str:
    """The card as Markdown.  made: settings of the synthetic data set; cost: of the training, in words."""
    from training.evaluation.protocols import PROTOCOLS

    protocol = PROTOCOLS[run.data.validate[0].protocol]
    trained, embedded = (state.get("commit", "unknown")[:12] for state in (manifest["git"], git))
    facts = {
        "file": f"`{path.name}`, {path.stat().st_size / 1e6:.1f} MB, half precision",
        "SHA-256": f"`{results['weights_sha256']}`",
        "licence": LICENSE,
        "body": f"`{run.body}`",
        "made by": f"`python -m training fit {run.name}`, seed {run.seed}, commit {trained}; then "
        f"`python -m assets_build.embed_weights`, commit {embedded}",
        "data": f"`python -m training.synthetic DATA/synthetic --count {made['count']} --seed {made['seed']}`: "
        f"procedural images of the open body, CC0; rows used: {manifest['samples']}",
        "backbone": f"MediaPipe 0.10.21's pose network (Apache-2.0); {BACKBONE_TRAINING[run.start.freeze]}",
        "cost": cost,
        "manifest, log, results": f"`docs/training-results/{run.name}`",
    }
    metrics = [
        f"| {name.partition('/')[2]} | {value:.1f} mm | {protocol.description(name.partition('/')[2])} |"
        for name, value in sorted(results["metrics"].items())
    ]
    lines = [
        f"# {run.network}: card",
        "",
        f"{run.title}: embedded weights that demonstrate the network. They do not reproduce the paper: its numbers are",
        "of networks many times this size, trained on real data.",
        "",
        "| what | value |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in facts.items()),
        "",
        f"This file, evaluated on the first {run.data.validate[0].options['first']} images of the test split, which",
        "training did not use:",
        "",
        "| metric | value | protocol |",
        "| --- | --- | --- |",
        *metrics,
        "",
        "Meant for trying the network, and as initial weights of your own training. Not meant for measuring people;",
        "the keypoint fit (the default) is more accurate: `docs/results-training.md` compares them.",
        "",
        "Limits: the training images show no real person; only MediaPipe's backbone was trained on real images.",
        "Adults only; hands and faces are coarse.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
