"""A frozen backbone looks at every training row once; what is kept is what it would have answered."""

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


ALONE = SimpleNamespace(is_global_zero=True, strategy=SimpleNamespace(barrier=lambda name: None))


def ask(cache, backbone, data, trainer=ALONE):
    cache.on_train_batch_start(trainer, None, data, 0)
    maps = backbone.features(data["image"])
    cache.on_train_batch_end(None, None, None, data, 0)
    return maps


def test_each_row_is_computed_once(backbone, tmp_path):
    cache = FeatureCache(backbone, lambda: tmp_path, 10)
    names = set(backbone.state_dict())
    cache.on_fit_start(None, None)
    first = ask(cache, backbone, batch(3, 7))
    computed = backbone.computed
    again = ask(cache, backbone, batch(7, 2, 3))
    assert backbone.computed == computed + 1  # row 2 alone
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b[[2, 0]])
    assert set(backbone.state_dict()) == names
    cache.on_fit_end(None, None)
    for found, true in zip(again, backbone.features(batch(7, 2, 3)["image"]), strict=True):
        torch.testing.assert_close(found, true, rtol=2e-3, atol=2e-3)  # half precision


def test_another_run_takes_what_is_there(backbone, tmp_path):
    one = FeatureCache(backbone, lambda: tmp_path, 10)
    one.on_fit_start(None, None)
    before = ask(one, backbone, batch(1, 5))
    one.on_fit_end(None, None)
    other = FeatureCache(backbone, lambda: tmp_path, 10)
    other.on_fit_start(None, None)
    computed = backbone.computed
    after = ask(other, backbone, batch(5, 1))
    assert backbone.computed == computed + 1  # one image, for the maps' sizes
    assert torch.equal(after[1], before[1][[1, 0]])


def test_validation_is_not_cached(backbone, tmp_path):
    cache = FeatureCache(backbone, lambda: tmp_path, 10)
    cache.on_fit_start(None, None)
    backbone.features(batch(1)["image"])
    assert not list(tmp_path.iterdir())


def test_a_resumed_run_caches_the_features_of_its_checkpoint(backbone, tmp_path):
    """The checkpoint's weights come after the callback is made: what they see must not be another backbone's."""
    run = load_run("smpler-backbone-small")
    folder = partial(cache_folder, run, tmp_path, [backbone])
    fresh = folder()
    cache = FeatureCache(backbone, folder, 10)
    cache.on_fit_start(None, None)
    with torch.no_grad():
        backbone.layer.weight += 1  # as a checkpoint does
    ask(cache, backbone, batch(3))
    assert folder() != fresh and (folder() / "done.npy").is_file() and not fresh.exists()


def test_other_rows_or_precision_have_a_cache_of_their_own(backbone, tmp_path):
    def folder(*overrides):
        return cache_folder(load_run("smpler-backbone-small", overrides), tmp_path, [backbone])

    assert folder("training.epochs=9") == folder()
    others = [folder("training.precision=bf16"), folder("seed=1"), folder("data.prepare.flip=0")]
    assert len({folder(), *others}) == 4


def test_early_features_are_cached_and_late_layers_learn(tmp_path):
    torch.manual_seed(0)
    backbone = BlazePose()
    for layer in backbone.early_layers():
        layer.requires_grad_(False)
    image = torch.rand(2, 3, 64, 64)
    true = backbone.features(image)
    cache = FeatureCache(backbone, lambda: tmp_path, 4, "early")
    cache.on_fit_start(None, None)
    data = {"row": torch.tensor([3, 1]), "image": image}
    ask(cache, backbone, data)
    ask_again = {"row": data["row"], "image": torch.zeros_like(image)}  # it is not looked at
    cache.on_train_batch_start(ALONE, None, ask_again, 0)
    maps = backbone.features(ask_again["image"])
    for found, expected in zip(maps, true, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)  # half precision between
    maps[-1].sum().backward()
    learns = {name.partition(".")[0] for name, p in backbone.named_parameters() if p.grad is not None}
    assert learns == {"stages", "top", "last", "head"}
    assert all(p.grad is None for layer in backbone.early_layers() for p in layer.parameters())


def _one_of_two(folder, rank, barrier, answers):
    torch.manual_seed(0)
    backbone = CountingBackbone()
    wait = lambda name: barrier.wait(600)  # noqa: E731
    trainer = SimpleNamespace(is_global_zero=rank == 0, strategy=SimpleNamespace(barrier=wait))
    cache = FeatureCache(backbone, lambda: folder, 8)
    cache.on_fit_start(trainer, None)
    ask(cache, backbone, batch(*range(rank, 8, 2)), trainer)
    computed = backbone.computed
    barrier.wait(600)
    maps = ask(cache, backbone, batch(*range(8)), trainer)
    answers.put((rank, backbone.computed - computed, [found.numpy() for found in maps]))


def test_two_processes_share_the_cache(backbone, tmp_path):
    """Each looks at its half alone, and finds the other's."""
    context = get_context("fork")
    barrier, answers = context.Barrier(2), context.Queue()
    both = [context.Process(target=_one_of_two, args=(tmp_path, rank, barrier, answers)) for rank in (0, 1)]
    for process in both:
        process.start()
    found = [answers.get(timeout=600) for _ in both]
    for process in both:
        process.join(600)
        assert process.exitcode == 0
    true = backbone.features(batch(*range(8))["image"])
    for _, computed, maps in found:
        assert computed == 0
        for own, other in zip(maps, true, strict=True):
            np.testing.assert_allclose(own, other.detach().numpy(), rtol=2e-3, atol=2e-3)


def test_every_epoch_is_as_the_first():
    def prepare(record, rng):
        return {"value": np.asarray(rng.random())}

    once = PreparedDataset([0, 1, 2], prepare, seed=4, fixed_augmentation=True)
    anew = PreparedDataset([0, 1, 2], prepare, seed=4)
    assert once[(0, 2)] == once[(5, 2)] == anew[(0, 2)] | {"row": 2}
    assert anew[(0, 2)] != anew[(5, 2)]
