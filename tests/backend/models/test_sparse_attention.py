import functools

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.spatial import ConvexHull

from backend.body.loader import load_body
from backend.body.mesh_levels import adjacency_of, body_levels
from backend.errors import BadInput
from backend.models.deformer import sparse_attention as module
from backend.models.deformer.sparse_attention import BACKENDS, flex_unusable, sparse_attention
from backend.models.deformer.sparse_pattern import JOINTS, AttentionPattern, mesh_pattern

TRAINABLE = ("sdpa", "tiles")  # FlexAttention has no gradients on the CPU
HEADS, WIDTH = 4, 16


def sphere(count):
    """Adjacency of a closed triangle mesh of `count` vertices in random order."""
    points = np.random.default_rng(0).normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return adjacency_of(ConvexHull(points).simplices, count)


@functools.cache
def body_adjacency():
    body = load_body("open")
    return body_levels(body.v_template.numpy(), body.faces.numpy()).adjacency


@functools.cache
def body_pattern(level, **options):
    return mesh_pattern(body_adjacency()[level], **options)


def random_inputs(tokens, count=2, grad=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, HEADS, tokens, WIDTH)
    return [torch.randn(shape, generator=generator).requires_grad_(grad) for _ in range(3)]


def with_gradients(pattern, backend, inputs):
    copies = [x.detach().clone().requires_grad_() for x in inputs]
    out = sparse_attention(*copies, pattern, backend)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(9))
    return out, torch.autograd.grad((out * weights).sum(), copies)


@pytest.mark.parametrize("count", [60, 200, 431])
def test_pairs_follow_from_the_number_of_vertices(count):
    """Euler: a closed genus-0 triangle mesh has 3 V - 6 edges, so 7 V - 12 pairs with the diagonal."""
    pattern = mesh_pattern(sphere(count))
    assert pattern.pairs.shape[1] == JOINTS**2 + 2 * JOINTS * count + 7 * count - 12


def test_pairs_of_the_open_body():
    """SMPL's mesh has the same sizes and is closed too, so these are the counts of the original's pattern."""
    assert [a.nnz for a in body_adjacency()] == [48218, 12049, 3005]
    patterns = [body_pattern(level) for level in (2, 1, 0)]
    assert [p.tokens for p in patterns] == [445, 1737, 6904]
    assert [p.pairs.shape[1] for p in patterns] == [15269, 60489, 241334]


@pytest.mark.parametrize("options", [{}, {"rings": 2}, {"tile16": True}])
def test_pattern_is_symmetric_with_full_joints_and_diagonal(options):
    allowed = body_pattern(2, **options).allowed()
    assert torch.equal(allowed, allowed.T)
    assert allowed[:JOINTS].all()
    assert allowed.diagonal().all()
    assert not allowed.all()


def test_two_rings_are_two_steps():
    adjacency = body_adjacency()[2].toarray() != 0
    twice = (adjacency.astype(int) @ adjacency.astype(int)) > 0
    assert np.array_equal(body_pattern(2, rings=2).allowed()[JOINTS:, JOINTS:].numpy(), twice)


def test_tile16_allows_full_blocks_in_the_tokens_order():
    exact, opened = body_pattern(2).allowed(), body_pattern(2, tile16=True).allowed()
    padded = torch.zeros(448, 448, dtype=torch.bool)
    padded[:445, :445] = exact
    blocks = padded.view(28, 16, 28, 16).any(3).any(1)
    assert torch.equal(opened, blocks.repeat_interleave(16, 0).repeat_interleave(16, 1)[:445, :445])


def test_every_pair_is_in_exactly_one_tile():
    pattern = body_pattern(1)
    counts = torch.zeros(pattern.tokens, pattern.tokens, dtype=torch.int64)
    counts[: pattern.dense] += 1
    used = torch.zeros(pattern.tile_queries.numel(), dtype=torch.bool)
    used[pattern.position] = True
    used = used.view(pattern.tile_queries.shape)
    for queries, keys, mask, real in zip(pattern.tile_queries, pattern.tile_keys, pattern.tile_mask, used, strict=True):
        rows, columns = (mask & real[:, None]).nonzero(as_tuple=True)
        counts.index_put_((queries[rows], keys[columns]), torch.ones(()).long(), accumulate=True)
    assert torch.equal(counts, pattern.allowed().long())


@pytest.mark.parametrize("options", [{}, {"rings": 2}, {"tile16": True}])
@pytest.mark.parametrize("backend", TRAINABLE)
def test_backends_agree_with_the_explicit_matrix(backend, options):
    pattern = body_pattern(2, **options)
    inputs = random_inputs(pattern.tokens)
    expected, expected_gradients = with_gradients(pattern, "math", inputs)
    out, gradients = with_gradients(pattern, backend, inputs)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)
    for given, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(given, wanted, atol=1e-5, rtol=0)


def test_flex_agrees_with_the_explicit_matrix():
    pattern = body_pattern(2)
    inputs = random_inputs(pattern.tokens)
    expected = sparse_attention(*inputs, pattern, "math")
    torch.testing.assert_close(sparse_attention(*inputs, pattern, "flex"), expected, atol=1e-5, rtol=0)


