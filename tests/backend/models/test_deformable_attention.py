import math

import pytest
import torch

from backend.errors import BadInput
from backend.models.deformer import deformable_attention as module
from backend.models.deformer.deformable_attention import BACKENDS, DeformableAttention, sample_maps

SHAPES = ((6, 9), (3, 5), (1, 1))
HEADS, WIDTH, POINTS, QUERIES = 2, 3, 4, 7


def random_case(dtype=torch.float32, spread=0.6):
    """Values, locations (many outside the image) and weights of `sample_maps`."""
    generator = torch.Generator().manual_seed(0)
    rows = sum(h * w for h, w in SHAPES)
    values = torch.randn(2, rows, HEADS, WIDTH, generator=generator, dtype=dtype)
    samples = (2, QUERIES, HEADS, len(SHAPES), POINTS)
    locations = 0.5 + spread * torch.randn(*samples, 2, generator=generator, dtype=dtype)
    weights = torch.rand(samples, generator=generator, dtype=dtype)
    return values, locations, weights


def bilinear(feature_map, x, y):
    """(D,) sample of a map (H, W, D) at x, y px, pixel centres at integers; zero outside."""
    height, width, _ = feature_map.shape
    total = torch.zeros(feature_map.shape[2], dtype=feature_map.dtype)
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += (1 - abs(x - column)) * (1 - abs(y - row)) * feature_map[row, column]
    return total


@pytest.mark.parametrize("backend", BACKENDS)
def test_samples_are_bilinear(backend):
    values, locations, weights = random_case()
    out = sample_maps(values, SHAPES, locations, weights, backend).view(2, QUERIES, HEADS, WIDTH)
    for n, q, m in [(0, 0, 0), (0, 3, 1), (1, 6, 0), (1, 2, 1)]:
        wanted, start = torch.zeros(WIDTH), 0
        for level, (height, width) in enumerate(SHAPES):
            feature_map = values[n, start : start + height * width, m].view(height, width, WIDTH)
            start += height * width
            for p in range(POINTS):
                x, y = locations[n, q, m, level, p].tolist()
                sample = bilinear(feature_map, x * width - 0.5, y * height - 0.5)
                if (height, width) == (1, 1):
                    sample = feature_map[0, 0]
                wanted += weights[n, q, m, level, p] * sample
        torch.testing.assert_close(out[n, q, m], wanted, atol=1e-5, rtol=0)


