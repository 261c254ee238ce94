"""Embedding a run's weights: half precision, our licence, archived manifest and log, and the card."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from assets_build.embed_weights import LICENSE, archive_run, card, to_half_precision
from backend.models.weights_files import Card, card_text, read_card
from training.run.spec import load_run, run_names


def test_half_precision_and_licence(tmp_path):
    full, small = tmp_path / "full.safetensors", tmp_path / "weights" / "x.safetensors"
    tensors = {"net.a": torch.rand(3, 4), "net.n": torch.tensor([2]), "const.up": torch.rand(5)}
    card = Card("smpler-small", "open_body", "hash", "somebody's", "training run x, 7 steps", notes="Seed 1.")
    save_file(tensors, full, metadata={"card": card_text(card)})
    to_half_precision(full, small)
    found, made = load_file(small), read_card(small)
    assert {name: value.dtype for name, value in found.items()} == {
        "net.a": torch.float16, "net.n": torch.int64, "const.up": torch.float32,
    }  # fmt: skip
    torch.testing.assert_close(found["net.a"].float(), tensors["net.a"], rtol=1e-3, atol=1e-4)
    assert torch.equal(found["const.up"], tensors["const.up"])
    assert (made.license, made.source, made.notes) == (LICENSE, card.source, card.notes)


def test_numbers_beyond_half_precision_are_refused(tmp_path):
    full = tmp_path / "full.safetensors"
    card = Card("smpler-small", "open_body", "hash", "", "")
    save_file({"net.a": torch.tensor([1e5])}, full, metadata={"card": card_text(card)})
    with pytest.raises(AssertionError, match=r"net\.a"):
        to_half_precision(full, tmp_path / "x.safetensors")


def test_archived_files_of_a_run(tmp_path):
    folder, data, tree = tmp_path / "run", tmp_path / "data", tmp_path / "tree"
    folder.mkdir()
    manifest = {
        "config": {"file": f"{tree}/training/runs/x.yaml"},
        "command": f"fit x --data {data} --out {folder}",
        "start": {f"{tree}/.venv/trunk.tflite": "the trunk"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "results.json").write_text(json.dumps({"weights": f"{folder}/weights/x.safetensors"}))
    (folder / "log.jsonl").write_text('{"step": 1}\n')
    archive_run(folder, tmp_path / "kept", folder / "results.json", data)
    first = (tmp_path / "kept" / "log.jsonl.gz").read_bytes()
    archive_run(folder, tmp_path / "kept", folder / "results.json", data)
    assert (tmp_path / "kept" / "log.jsonl.gz").read_bytes() == first
    assert json.loads((tmp_path / "kept" / "manifest.json").read_text()) == {
        "config": {"file": "training/runs/x.yaml"},
        "command": "fit x --data DATA --out OUT",
        "start": {".venv/trunk.tflite": "the trunk"},
    }
    assert json.loads((tmp_path / "kept" / "results.json").read_text()) == {"weights": "OUT/weights/x.safetensors"}


def test_relative_folder_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest = {"config": {"file": "training/runs/x.yaml"}, "data_sha256": {}, "command": "fit x --data data"}
    for name in ("manifest.json", "results.json"):
        Path(name).write_text(json.dumps(manifest))
    Path("log.jsonl").touch()
    archive_run(Path(), Path("kept"), Path("results.json"), Path("data"))
    assert json.loads(Path("kept/manifest.json").read_text()) == manifest


@pytest.mark.parametrize("name", [name for name in run_names() if name.endswith("-small")])
def test_card_states_training_and_metrics(name, tmp_path):
    run = load_run(name, ["data.validate.0.path=synthetic/test.yaml"])
    path = tmp_path / f"{run.network}.safetensors"
    path.write_bytes(bytes(3_500_000))
    manifest = {"git": {"commit": "abcdef0123456789"}, "samples": {"train": [7], "validation": [5]}}
    results = {"weights_sha256": "f00", "metrics": {"synthetic/MPJPE": 123.4, "synthetic/PA-MPJPE": 77.0}}
    made = {"count": 36000, "seed": 0}
    text = card(run, path, manifest, results, {"commit": "fedcba9876543210"}, made, "three hours of a core")
    for part in ("3.5 MB", "f00", "abcdef012345", "three hours of a core", "--count 36000", "123.4 mm", "CC0"):
        assert part in text
    assert "first 900 images of the test split," in text and "not trained further" in text
