"""Run files: each is complete and has the published numbers; mistakes are reported with file and key."""

from __future__ import annotations

import pytest

from backend.errors import BadInput
from backend.models.spec import network
from training.evaluation.protocols import PROTOCOLS
from training.run.registry import MODULES, PREPARERS
from training.run.requirements import required_files
from training.run.spec import METRICS, RUNS, load_run, run_names

# Numbers of the papers and of the READMEs that the weights were released with, mm (F-scores in 0..1)
PUBLISHED = {
    "fastmetro-s-r50-mixed": {"PA-MPJPE": 38.8},
    "fastmetro-m-r50-mixed": {"PA-MPJPE": 38.6},
    "fastmetro-l-r50-mixed": {"PA-MPJPE": 37.3},
    "fastmetro-l-h64-mixed": {"MPJPE": 52.96, "PA-MPJPE": 33.58},
    "fastmetro-s-r50-3dpw": {"PA-MPJPE": 49.1},
    "fastmetro-l-h64-3dpw": {"MPVPE": 82.95, "MPJPE": 73.54, "PA-MPJPE": 44.58},
    "fastmetro-l-h64-freihand": {"PA-MPJPE": 6.5, "PA-MPVPE": 7.1, "F@5": 0.687, "F@15": 0.983},
    "fastmetro-l-h64-smpl-mixed": {"PA-MPJPE": 36.1},
    "fastmetro-l-h64-smpl-3dpw": {"PA-MPJPE": 51.0},
    "smpler-backbone": {},
    "smpler-l-backbone": {},
    "smpler-mixed": {"MPJPE": 47.0, "PA-MPJPE": 32.8},
    "smpler-l-mixed": {"MPJPE": 45.2, "PA-MPJPE": 32.4},
    "smpler-3dpw": {"MPVPE": 84.7, "MPJPE": 75.7, "PA-MPJPE": 45.2},
    "smpler-l-3dpw": {"MPVPE": 82.0, "MPJPE": 73.7, "PA-MPJPE": 43.4},
    "deformer-r50": {},
    "deformer-w48": {"MPJPE": 44.8, "PA-MPJPE": 31.6},
    "deformer-w48-3dpw": {"MPVPE": 82.6, "MPJPE": 72.9, "PA-MPJPE": 44.3},
    "deformer-hrformer": {"MPJPE": 43.3, "PA-MPJPE": 30.0},
    "deformer-w48-384": {"MPJPE": 43.7, "PA-MPJPE": 30.7},
    "deformer-w48-dense": {"MPJPE": 43.9, "PA-MPJPE": 30.7},
    "pose2mesh-human36m-full": {"MPJPE": 64.9, "PA-MPJPE": 46.3},
    "pose2mesh-3dpw-full": {"MPJPE": 88.9, "PA-MPJPE": 58.3, "MPVPE": 106.3},
    "pose2mesh-3dpw-amass-full": {"MPJPE": 89.5, "PA-MPJPE": 56.3, "MPVPE": 105.3},
    "pose2mesh-freihand-full": {"PA-MPVPE": 7.6, "PA-MPJPE": 7.4, "F@5": 0.683, "F@15": 0.973},
    "pose2mesh-human36m-truth-full": {"MPJPE": 51.28, "PA-MPJPE": 35.61},
    "pose2mesh-3dpw-truth-full": {"MPJPE": 63.10, "PA-MPJPE": 35.37},
}
# epochs, batch per device, devices, learning rate, of the originals' code and papers
RECIPES = {
    "fastmetro-s-r50-mixed": (60, 16, 4, 1e-4),
    "fastmetro-l-h64-3dpw": (8, 16, 4, 2e-5),
    "fastmetro-l-h64-freihand": (200, 16, 4, 1e-4),
    "smpler-backbone": (50, 100, 2, 2e-4),
    "smpler-l-mixed": (100, 100, 2, 2e-4),
    "smpler-3dpw": (2, 32, 1, 1e-4),
    "deformer-w48": (50, 32, 8, 1e-4),
    "deformer-w48-dense": (50, 8, 8, 1e-4),
    "pose2mesh-human36m-posenet": (60, 64, 1, 1e-3),
    "pose2mesh-3dpw-posenet": (30, 63, 1, 1e-3),
    "pose2mesh-3dpw-full": (15, 63, 1, 1e-3),
    "pose2mesh-3dpw-truth-full": (15, 64, 1, 1e-3),
    "pose2mesh-freihand-posenet": (120, 64, 1, 1e-3),
    "pose2mesh-freihand-full": (40, 64, 1, 1e-3),
}


