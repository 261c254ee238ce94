"""The feature cache: a frozen backbone runs once per training row, and cached features equal its output."""

from functools import partial
from multiprocessing import get_context
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from backend.models.backbones.blazepose import BlazePose
from training.datasets.loader import PreparedDataset
from training.engine.feature_cache import FeatureCache, cache_folder
from training.run.spec import load_run


class CountingBackbone(nn.Module):
    channels = (3, 6)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 6, 2, 2)
        self.computed = 0

    def features(self, x: Tensor) -> list[Tensor]:
        self.computed += len(x)
        return [x, self.layer(x)]


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return CountingBackbone()


def batch(*rows):
    return {"row": torch.tensor(rows), "image": torch.stack([torch.full((3, 4, 4), float(r)) for r in rows])}


SINGLE_PROCESS = SimpleNamespace(is_global_zero=True, strategy=SimpleNamespace(barrier=lambda name: None))


def cached_features(cache, backbone, data, trainer=SINGLE_PROCESS):
    cache.on_train_batch_start(trainer, None, data, 0)
    maps = backbone.features(data["image"])
    cache.on_train_batch_end(None, None, None, data, 0)
    return maps


def test_each_row_is_computed_once(backbone, tmp_path):
    cache = FeatureCache(backbone, lambda: tmp_path, 10)
    names = set(backbone.state_dict())
    cache.on_fit_start(None, None)
    first = cached_features(cache, backbone, batch(3, 7))
    computed = backbone.computed
    again = cached_features(cache, backbone, batch(7, 2, 3))
    assert backbone.computed == computed + 1  # row 2 alone
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b[[2, 0]])
    assert set(backbone.state_dict()) == names
    cache.on_fit_end(None, None)
    for features, expected_maps in zip(again, backbone.features(batch(7, 2, 3)["image"]), strict=True):
        torch.testing.assert_close(features, expected_maps, rtol=2e-3, atol=2e-3)  # float16


def test_another_run_uses_the_cache(backbone, tmp_path):
    one = FeatureCache(backbone, lambda: tmp_path, 10)
    one.on_fit_start(None, None)
    before = cached_features(one, backbone, batch(1, 5))
    one.on_fit_end(None, None)
    other = FeatureCache(backbone, lambda: tmp_path, 10)
    other.on_fit_start(None, None)
    computed = backbone.computed
    after = cached_features(other, backbone, batch(5, 1))
    assert backbone.computed == computed + 1  # one image, for the maps' sizes
    assert torch.equal(after[1], before[1][[1, 0]])


def test_validation_is_not_cached(backbone, tmp_path):
    cache = FeatureCache(backbone, lambda: tmp_path, 10)
    cache.on_fit_start(None, None)
    backbone.features(batch(1)["image"])
    assert not list(tmp_path.iterdir())


def test_a_resumed_run_caches_the_features_of_its_checkpoint(backbone, tmp_path):
    """The checkpoint is loaded after the callback is built: the cache must belong to the loaded weights."""
    run = load_run("smpler-backbone-small")
    folder = partial(cache_folder, run, tmp_path, [backbone])
    fresh = folder()
    cache = FeatureCache(backbone, folder, 10)
    cache.on_fit_start(None, None)
    with torch.no_grad():
        backbone.layer.weight += 1  # as a checkpoint does
    cached_features(cache, backbone, batch(3))
    assert folder() != fresh and (folder() / "done.npy").is_file() and not fresh.exists()


def test_the_cache_folder_depends_on_seed_preparation_and_precision(backbone, tmp_path):
    def folder(*overrides):
        return cache_folder(load_run("smpler-backbone-small", overrides), tmp_path, [backbone])

    assert folder("training.epochs=9") == folder()
    others = [folder("training.precision=bf16"), folder("seed=1"), folder("data.prepare.flip=0")]
    assert len({folder(), *others}) == 4


def test_early_features_are_cached_and_later_layers_are_trained(tmp_path):
    torch.manual_seed(0)
    backbone = BlazePose()
    for layer in backbone.early_layers():
        layer.requires_grad_(False)
    image = torch.rand(2, 3, 64, 64)
    expected_maps = backbone.features(image)
    cache = FeatureCache(backbone, lambda: tmp_path, 4, "early")
    cache.on_fit_start(None, None)
    data = {"row": torch.tensor([3, 1]), "image": image}
    cached_features(cache, backbone, data)
    same_rows = {"row": data["row"], "image": torch.zeros_like(image)}  # unused
    cache.on_train_batch_start(SINGLE_PROCESS, None, same_rows, 0)
    maps = backbone.features(same_rows["image"])
    for features, expected in zip(maps, expected_maps, strict=True):
        torch.testing.assert_close(features, expected, rtol=1e-2, atol=1e-2)  # cached as float16
    maps[-1].sum().backward()
    trained = {name.partition(".")[0] for name, p in backbone.named_parameters() if p.grad is not None}
    assert trained == {"stages", "top", "last", "head"}
    assert all(p.grad is None for layer in backbone.early_layers() for p in layer.parameters())


def _process_half(folder, rank, barrier, results):
    torch.manual_seed(0)
    backbone = CountingBackbone()
    wait = lambda name: barrier.wait(600)  # noqa: E731
    trainer = SimpleNamespace(is_global_zero=rank == 0, strategy=SimpleNamespace(barrier=wait))
    cache = FeatureCache(backbone, lambda: folder, 8)
    cache.on_fit_start(trainer, None)
    cached_features(cache, backbone, batch(*range(rank, 8, 2)), trainer)
    computed = backbone.computed
    barrier.wait(600)
    maps = cached_features(cache, backbone, batch(*range(8)), trainer)
    results.put((rank, backbone.computed - computed, [features.numpy() for features in maps]))


def test_two_processes_share_the_cache(backbone, tmp_path):
    """Each computes half of the rows, and reads the other half."""
    context = get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    both = [context.Process(target=_process_half, args=(tmp_path, rank, barrier, results)) for rank in (0, 1)]
    for process in both:
        process.start()
    features = [results.get(timeout=600) for _ in both]
    for process in both:
        process.join(600)
        assert process.exitcode == 0
    expected_maps = backbone.features(batch(*range(8))["image"])
    for _, computed, maps in features:
        assert computed == 0
        for own, other in zip(maps, expected_maps, strict=True):
            np.testing.assert_allclose(own, other.detach().numpy(), rtol=2e-3, atol=2e-3)


def test_fixed_augmentation_repeats_epoch_0():
    def prepare(record, rng):
        return {"value": np.asarray(rng.random())}

    fixed = PreparedDataset([0, 1, 2], prepare, seed=4, fixed_augmentation=True)
    per_epoch = PreparedDataset([0, 1, 2], prepare, seed=4)
    assert fixed[(0, 2)] == fixed[(5, 2)] == per_epoch[(0, 2)] | {"row": 2}
    assert per_epoch[(0, 2)] != per_epoch[(5, 2)]
