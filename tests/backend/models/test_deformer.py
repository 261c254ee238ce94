import contextlib
import functools
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull
from torch import nn
from torch.nn import functional

from backend.body.loader import load_body
from backend.body.mesh_levels import SparseMatrix, body_levels
from backend.errors import BadInput
from backend.models.deformer.network import CONFIGS, STRIDES, DeFormer, DeFormerConfig
from backend.models.deformer.sparse_pattern import JOINTS
from backend.models.spec import NETWORKS

TINY = DeFormerConfig(
    "resnet50", (64, 64), widths=(32, 32, 32), map_width=32, heads=4, feedforward=64, points=2, dropout=0.0
)

QUERIES = [431, 1723, pytest.param(6890, marks=pytest.mark.slow)]


class TinyBackbone(nn.Module):
    """Four maps by one convolution each."""

    channels = (8, 8, 16, 16)

    def __init__(self):
        super().__init__()
        self.steps = nn.ModuleList(nn.Conv2d(3, c, s, s) for c, s in zip(self.channels, STRIDES, strict=True))

    def features(self, x):
        return [step(x) for step in self.steps]


@functools.cache
def open_body():
    body = load_body("open")
    return body, body_levels(body.v_template.numpy(), body.faces.numpy())


def make(config=TINY, tiny=True, seed=0):
    torch.manual_seed(seed)
    body, levels = open_body()
    return DeFormer(config, levels, body.v_template, body.regressors["h36m17"], TinyBackbone() if tiny else None)


def perturbed(config=TINY):
    """A network whose updates and scale depend on the image, as after some training."""
    model = make(config)
    for block in model.blocks:
        nn.init.normal_(block.refine[-1].weight, std=0.05)
    nn.init.normal_(model.scale_head[-1].weight, std=0.05)
    return model


def images(count=2, config=TINY, seed=1):
    return torch.randn(count, 3, *config.input_size, generator=torch.Generator().manual_seed(seed))


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("queries", "millions"), [(431, 4.40), (1723, 4.73), (6890, 6.05)])
def test_decoder_has_the_size_of_the_specification(queries, millions):
    """Neck for HRNet-W48, queries and blocks; without backbone, scale head and upsampling."""
    backbone = TinyBackbone()
    backbone.channels = (48, 96, 192, 384)
    body, levels = open_body()
    config = replace(CONFIGS["deformer-w48"], queries=queries)
    model = DeFormer(config, levels, body.v_template, body.regressors["h36m17"], backbone)
    excluded = parameters(backbone) + parameters(model.scale_head)
    if queries == 431:
        excluded += parameters(model.upsample)
    assert round((parameters(model) - excluded) / 1e6, 2) == millions
    assert round(parameters(model.blocks[0]) / 1e6, 2) == 1.31
    assert model.pattern.tokens == JOINTS + queries


def test_every_listed_network_has_a_configuration():
    listed = [spec.settings["config"] for spec in NETWORKS if spec.family == "deformer"]
    assert sorted(listed) == sorted(CONFIGS)
    assert CONFIGS["deformer-w48-384"].input_size == (384, 288)
    assert CONFIGS["deformer-w48-dense"].queries == 6890


@pytest.mark.parametrize("queries", QUERIES)
def test_an_untrained_network_predicts_the_template(queries):
    model = make(replace(TINY, queries=queries)).eval()
    body, levels = open_body()
    with torch.no_grad():
        out = model(images())
    assert torch.equal(out["estimates"], model.first.expand(2, 4, -1, -1))
    rest = body.v_template * torch.tensor([1.0, -1.0, -1.0])  # y up -> y down
    for down in levels.down[: levels.sizes.index(queries)]:
        rest = torch.as_tensor(down.toarray()) @ rest
    for mesh in out["vertices"] if queries == 6890 else out[f"vertices_{queries}"]:
        difference = mesh - rest
        # equal up to a translation
        torch.testing.assert_close(difference, difference[:1].expand_as(difference), atol=1e-5, rtol=0)
    # a standing person fills most of the crop, head up
    assert 1.4 < np.ptp(model.first[:, 1].numpy()) < 2
    ankles, head = model.first[[0, 5], 1], model.first[13, 1]
    assert head < 0 < ankles.min()