def test_tiles_at_6904_tokens_agree_with_single_rows():
    pattern = body_pattern(0)
    q, k, v = random_inputs(pattern.tokens, count=1)
    out = sparse_attention(q, k, v, pattern, "tiles")
    for row in (0, 13, 14, 15, 1000, 3333, 6903):
        allowed = pattern.pairs[1][pattern.pairs[0] == row]
        scores = (k[0][:, allowed] @ q[0, :, row, :, None])[..., 0] / WIDTH**0.5
        expected = (scores.softmax(-1)[:, None] @ v[0][:, allowed])[:, 0]
        torch.testing.assert_close(out[0, :, row], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_renumbering_vertices_renumbers_the_result(backend):
    adjacency = sphere(200)
    permutation = np.random.default_rng(1).permutation(200)
    tokens = torch.as_tensor(np.concatenate([np.arange(JOINTS), JOINTS + permutation]))
    inputs = random_inputs(200 + JOINTS)
    out = sparse_attention(*inputs, mesh_pattern(adjacency), backend)
    renumbered = mesh_pattern(adjacency[permutation][:, permutation])
    again = sparse_attention(*(x[:, :, tokens] for x in inputs), renumbered, backend)
    torch.testing.assert_close(again, out[:, :, tokens], atol=1e-5, rtol=0)


@pytest.mark.parametrize("backend", TRAINABLE)
def test_tile16_is_exact_where_the_mask_consists_of_blocks(backend):
    # two joints and fourteen vertices in the first block; then blocks that attend to themselves and their neighbours
    joints, blocks = 2, 6
    tokens = np.arange(blocks * 16)
    vertices = tokens[joints:] // 16
    apart = np.abs(vertices[:, None] - vertices)
    adjacency = sp.csr_matrix((apart <= 1) | (vertices == 0) | (vertices == 0)[:, None])
    exact = mesh_pattern(adjacency, joints=joints)
    opened = mesh_pattern(adjacency, joints=joints, tile16=True)
    assert torch.equal(exact.allowed(), opened.allowed())
    assert (exact.dense, opened.dense) == (2, 16)
    inputs = random_inputs(len(tokens))
    torch.testing.assert_close(
        sparse_attention(*inputs, opened, backend),
        sparse_attention(*inputs, exact, "math"),
        atol=1e-5,
        rtol=0,
    )


@pytest.mark.parametrize("backend", ["math", *TRAINABLE])
def test_dropout_drops_weights_and_keeps_the_mean(backend):
    pattern = body_pattern(2)
    q, k, _ = random_inputs(pattern.tokens, count=16)
    ones = torch.ones_like(q)
    torch.manual_seed(0)
    out = sparse_attention(q, k, ones, pattern, backend, dropout_p=0.3)
    assert out.std() > 0.1
    # the mean over 28 480 rows of weights that sum to 1
    assert abs(float(out.mean()) - 1) < 0.02
    for part in (out[:, :, :JOINTS], out[:, :, JOINTS:]):
        assert (part - 1).abs().max() > 0.01


def test_auto_uses_one_dense_attention_up_to_512_tokens(monkeypatch):
    taken = []
    real = module._tiles
    monkeypatch.setattr(module, "_tiles", lambda *a: taken.append(a[0].shape[-2]) or real(*a))
    for level in (2, 1):
        pattern = body_pattern(level)
        sparse_attention(*random_inputs(pattern.tokens, count=1), pattern)
    assert taken == [1737]


def test_a_pattern_first_used_in_inference_can_train():
    pattern = mesh_pattern(sphere(100))
    with torch.inference_mode():
        sparse_attention(*random_inputs(114), pattern, "sdpa")
    _, gradients = with_gradients(pattern, "sdpa", random_inputs(114))
    assert all(g.abs().sum() > 0 for g in gradients)


def test_flex_reports_why_it_cannot_run():
    pattern = mesh_pattern(sphere(100))
    with pytest.raises(BadInput, match="no gradients on the CPU"):
        sparse_attention(*random_inputs(114, grad=True), pattern, "flex")
    assert "dropout" in flex_unusable(*random_inputs(114), dropout_p=0.1)
    assert flex_unusable(*random_inputs(114)) == ""


def test_wrong_patterns_and_names_are_refused():
    pattern = mesh_pattern(sphere(100))
    with pytest.raises(BadInput, match="no attention backend 'fast'"):
        sparse_attention(*random_inputs(114), pattern, "fast")
    with pytest.raises(ValueError, match="for 114 tokens, not for 115"):
        sparse_attention(*random_inputs(115), pattern)
    lower = sp.csr_matrix(np.tril(np.ones((20, 20), bool)))
    with pytest.raises(ValueError, match="not symmetric"):
        AttentionPattern(lower, 1)
    with pytest.raises(ValueError, match="must attend to itself"):
        AttentionPattern(sp.csr_matrix(1 - np.eye(20)), 0)
    with pytest.raises(ValueError, match="first 2 tokens"):
        AttentionPattern(sp.identity(20, format="csr"), 2)