def test_backends_agree_forward_and_backward():
    results = []
    for backend in BACKENDS:
        inputs = [x.requires_grad_() for x in random_case()]
        out = sample_maps(inputs[0], SHAPES, inputs[1], inputs[2], backend)
        mix = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
        results.append((out, *torch.autograd.grad((out * mix).sum(), inputs)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_equal_finite_differences(backend):
    values, locations, weights = random_case(torch.float64, spread=0.2)
    inputs = [values[:1], locations[:1, :3], weights[:1, :3]]
    inputs = [x.clone().requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(
        lambda v, at, w: sample_maps(v, SHAPES, at, w, backend), inputs, eps=1e-7, atol=1e-6
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_constant_map_gives_its_constant_inside(backend):
    values, locations, weights = random_case()
    weights = weights / weights.sum((-1, -2), keepdim=True)
    # half a pixel of the coarsest map from the border
    inside = locations.clamp(1 / 6, 5 / 6)
    out = sample_maps(torch.full_like(values, 2.5), SHAPES, inside, weights, backend)
    torch.testing.assert_close(out, torch.full_like(out, 2.5))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_one_pixel_map_is_constant_everywhere(backend):
    values, locations, weights = random_case()
    values[:, :-1] = 0
    out = sample_maps(values, SHAPES, locations, weights, backend)
    share = weights[..., 2, :].sum(-1)
    torch.testing.assert_close(out, (share[..., None] * values[:, -1, None]).flatten(2))


@pytest.mark.parametrize("backend", BACKENDS)
def test_far_locations_give_zero(backend):
    values, locations, weights = random_case()
    values[:, -1] = 0
    out = sample_maps(values, SHAPES, locations * 0 + 1e12, weights, backend)
    assert torch.equal(out, torch.zeros_like(out))


def test_auto_uses_embedding_bag_only_without_gradients(monkeypatch):
    taken = []
    for name in ("_bag", "_grid_sample"):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, name=name, real=real: taken.append(name) or real(*a))
    values, locations, weights = random_case()
    sample_maps(values, SHAPES, locations, weights)
    sample_maps(values.requires_grad_(), SHAPES, locations, weights)
    with torch.no_grad():
        sample_maps(values, SHAPES, locations, weights)
    assert taken == ["_bag", "_grid_sample", "_bag"]


def layer(backend="auto", shapes=((8, 12), (4, 6), (1, 1)), width=8):
    torch.manual_seed(0)
    return DeformableAttention(width, width, shapes, heads=4, points=3, backend=backend)


def test_zero_offsets_and_equal_weights_give_the_mean_of_the_maps_at_the_point():
    attention = layer()
    torch.nn.init.zeros_(attention.sampling_offsets.bias)
    for part in (attention.value_proj, attention.output_proj):
        torch.nn.init.eye_(part.weight)
    maps = torch.randn(1, 96 + 24 + 1, 8)
    point = torch.tensor([[[0.4, 0.7]]])
    out = attention(torch.randn(1, 1, 8), point, maps)
    samples = [
        bilinear(maps[0, :96].view(8, 12, 8), 0.4 * 12 - 0.5, 0.7 * 8 - 0.5),
        bilinear(maps[0, 96:120].view(4, 6, 8), 0.4 * 6 - 0.5, 0.7 * 4 - 0.5),
        maps[0, 120],
    ]
    torch.testing.assert_close(out[0, 0], torch.stack(samples).mean(0))


def test_offsets_are_pixels_of_their_level_x_first():
    """On a map whose values are its x (or y) in pixels, an offset of 1 adds 1 to x and 0 to y."""
    attention = layer()
    for part in (attention.value_proj, attention.output_proj):
        torch.nn.init.eye_(part.weight)
    attention.sampling_offsets.bias.data = torch.tensor([1.0, 0.0]).repeat(4 * 3 * 3)
    rows = []
    for height, width in attention.shapes:
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        # channels 2 m and 2 m + 1 are those of head m
        rows.append(torch.stack([x, y], -1).flatten(0, 1).repeat(1, 4).float())
    maps = torch.cat(rows)[None]
    maps[:, -1] = 0
    out = attention(torch.zeros(1, 1, 8), torch.tensor([[[0.5, 0.5]]]), maps)[0, 0].view(4, 2)
    # centres of the levels at x 5.5 and 2.5, y 3.5 and 1.5
    wanted = torch.tensor([(5.5 + 1 + 2.5 + 1) / 3, (3.5 + 1.5) / 3])
    torch.testing.assert_close(out, wanted.expand(4, 2))


def test_initial_offsets_have_one_direction_per_head():
    attention = DeformableAttention(16, 16, ((4, 4), (2, 2)), heads=8, points=4)
    bias = attention.sampling_offsets.bias.detach().view(8, 2, 4, 2)
    assert torch.equal(bias[:, 0], bias[:, 1])
    torch.testing.assert_close(bias[:3, 0, 0], torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(bias[:, 0, 3], 4 * bias[:, 0, 0])
    assert not attention.sampling_offsets.weight.any() and not attention.attention_weights.weight.any()


def test_locations_stay_float32_under_autocast(monkeypatch):
    """bf16 has 8 bits: on a 64 px map a sample would be a quarter of a pixel off."""
    attention = DeformableAttention(8, 8, ((64, 64),), heads=1, points=1)
    attention.sampling_offsets.bias.data.zero_()
    points = torch.rand(1, 50, 2)
    got = []

    def keep(values, shapes, locations, weights, backend):
        got.extend([locations, weights])
        return torch.zeros(1, 50, 8)

    monkeypatch.setattr(module, "sample_maps", keep)
    with torch.autocast("cpu", torch.bfloat16):
        attention(torch.randn(1, 50, 8, dtype=torch.bfloat16), points, torch.randn(1, 4096, 8))
    assert [x.dtype for x in got] == [torch.float32] * 2
    assert torch.equal(got[0][0, :, 0, 0, 0], points[0])


def test_unknown_backends_are_refused():
    with pytest.raises(BadInput, match="no sampling backend 'cuda'"):
        sample_maps(*random_case()[:1], SHAPES, *random_case()[1:], backend="cuda")
