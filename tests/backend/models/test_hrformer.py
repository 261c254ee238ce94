import pytest
import torch

from backend.models.backbones.hrformer import Block, FeedForward, HRFormer, RelativeAttention, WindowAttention
from backend.models.inference.engine import fold_batch_norm


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("size", "published"), [("small", 7.8), ("base", 43.2)])
def test_size_is_the_published_one(size, published):
    """In millions, of the pose network: one output of the last module, and a 1x1 heat-map layer."""
    net = HRFormer(size)
    extra = sum(parameters(net.stage4[1].fuse_layers[k]) for k in (1, 2, 3))
    head = 17 * (net.channels[0] + 1)
    assert abs((parameters(net) - extra + head) / 1e6 - published) < 0.06


def test_names_are_those_of_the_checkpoints():
    tensors = HRFormer("base").state_dict()
    shapes = {
        "conv1.weight": (64, 3, 3, 3),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "transition1.1.0.0.weight": (156, 256, 3, 3),
        "stage2.0.branches.1.1.norm1.weight": (156,),
        "stage3.3.branches.2.0.attn.attn.relative_position_bias_table": (169, 8),
        "stage3.3.branches.2.0.attn.attn.relative_position_index": (49, 49),
        "stage3.3.branches.2.0.attn.attn.qkv.weight": (936, 312),
        "stage4.1.branches.3.1.attn.attn.proj.bias": (624,),
        "stage4.0.branches.0.0.ffn.fc1.bias": (312,),
        "stage4.0.branches.0.0.ffn.dw3x3.weight": (312, 1, 3, 3),
        "stage4.0.branches.0.0.ffn.norm3.running_var": (78,),
        "stage4.1.fuse_layers.0.3.0.weight": (78, 624, 1, 1),
        "stage4.1.fuse_layers.3.0.1.0.weight": (78, 1, 3, 3),
        "stage4.1.fuse_layers.3.0.2.2.weight": (624, 78, 1, 1),
    }
    assert {name: tuple(tensors[name].shape) for name in shapes} == shapes


def test_four_maps_of_any_size_in_multiples_of_32():
    net = HRFormer("small").eval()
    with torch.no_grad():
        maps = net(torch.randn(2, 3, 96, 64))
    assert [tuple(m.shape) for m in maps] == [(2, 32, 24, 16), (2, 64, 12, 8), (2, 128, 6, 4), (2, 256, 3, 2)]
    assert net.channels == tuple(m.shape[1] for m in maps)


def test_windows_are_centred_and_attend_to_their_padding():
    """By hand: a 10 x 8 map in 14 x 14, two rows down and three columns in; padded pixels are keys like others."""
    torch.manual_seed(0)
    width, heads = 8, 2
    layer = WindowAttention(width, heads).eval()
    inner = layer.attn
    torch.nn.init.normal_(inner.relative_position_bias_table)
    x = torch.randn(1, 10, 8, width)
    out = layer(x)
    padded = torch.zeros(14, 14, width)
    padded[2:12, 3:11] = x[0]
    for y, column in [(0, 0), (4, 3), (5, 4), (9, 7)]:
        top, left = (y + 2) // 7 * 7, (column + 3) // 7 * 7
        window = padded[top : top + 7, left : left + 7]
        q, k, v = inner.qkv(window).chunk(3, -1)
        expected = []
        for h in range(heads):
            part = slice(h * width // heads, (h + 1) * width // heads)
            pixel = (y + 2 - top, column + 3 - left)
            scores = (k[..., part] * q[pixel][part]).sum(-1) / (width // heads) ** 0.5
            for i in range(7):
                for j in range(7):
                    row = (pixel[0] - i + 6) * 13 + pixel[1] - j + 6
                    scores[i, j] += inner.relative_position_bias_table[row, h]
            expected.append((scores.flatten().softmax(0)[:, None] * v[..., part].flatten(0, 1)).sum(0))
        torch.testing.assert_close(out[0, y, column], inner.proj(torch.cat(expected)), atol=1e-5, rtol=1e-4)


def test_the_convolution_connects_windows():
    torch.manual_seed(0)
    block = Block(8, 2, 0.0).eval()
    x = torch.randn(1, 8, 14, 14, requires_grad=True)
    block(x)[0, :, 6, 6].sum().backward()
    assert x.grad[0, :, 7, 7].abs().sum() > 0  # the next window
    assert x.grad[0, :, 13, 13].abs().sum() > 0  # its far corner: attention precedes the 3x3
    attention = RelativeAttention(8, 2)
    assert attention.relative_position_index.unique().numel() == 169


def test_the_feed_forward_part_ends_with_gelu():
    out = FeedForward(4).eval()(torch.randn(2, 4, 5, 5))
    assert out.min() > -0.171  # GELU's minimum


def test_drop_path_drops_samples_and_keeps_the_mean():
    block = Block(8, 2, 0.5)
    torch.manual_seed(0)
    kept = block._drop_path(torch.ones(4000, 2, 2, 1))
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(kept.amin((1, 2, 3)), kept.amax((1, 2, 3)))
    assert abs(float(kept.mean()) - 1) < 0.05
    assert torch.equal(block.eval()._drop_path(torch.ones(3, 1, 1, 1)), torch.ones(3, 1, 1, 1))


def test_folding_batch_norms_changes_rounding_only():
    torch.manual_seed(0)
    net = HRFormer("small")
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
    net.eval().requires_grad_(False)
    image = torch.randn(1, 3, 64, 64)
    expected = net(image)
    fold_batch_norm(net)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in net.modules())
    for one, other in zip(net(image), expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
