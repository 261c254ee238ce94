"""Every published run passes `check_run`; wrong names and types are reported before anything is built."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.errors import BadInput
from training.run import build
from training.run.check import check_run
from training.run.spec import load_run, run_names


@pytest.mark.parametrize("name", run_names())
def test_published_runs_pass(name):
    check_run(load_run(name))


@pytest.mark.parametrize(
    ("run", "override", "message"),
    [
        ("smpler-mixed", "settings.learning_rate=fast", r"settings\.learning_rate is 'fast', expected a number"),
        ("smpler-mixed", "settings.learning_rat=1", r"settings\.learning_rat is not known"),
        ("smpler-mixed", "settings.weights.joints2d=x", r"settings\.weights\.joints2d is 'x', expected a number"),
        ("smpler-mixed", "settings.weights={vertces: 1}", r"settings\.weights\.vertces is not known"),
        ("smpler-mixed", "settings.mean_parameters=3", r"settings\.mean_parameters is 3, expected text"),
        ("smpler-mixed", "settings.model=1", r"settings\.model is not known"),
        ("deformer-r50", "settings.warmup=1.5", r"settings\.warmup is 1\.5, expected a whole number"),
        ("fastmetro-s-r50-mixed", "settings.weights.meshes=1", r"settings\.weights\.meshes is 1, expected a list"),
        ("deformer-w48", "settings.weights.meshes={big: 1}", r"meshes: the key is 'big', expected a whole number"),
        ("deformer-w48", "settings.weights={}", r"settings\.weights\.meshes is missing"),
        ("deformer-w48", "settings.warmup=null", r"settings\.warmup is None, expected a whole number"),
        ("pose2mesh-3dpw-full", "settings.stage=both", r"settings\.stage is 'both'.*posenet, full"),
        ("pose2mesh-3dpw-full", "data.prepare.target=coco", r"data\.prepare\.target is 'coco'.*human36, smpl, mano"),
        ("pose2mesh-3dpw-full", "data.prepare.input=guess", r"data\.prepare\.input is 'guess'.*truth, detected"),
        ("pose2mesh-3dpw-full", "data.prepare.bodies=smpl", r"data\.prepare\.bodies is 'smpl', expected keys"),
        ("smpler-mixed", "data.prepare.size=224", r"data\.prepare\.size is 224, expected a list"),
        ("smpler-mixed", "data.prepare.size=[224]", r"data\.prepare\.size is \[224\], expected a list of 2"),
        ("smpler-mixed", "data.prepare.flip=often", r"data\.prepare\.flip is 'often', expected a number"),
        ("smpler-mixed", "data.prepare.flop=1", r"data\.prepare\.flop is not known"),
        ("smpler-mixed", "data.prepare.kind=other", r"data\.prepare\.kind is 'other'"),
        ("smpler-mixed", "module=smplr", "module is 'smplr'"),
        ("smpler-mixed", "training.batch=0", r"training\.batch is 0, expected 1 or more"),
        ("smpler-mixed", "training.select=MPVPA", r"training\.select is 'MPVPA'.*MPJPE, PA-MPJPE"),
        ("smpler-mixed", "data.validate.0.protocol=free", r"data\.validate\[0\]\.protocol is 'free'.*3dpw-smpler"),
        ("smpler-mixed", "data.train.0.colour=1", r"data\.train\[0\]\.colour is not known"),
        ("smpler-mixed", "data.train.0.first=few", r"data\.train\[0\]\.first is 'few', expected a whole number"),
        ("pose2mesh-3dpw-full", "data.train.0.split=7", r"data\.train\[0\]\.split is 7, expected text"),
        ("pose2mesh-3dpw-full", "data.train.0.kind=human", "no kind of data set 'human'"),
        (
            "smpler-mixed",
            "data.train=[{kind: concatenation, sets: [{kind: tsv, path: 3}]}]",
            r"data\.train\[0\]\.sets\[0\]\.path is 3, expected text or Path",
        ),
    ],
)
def test_mistakes_are_reported_before_anything_is_built(run, override, message, monkeypatch):
    monkeypatch.setattr(build, "load_body", lambda name: pytest.fail("the body was read"))
    with pytest.raises(BadInput, match=message):
        build.build_module(load_run(run, [override]))


def test_messages_have_the_file():
    run = load_run("smpler-mixed", ["settings.learning_rate=fast"])
    with pytest.raises(BadInput, match=r"^mine\.yaml: settings"):
        check_run(replace(run, file="somewhere/mine.yaml"))
