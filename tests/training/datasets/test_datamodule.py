"""RecordData under Lightning: training, a stop in the middle of an epoch, and resume at the next batch."""

import lightning
import numpy as np
import pytest
import torch
from loader_fakes import Numbers, prepare

from backend.errors import BadInput
from training.datasets import tiny
from training.datasets.datamodule import RecordData
from training.datasets.tsv import write_lineidx


class _Model(lightning.LightningModule):
    """Records the rows and noise of its batches."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1, dtype=torch.float64)
        self.seen, self.validated = [], []

    def training_step(self, batch, _):
        self.seen.append(batch["x"].numpy().tobytes().hex())
        return self.layer(batch["x"].double()).square().mean()

    def validation_step(self, batch, _):
        self.validated += batch["row"].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-6)


def _trainer(tmp_path, **options):
    return lightning.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_progress_bar=False, num_sanity_val_steps=0,
        enable_model_summary=False, use_distributed_sampler=False, enable_checkpointing=False, **options,
    )  # fmt: skip


def _data(**options):
    return RecordData(prepare, Numbers(22), Numbers(5), batch_size=4, seed=6, **options)


class _Save(lightning.Callback):
    """Checkpoints in the middle of an epoch, after the last batch, and after the validation."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step in (1, 6, 8, 17):
            trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")

    def on_validation_end(self, trainer, _):
        if trainer.global_step == 12:
            trainer.save_checkpoint(self.folder / "12.ckpt")


@pytest.mark.parametrize("workers", [0, 2])
def test_exact_resume_from_any_checkpoint(tmp_path, workers):
    whole = _Model()
    _trainer(tmp_path, max_epochs=3, callbacks=[_Save(tmp_path)]).fit(whole, _data())
    assert len(set(whole.seen)) == 18 and whole.validated == [0, 1, 2, 3, 4] * 3
    for step in (1, 6, 8, 12, 17) if workers == 0 else (8,):
        model = _Model()
        trainer = _trainer(tmp_path, max_epochs=3)
        trainer.fit(model, _data(workers=workers), ckpt_path=tmp_path / f"{step}.ckpt", weights_only=True)
        assert model.seen == whole.seen[step:]
        for a, b in zip(whole.parameters(), model.parameters(), strict=True):
            assert torch.equal(a, b)


def test_a_run_stopped_by_max_steps_resumes_at_the_next_epoch(tmp_path):
    """Lightning then counts the epoch as finished, and so must the data module."""
    whole, first, second = _Model(), _Model(), _Model()
    _trainer(tmp_path, max_epochs=3).fit(whole, _data())
    trainer = _trainer(tmp_path, max_steps=8)
    trainer.fit(first, _data())
    trainer.save_checkpoint(tmp_path / "stopped.ckpt")
    trainer = _trainer(tmp_path, max_epochs=3)
    trainer.fit(second, _data(), ckpt_path=tmp_path / "stopped.ckpt", weights_only=True)
    assert first.seen == whole.seen[:8] and second.seen == whole.seen[12:]


def test_sets_are_built_from_tables_and_checked_by_setup(tmp_path):
    table = tiny.write("tsv", tmp_path, count=4)
    data = RecordData(_joints, table, [table, {**table, "every": 2}], table, batch_size=2)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["joints"].shape == (2, 24, 3)
    assert [len(loader.dataset) for loader in data.val_dataloader()] == [4, 2]
    data.setup("test")
    assert len(data.test_dataloader()) == 1
    path = tmp_path / "human3.6m" / "train.label.tsv"
    content = path.read_bytes().replace(b'"has_smpl": 1', b'"has_smpl": 9')
    path.write_bytes(content.replace(b'"betas": [', b'"betas": [NaN, ', 1))
    write_lineidx(path)
    with pytest.raises(BadInput, match=r"cannot be trained on:\n.*train\.label\.tsv, row 0: 'betas' has shape"):
        RecordData(_joints, table).setup("fit")


def _joints(record, rng):
    return {"joints": np.asarray(record.joints2d)}


class _Process:
    """A fake trainer of one process in a group."""

    accumulate_grad_batches = 1

    world_size, current_epoch = 2, 0

    def __init__(self, rank, own_sampler=False):
        self.global_rank = rank
        self._accelerator_connector = type("Connector", (), {"use_distributed_sampler": own_sampler})()


def _opened(batch_size, rank=None):
    """The data of one process alone, or of process `rank` of two."""
    data = RecordData(prepare, Numbers(22), Numbers(5), batch_size=batch_size, seed=6)
    data.setup("fit")
    if rank is not None:
        data.trainer = _Process(rank)
    return data


def _batches(data):
    return [batch["row"].tolist() for batch in data.train_dataloader()]


def test_processes_shard_global_batches_and_evaluation_rows():
    loaders, validated = [], []
    for rank in (0, 1):
        data = _opened(2, rank)
        loaders.append(list(data.train_dataloader()))
        validated += [row for loader in data.val_dataloader() for b in loader for row in b["row"].tolist()]
    for whole, *parts in zip(_opened(4).train_dataloader(), *loaders, strict=True):
        assert torch.equal(whole["x"], torch.cat([p["x"] for p in parts]))
    assert sorted(validated) == [0, 1, 2, 3, 4]
    data.trainer = _Process(0, own_sampler=True)
    with pytest.raises(BadInput, match="use_distributed_sampler=False"):
        data.train_dataloader()


def test_resume_with_more_processes():
    first = _opened(4)
    stream = iter(first.train_dataloader())
    seen = [next(stream)["row"].tolist() for _ in range(2)]
    state = first.state_dict()
    rest = []
    for rank in (0, 1):
        data = _opened(2, rank)
        data.load_state_dict(state)
        rest.append(_batches(data))
    assert seen + [a + b for a, b in zip(*rest, strict=True)] == _batches(_opened(4))