@pytest.mark.parametrize("name", run_names())
def test_a_run_is_complete(name):
    run = load_run(name)
    assert run.name == name
    assert network(run.network).name == run.network
    assert run.module in MODULES
    assert run.data.prepare["kind"] in PREPARERS
    assert all(required_files(spec, run.data.prepare) for spec in run.data.train + run.data.validate)
    assert all(spec.protocol in PROTOCOLS for spec in run.data.validate)
    assert run.upstream_quirks != name.endswith("-small")  # ours have no original
    assert run.published.source
    assert run.published.results or run.published.note
    assert run.start.what
    assert not run.start.run or run.start.run in run_names()
    results = [{m: row[m] for m in METRICS if m in row} for row in run.published.results]
    assert {k: v for row in results for k, v in row.items()} == PUBLISHED.get(name, {})


def test_runs_of_one_set_have_the_same_number_of_samples():
    """METRO's mixed pack, whose number of samples follows from its author's log."""
    runs = [load_run(name) for name in run_names()]
    mixed = [run for run in runs if "Tax-H36m" in str(run.data.train[0].options["path"])]
    assert len(mixed) >= 14
    assert {run.training.samples_published for run in mixed} == {475_920}


def test_published_numbers_are_of_existing_runs():
    assert set(PUBLISHED) <= set(run_names())


@pytest.mark.parametrize("name", RECIPES)
def test_recipes(name):
    run = load_run(name)
    training = run.training
    settings = (training.epochs, training.batch, training.devices, run.settings["learning_rate"])
    assert settings == RECIPES[name]


@pytest.mark.parametrize("what", ["3dpw", "freihand", "smpl-mixed", "smpl-3dpw"])
def test_small_and_large_networks_have_the_same_recipe(what):
    small, large = load_run(f"fastmetro-s-r50-{what}"), load_run(f"fastmetro-l-h64-{what}")
    assert small.network == large.network.replace("l-h64", "s-r50")
    assert small.data == large.data and small.settings == large.settings
    assert small.training == large.training and small.upstream_quirks == large.upstream_quirks


def test_pose2mesh_steps_and_edges():
    settings = {
        name: (run.settings["step"], run.settings["gamma"], run.settings.get("edge_from_epoch"))
        for name in run_names()
        if (run := load_run(name)).module == "pose2mesh"
    }
    assert settings["pose2mesh-human36m-posenet"] == (30, 0.5, None)
    assert settings["pose2mesh-3dpw-posenet"] == (20, 0.1, None)
    assert settings["pose2mesh-freihand-posenet"] == (90, 0.1, None)
    assert settings["pose2mesh-human36m-full"] == (12, 0.1, 8)
    assert settings["pose2mesh-3dpw-amass-full"] == (10, 0.1, 8)
    assert settings["pose2mesh-freihand-full"] == (30, 0.1, 16)


def test_overrides():
    run = load_run(
        "smpler-mixed", ["training.batch=8", "data.train.0.path=mine/train.yaml", "settings.learning_rate=1e-5"]
    )
    assert run.training.batch == 8
    assert run.data.train[0].options["path"] == "mine/train.yaml"
    assert run.settings["learning_rate"] == 1e-5


@pytest.mark.parametrize(("text", "value"), [("no", False), ("Off", False), ("yes", True), ("on", True)])
def test_words_for_booleans(text, value):
    assert load_run("smpler-mixed", [f"settings.mean_parameters={text}"]).settings["mean_parameters"] is value


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("training.batch=many", "training.batch"),
        ("training.bach=8", "training.bach"),
        ("training.precision=16", "32, bf16"),
        ("trainin.batch=8", "trainin"),
        ("data.train.7.path=x", "7"),
        ("data.train.0=x", "data.train[0]"),
        ("upstream_quirks=3", "upstream_quirks"),
        ("nothing", "key=value"),
        ("start.weights=x.bin", "start"),
        ("training.keep_maps=true", "training.keep_maps"),
    ],
)
def test_wrong_overrides_are_reported_with_their_key(override, named):
    with pytest.raises(BadInput) as error:
        load_run("smpler-mixed", [override])
    assert named in str(error.value)


def test_a_corrupt_file_is_reported(tmp_path):
    path = tmp_path / "mine.yaml"
    for text in ("a: [1", "- 1", ""):
        path.write_text(text)
        with pytest.raises(BadInput, match=r"mine\.yaml"):
            load_run(path)
    path.write_text((RUNS / "smpler-mixed.yaml").read_text() + "seed: 1\n")
    with pytest.raises(BadInput, match=r"mine\.yaml is not YAML .*duplicate key \"seed\""):
        load_run(path)
    path.write_text((RUNS / "smpler-mixed.yaml").read_text().replace("seed: 1234\n", ""))
    with pytest.raises(BadInput, match=r"mine\.yaml: seed is missing"):
        load_run(path)
    with pytest.raises(BadInput, match="There is no run"):
        load_run("smpler-mixd")


def test_fewer_devices_keep_the_global_batch():
    run = load_run("fastmetro-s-r50-mixed")
    assert [run.accumulate_for(n) for n in (1, 2, 4, 8)] == [4, 2, 1, 1]
