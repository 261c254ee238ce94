"""Every network, imported from a file in the official format, reproduces the outputs of its original."""

from __future__ import annotations

import pytest
import torch
from networks import disagreements, load_golden

from backend.models.inference.engine import optimise

PARAMETERS = {
    "fastmetro-s-r50": 33_549_398,
    "fastmetro-m-r50": 41_368_662,
    "fastmetro-l-r50": 49_187_926,
    "fastmetro-l-h64": 153_739_838,
    "fastmetro-l-h64-smpl": 163_474_208,
    "fastmetro-hand-l-h64": 152_878_254,
    "smpler-w32": 37_355_950,
    "smpler-w48": 73_615_150,
    "smpler-backbone-w32": 30_939_997,
    "smpler-backbone-w48": 67_090_653,
    "pose2mesh-human36": 76_303_478,
    "pose2mesh-coco": 77_130_876,
    "pose2mesh-smpl": 79_199_371,
    "pose2mesh-mano": 74_955_138,
}


def test_outputs_are_those_of_the_original(golden, home):
    loaded = load_golden(golden, home)
    problems, checked = disagreements(golden, loaded)
    assert not problems
    assert checked > 15
    assert sum(p.numel() for p in loaded.module.parameters()) == PARAMETERS[loaded.spec.name]
    # and so does the optimised network; folding changes inner features by rounding
    optimise(loaded.module)
    problems, _ = disagreements(golden, loaded)
    assert not [p for p in problems if not p.startswith(("mid.", "full/"))]


@pytest.mark.parametrize("name", ["fastmetro-m-r50", "fastmetro-l-r50"])
def test_variants_without_goldens_have_the_published_size(name):
    from networks import circle, synthetic_up

    from backend.models.fastmetro.network import FastMETRO, FastMETROConfig, FastMETROMesh
    from backend.models.spec import network

    mesh = FastMETROMesh(circle(431), synthetic_up(6890, 1723))
    with torch.device("meta"):
        config = FastMETROConfig(**network(name).settings)
    module = FastMETRO(config, mesh)
    assert sum(p.numel() for p in module.parameters()) == PARAMETERS[name]


def test_the_body_in_a_smpler_file_is_imported_once(request, home):
    """The file's body is used although another 24-joint body is imported; a second import finds the equal body."""
    from networks import goldens, meta, save_body

    from backend.body.registry import available_bodies
    from backend.models.weights import import_weights

    golden = next(path for path in goldens(request.config) if meta(path).variant == "backbone_w32")
    (home / "other").mkdir()
    save_body("body", home / "other")  # named smpl, with other faces
    loaded = load_golden(golden, home)
    assert loaded.body.name == "smpl2"
    assert loaded.card.notes
    _, card = import_weights(loaded.spec.name, home / "official" / "epoch_049.pt")
    assert (card.body, card.notes) == ("smpl2", "")
    assert [spec.name for spec in available_bodies() if spec.name.startswith("smpl")] == ["smpl", "smpl2"]