def test_estimates_differ_and_measure_takes_more_axes():
    model = perturbed().eval()
    with torch.no_grad():
        out = model(images())
        measured = model.measure(out["estimates"], out["scale"][:, None])
        second = model.measure(out["estimates"][:, 2], out["scale"])
    assert not torch.equal(out["estimates"][:, 1], out["estimates"][:, 2])
    for name, value in measured.items():
        torch.testing.assert_close(value[:, -1], out[name], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(value[:, 2], second[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(256, 256), (384, 288), (128, 256)])
def test_reference_points_hit_the_rendered_pixels(size):
    """Bilinear samples at the corners of a rectangle, converted from the crop's units, are inside or outside it."""
    model = make(replace(TINY, input_size=size))
    height, width = size
    longer = max(size)
    image = torch.zeros(1, 1, height, width)
    corner = (20, 50)  # first row and column
    image[..., corner[0] : corner[0] + 30, corner[1] : corner[1] + 40] = 1
    inside = torch.tensor([[50.5, 20.5], [89.5, 20.5], [50.5, 49.5], [89.5, 49.5]])  # pixel centres, x first
    outside = torch.tensor([[49.5, 20.5], [90.5, 20.5], [50.5, 19.5], [89.5, 50.5]])
    pixels = torch.cat([inside, outside])
    units = (pixels - torch.tensor([width / 2, height / 2])) / (longer / 2)
    points = model.image_points(torch.cat([units, torch.zeros(8, 1)], 1))
    samples = functional.grid_sample(image, 2 * points[None, None] - 1, align_corners=False)[0, 0, 0]
    torch.testing.assert_close(samples, torch.tensor([1.0] * 4 + [0.0] * 4), atol=1e-4, rtol=0)
    corners = model.image_points(torch.tensor([[-width / longer, -height / longer, 0.0]]))
    torch.testing.assert_close(corners, torch.zeros(1, 2))


@pytest.mark.parametrize("queries", QUERIES)
def test_camera_projects_back_into_the_crop(queries):
    model = perturbed(replace(TINY, queries=queries)).eval()
    with torch.no_grad():
        out = model(images())
    last = out["estimates"][:, -1]
    scale, shift = out["camera"][:, :1, None], out["camera"][:, None, 1:]
    own = out["vertices"] if queries == 6890 else out[f"vertices_{queries}"]
    for metric, wanted in ((out["joints"], last[:, :JOINTS]), (own, last[:, JOINTS:])):
        torch.testing.assert_close(scale * (metric[..., :2] + shift), wanted[..., :2], atol=1e-5, rtol=0)
    assert not torch.allclose(scale[0], scale[1])
    # the regressed pelvis is the origin
    pelvis = open_body()[0].regressors["h36m17"][:1] @ out["vertices"]
    torch.testing.assert_close(pelvis, torch.zeros_like(pelvis), atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["every", "last"])
def test_gradient_reaches_every_block(mode):
    model = perturbed(replace(TINY, gradient=mode))
    out = model(images())
    target = torch.randn(out["estimates"].shape[2:])
    losses = (out["estimates"][:, 1:] - target).abs().mean((0, 2, 3))
    (losses.sum() if mode == "every" else losses[-1]).backward()
    for block in model.blocks:
        for layer in (block.refine[0], block.refine[-1], block.place[0], block.attend_image.sampling_offsets):
            assert layer.weight.grad.abs().sum() > 0
    assert model.backbone.steps[0].weight.grad.abs().sum() > 0
    assert model.query_vectors.grad.abs().sum() > 0


def test_gradient_every_detaches_the_first_coordinates_from_the_last_loss():
    """So with `every`, a loss on the last estimate alone does not train the first block's last layer."""
    for mode, reached in (("every", False), ("last", True)):
        model = perturbed(replace(TINY, gradient=mode))
        (model(images())["estimates"][:, -1] ** 2).mean().backward()
        gradient = model.blocks[0].refine[-1].weight.grad
        assert (gradient is not None and bool(gradient.abs().sum() > 0)) == reached


@pytest.fixture
def one_thread():
    """One thread: the tensors are too small for two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_overfits_one_batch_to_a_millimetre(one_thread):
    """Two images, two shapes of a small sphere-like mesh of 1 m: vertices of every level, and joints, in metres.

    The loss has the 2D term of training: with 3D terms alone the scale may go to 0 at first.
    """
    generator = np.random.default_rng(0)
    points = generator.normal(size=(300, 3))
    points *= 0.5 / np.linalg.norm(points, axis=1, keepdims=True)
    faces = ConvexHull(points).simplices
    a, b, c = (points[faces[:, k]] for k in range(3))
    inward = (np.cross(b - a, c - a) * a).sum(1) < 0
    faces[inward] = faces[inward][:, ::-1]
    levels = body_levels(points, faces, (120, 60))
    regressor = torch.as_tensor(generator.dirichlet(np.full(300, 0.02), size=17)).float()
    torch.manual_seed(0)
    config = replace(TINY, queries=60, widths=(64, 64), map_width=64)
    model = DeFormer(config, levels, torch.as_tensor(points), regressor, TinyBackbone())
    model.upsample.requires_grad_(False)  # its initial weights are right for these targets
    # deformed coarse meshes, and their finer levels
    coarse = model.first[JOINTS:]
    rotations = torch.as_tensor(generator.normal(size=(2, 3, 3))).float() * 0.5 + torch.eye(3)
    coarse = coarse @ rotations + 0.1 * torch.sin(4 * coarse @ rotations.transpose(1, 2))
    shapes = model.measure(torch.cat([torch.zeros(2, JOINTS, 3), coarse], 1), torch.tensor([0.9, 1.2])[:, None, None])
    target = {name: shapes[name].detach() for name in ("vertices", "vertices_120", "vertices_60")}
    target["joints"] = shapes["mesh_joints"].detach()
    points2d = coarse[:, None, :, :2]
    batch, steps = images(), 500
    optimiser = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps)
    for _ in range(steps):
        out = model(batch)
        measured = model.measure(out["estimates"][:, 1:], out["scale"][:, None])
        loss = sum((measured[name] - value[:, None]).abs().mean() for name, value in target.items())
        loss = loss + (out["estimates"][:, 1:, JOINTS:, :2] - points2d).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        out = model(batch)
    errors = {name: float((out[name] - value).norm(dim=-1).mean()) for name, value in target.items()}
    assert max(errors.values()) < 1e-3, errors


_DENSE = """
import resource, torch
from tests.backend.models.test_deformer import TINY, images, make
from dataclasses import replace
torch.set_num_threads(2)
config = replace(TINY, queries=6890, widths=(256,) * 3, map_width=256, heads=8, feedforward=1024, points=4, dropout=0.1)
config = replace(config, input_size=(256, 256))
model = make(config).train()
batch = images(1, config)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
out = model(batch)
(out["estimates"][:, 1:].square().mean() + out["vertices"].abs().mean()).backward()
assert all(p.grad is not None for p in model.parameters())
print(before // 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
DENSE_LIMIT_MB = 3000  # one 6904 x 6904 attention matrix for 8 heads is 1456 MB, and three blocks would store six


@pytest.mark.slow
def test_dense_queries_train_in_bounded_memory():
    """Full width, three blocks, 6904 tokens, forward and backward with dropout."""
    done = subprocess.run([sys.executable, "-c", _DENSE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, peak = map(int, done.stdout.split())
    assert peak - before < DENSE_LIMIT_MB


def test_checkpointing_changes_no_gradient():
    gradients = []
    for on in (False, True):
        model = perturbed(replace(TINY, checkpointing=on)).train()
        model(images())["vertices"].square().mean().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_constants_are_not_part_of_a_checkpoint():
    model = make()
    trained = {name for name, _ in model.named_parameters()}
    assert set(model.state_dict()) == trained
    other = make(seed=5)
    other.load_state_dict(model.state_dict())
    batch = images()
    with torch.no_grad():
        assert torch.equal(model.eval()(batch)["vertices"], other.eval()(batch)["vertices"])


def test_widths_may_shrink_and_tile16_may_be_chosen():
    model = perturbed(replace(TINY, widths=(64, 32, 16), tile16=True))
    out = model(images())
    out["vertices"].square().mean().backward()
    assert out["vertices"].shape == (2, 6890, 3)
    assert model.pattern.dense == 16


@pytest.mark.parametrize(("attention", "sampling"), [("sdpa", "grid_sample"), ("tiles", "bag")])
def test_forward_creates_no_tensor_on_the_cpu(attention, sampling, monkeypatch):
    """On the meta device, as on a GPU, an operation with a CPU tensor is an error."""
    model = make(replace(TINY, attention=attention, sampling=sampling))
    # the meta device has no sparse products
    monkeypatch.setattr(SparseMatrix, "tensor", lambda self: self.values.new_zeros(self.shape))
    model.to("meta")
    # and no autocast
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    out = model(torch.empty(2, 3, 64, 64, device="meta"))
    assert {value.device.type for value in out.values()} == {"meta"}
    out["vertices"].sum().backward()
    assert model.query_vectors.grad.device.type == "meta"
    model.first = torch.zeros(model.first.shape)
    with pytest.raises(RuntimeError, match="device"):
        model(torch.empty(2, 3, 64, 64, device="meta"))


def test_autocast_keeps_coordinates_in_float32():
    model = perturbed().eval()
    batch = images()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        exact = model(batch)
        with torch.autocast("cpu", torch.bfloat16):
            bf16 = model(batch)
    assert all(value.dtype == torch.float32 for value in bf16.values())
    assert (bf16["vertices"] - exact["vertices"]).abs().max() < 0.02
    assert not torch.equal(bf16["vertices"], exact["vertices"])


def test_wrong_settings_say_what_to_do():
    with pytest.raises(BadInput, match=r"multiples of 32 pixels"):
        replace(TINY, input_size=(100, 64))
    with pytest.raises(BadInput, match=r"multiples of the number of heads"):
        replace(TINY, widths=(30,))
    with pytest.raises(BadInput, match=r"none of 500"):
        make(replace(TINY, queries=500))
    with pytest.raises(BadInput, match=r"There is no backbone 'vgg'"):
        make(replace(TINY, backbone="vgg"), tiny=False)
    with pytest.raises(BadInput, match=r"the network expects \(64, 64\)"):
        make()(torch.zeros(1, 3, 64, 96))
