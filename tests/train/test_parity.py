"""The trainer against transformers' own, and against itself in other layouts and gangs."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from safetensors.torch import load_file, save_file
from torch.optim.lr_scheduler import LambdaLR
from training_models import ALL_CLASSES, CLASSES, model_of, worker_of
from transformers import PreTrainedModel, Trainer, TrainingArguments

from tinysql.train import engine as engine_module
from tinysql.train.batches import batch_order, make_batch
from tinysql.train.config import TrainingConfig
from tinysql.train.engine import LossModel, make_engine
from tinysql.train.fit import Splits, fit
from tinysql.train.worker import Record

pytestmark = pytest.mark.usefixtures("gang_of_one")

CONFIG = TrainingConfig(
    prompt_weight=0.0, steps=20, batch_rows=8, lr=3e-3, warmup_steps=2, schedule="cosine",
    precision="fp32", weight_decay=0.1,
)  # fmt: skip


def trained(log: list[Record]) -> list[float]:
    return [record["loss"] for record in log if record["split"] == "train"]


def changed(**changes: Any) -> TrainingConfig:
    runtime = changes.pop("runtime", {})
    return TrainingConfig.model_validate(
        {**CONFIG.model_dump(), **changes, "runtime": runtime}
    )


def with_transformers(model: PreTrainedModel, splits: Splits, folder: Path) -> list[float]:
    """The losses of the same batches, labels, optimizer and schedule in transformers' Trainer."""
    rows = splits.train
    order = batch_order(rows.lengths, CONFIG.batch_rows, seed=CONFIG.seed, start_step=0)
    batches = []
    for numbers in itertools.islice(order, CONFIG.steps):
        batch = make_batch(rows, numbers, prompt_weight=0.0, device="cpu")
        labels = torch.full_like(batch.input_ids, -100)
        labels[:, 1:] = torch.where(batch.weights > 0, batch.targets, -100)[:, :-1]
        mask = torch.arange(labels.shape[1]) < torch.tensor(rows.lengths[numbers])[:, None]
        batches.append(
            {"input_ids": batch.input_ids, "labels": labels, "attention_mask": mask.long()}
        )
    trainer = Trainer(
        model,
        TrainingArguments(
            str(folder), max_steps=CONFIG.steps, per_device_train_batch_size=1, logging_steps=2,
            max_grad_norm=CONFIG.max_grad_norm, report_to="none", use_cpu=True, save_strategy="no",
            disable_tqdm=True, learning_rate=CONFIG.lr, adam_beta2=0.95,
            weight_decay=CONFIG.weight_decay,
        ),
        train_dataset=batches,
        data_collator=lambda one: one[0],
    )  # fmt: skip
    trainer.lr_scheduler = LambdaLR(trainer.create_optimizer(), CONFIG.rate_at)
    trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(batches)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("name", CLASSES)
def test_losses_are_those_of_the_trainer_of_transformers(
    name: str, splits: Splits, tmp_path: Path
) -> None:
    expected = with_transformers(model_of(name), splits, tmp_path)
    found = trained(fit(model_of(name), splits, CONFIG, worker_of()))
    assert found == pytest.approx(expected, abs=1e-4)
    assert found[-1] < found[0] - 0.3


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    "runtime",
    [{"micro_rows": 2}, {"layout": "packed", "pack_tokens": 100}, {"gradient_checkpointing": True}],
    ids=str,
)
def test_runtime_settings_change_no_loss(
    name: str, runtime: dict[str, Any], splits: Splits
) -> None:
    expected = fit(model_of(name), splits, CONFIG, worker_of())
    found = fit(model_of(name), splits, changed(runtime=runtime), worker_of())
    for key in ("loss", "grad_norm"):
        values = [[each[key] for each in log if each["split"] == "train"]
                  for log in (found, expected)]  # fmt: skip
        assert values[0] == pytest.approx(values[1], rel=1e-3)


SHARDED = {f"zero-{stage}": {"zero_stage": stage} for stage in range(4)} | {
    "muon": {"optimizer": "muon", "lr": 3e-3}
}


def in_a_gang_of_two(rank: int, folder: Path, splits: Splits) -> None:
    os.environ["LOCAL_RANK"] = str(rank)
    engine_module.WHOLE_BELOW = 0
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    for name, changes in SHARDED.items():
        model = model_of("llama")
        log = fit(model, splits, changed(**changes), worker_of(rank=rank, world_size=2))
        save_file(dict(model.named_parameters()), folder / f"{name}-{rank}.safetensors")
        (folder / f"{name}-{rank}.json").write_text(json.dumps(log))
    dist.destroy_process_group()


def test_every_zero_stage_and_number_of_workers_gives_the_same_model(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "WHOLE_BELOW", 0)
    multiprocessing.spawn(in_a_gang_of_two, (tmp_path, splits), nprocs=2)
    for name, changes in SHARDED.items():
        model = model_of("llama")
        expected = fit(model, splits, changed(**{**changes, "zero_stage": 0}), worker_of())
        weights = dict(model.named_parameters())
        for rank in range(2):
            log = json.loads((tmp_path / f"{name}-{rank}.json").read_text())
            assert trained(log) == pytest.approx(trained(expected), abs=1e-4), name
            assert [each["tokens"] for each in log] == [each["tokens"] for each in expected]
            found = load_file(tmp_path / f"{name}-{rank}.safetensors")
            assert found.keys() == weights.keys()
            for key, weight in found.items():
                assert torch.allclose(weight, weights[key], rtol=0, atol=1e-3), (name, key)
    plain = trained(fit(model_of("llama"), splits, CONFIG, worker_of()))
    for stage in (1, 2, 3):
        alone = trained(fit(model_of("llama"), splits, changed(zero_stage=stage), worker_of()))
        assert alone == pytest.approx(plain, abs=1e-4), stage


@pytest.mark.parametrize("name", ALL_CLASSES)
def test_zero_3_leaves_whole_weights(
    name: str, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "WHOLE_BELOW", 0)
    plain, sharded = model_of(name), model_of(name)
    shapes = {key: weight.shape for key, weight in plain.named_parameters()}
    fit(plain, splits, changed(steps=4), worker_of())
    fit(sharded, splits, changed(steps=4, zero_stage=3), worker_of())
    found = dict(sharded.named_parameters())
    assert {key: weight.shape for key, weight in found.items()} == shapes
    for key, weight in plain.named_parameters():
        assert torch.allclose(found[key], weight, rtol=0, atol=1e-4), key


@pytest.mark.parametrize("name", ALL_CLASSES)
def test_muon_has_the_matrices_of_the_blocks_alone(name: str) -> None:
    loss_model = LossModel(model_of(name), "fp32")
    engine = make_engine(loss_model, changed(optimizer="muon", lr=3e-3), world_size=1)
    of_blocks = {
        key
        for key, weight in loss_model.causal.named_parameters()
        if weight.ndim >= 2 and any(part.isdecimal() for part in key.split("."))
    }
    assert of_blocks
    found = {key for key, weight in loss_model.causal.named_parameters() if weight.use_muon}
    engine.destroy()
    assert found == of_blocks
