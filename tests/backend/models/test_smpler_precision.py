"""SMPLer under bf16 autocast: the body model and the rotations stay in float32."""

import torch

from backend.models.weights import load_network


def test_vertices_are_those_of_the_parameters():
    """With the body model in bf16, vertices were up to 8 mm off, and rotations 0.7 % from orthogonal."""
    network = load_network("smpler-small")
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        out = network.module.eval()(images)[-1]
    assert out["vertices"].dtype == out["theta"].dtype == torch.float32
    rotations = out["theta"]
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand_as(rotations), atol=1e-3, rtol=0)
    posed = network.body(None, out["beta"].float(), rotations=rotations).vertices
    torch.testing.assert_close(out["vertices"], posed, atol=1e-5, rtol=0)
