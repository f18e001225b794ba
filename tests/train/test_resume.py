"""What a training run leaves when it ends early, and how it goes on from there."""

import itertools
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from training_models import kept_in, model_of, restored_from, worker_of

from tinysql.errors import InputError
from tinysql.train import engine as engine_module
from tinysql.train import fit as fit_module
from tinysql.train.batches import Batch
from tinysql.train.config import TrainingConfig
from tinysql.train.fit import Splits, fit
from tinysql.train.worker import Record

pytestmark = pytest.mark.usefixtures("gang_of_one")


def config_of(**changes: Any) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {"prompt_weight": 0.1, "steps": 12, "batch_rows": 8, "lr": 3e-3, "warmup_steps": 2,
         "precision": "fp32", **changes}
    )  # fmt: skip


def trained(log: list[Record]) -> list[float]:
    return [record["loss"] for record in log if record["split"] == "train"]


MUON = config_of(optimizer="muon", zero_stage=1)
SHARDED = {
    f"zero-{stage}": config_of(zero_stage=stage, weight_decay=0.1) for stage in range(4)
} | {"muon": MUON}


def in_a_gang_of_two(rank: int, folder: Path, splits: Splits) -> None:
    os.environ["LOCAL_RANK"] = str(rank)
    engine_module.WHOLE_BELOW = 0
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    for name, config in SHARDED.items():
        worker = worker_of(save=kept_in(folder / name), rank=rank, world_size=2)
        fit(model_of("llama"), splits, config, worker)
    dist.destroy_process_group()


def noticed_in_a_gang_of_two(rank: int, folder: Path, splits: Splits) -> None:
    """A notice in the middle of what a record of the log is the mean of, and a start from there."""
    os.environ["LOCAL_RANK"] = str(rank)
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    fit_module.ASK_SECONDS = 0.0  # at every step
    config = config_of(steps=100)
    steps = itertools.count(1)
    place: dict[str, Any] = {"rank": rank, "world_size": 2}
    worker = worker_of(save=kept_in(folder), is_ending=lambda: next(steps) >= 6, **place)
    expected = trained(fit(model_of("llama"), splits, config, worker))
    dist.barrier()
    worker = worker_of(restore=restored_from(folder / "6"), **place)
    assert trained(fit(model_of("llama"), splits, config, worker)) == expected
    dist.destroy_process_group()


def test_two_workers_write_the_log_of_an_undisturbed_run(splits: Splits, tmp_path: Path) -> None:
    multiprocessing.spawn(noticed_in_a_gang_of_two, (tmp_path, splits), nprocs=2)
    assert (tmp_path / "6" / "run.json").exists()


def test_another_number_of_workers_goes_on_where_two_were(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "WHOLE_BELOW", 0)
    multiprocessing.spawn(in_a_gang_of_two, (tmp_path, splits), nprocs=2)
    for name, config in SHARDED.items():
        if config is MUON:
            continue
        expected = trained(fit(model_of("llama"), splits, config, worker_of()))
        worker = worker_of(restore=restored_from(tmp_path / name / "6"))
        log = fit(model_of("llama"), splits, config, worker)
        assert trained(log) == pytest.approx(expected, abs=1e-4), name
        assert log[-1]["step"] == 12
    with pytest.raises(InputError, match=r"of 2 workers, this is 1: .*--workers 2, or"):
        worker = worker_of(restore=restored_from(tmp_path / "muon" / "6"))
        fit(model_of("llama"), splits, MUON, worker)


def test_a_loss_that_is_no_number_ends_training_in_one_line(
    splits: Splits, tmp_path: Path
) -> None:
    config = config_of(lr=1e30, max_grad_norm=1e30, warmup_steps=0, steps=30)
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step \d+: lower lr") as raised:
        fit(model_of("llama"), splits, config, worker_of(save=kept_in(tmp_path)))
    assert "\n" not in str(raised.value)


def test_a_loss_that_is_no_number_any_more_leaves_the_checkpoint(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned_batch(*args: Any, **kwargs: Any) -> Batch:
        batch = original(*args, **kwargs)
        weight = math.inf if list(tmp_path.iterdir()) else 1.0
        return batch._replace(weights=batch.weights * weight)

    original = fit_module.make_batch
    monkeypatch.setattr(fit_module, "make_batch", poisoned_batch)
    config = config_of(steps=30)
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step \d+: .*s are kept"):
        fit(model_of("llama"), splits, config, worker_of(save=kept_in(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["3"]
    assert all(math.isfinite(loss) for loss in _losses_in(tmp_path))
    monkeypatch.undo()
    worker = worker_of(restore=restored_from(tmp_path / "3"))
    assert fit(model_of("llama"), splits, config, worker)[-1]["step"] == 30


def test_weights_that_are_no_numbers_are_never_kept(splits: Splits, tmp_path: Path) -> None:
    # Every step is a milestone, and the loss of the first step is from before its update.
    config = config_of(lr=1e38, max_grad_norm=1e30, warmup_steps=0, steps=1)
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step 1: lower lr"):
        fit(model_of("llama"), splits, config, worker_of(save=kept_in(tmp_path)))
    assert not list(tmp_path.iterdir())


def test_nothing_is_kept_at_a_notice_after_the_loss_was_no_number(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "ASK_SECONDS", 0.0)  # at every step
    config = config_of(lr=1e38, max_grad_norm=1e30, warmup_steps=0, steps=100)
    asked: list[bool] = []

    def is_ending() -> bool:
        asked.append(True)
        return len(asked) >= 3

    worker = worker_of(save=kept_in(tmp_path), is_ending=is_ending)
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step 3: lower lr"):
        fit(model_of("llama"), splits, config, worker)
    assert not list(tmp_path.iterdir())


def _losses_in(folder: Path) -> list[float]:
    states = [json.loads(path.read_text()) for path in folder.glob("*/run.json")]
    return [record["loss"] for state in states for record in state["log"]]


def test_memory_that_runs_out_is_one_line_and_leaves_the_checkpoint(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy_batch(*args: Any, **kwargs: Any) -> Any:
        if list(tmp_path.iterdir()):
            torch.empty(2**60)  # a real refusal of the allocator
        return original(*args, **kwargs)

    original = fit_module.make_batch
    monkeypatch.setattr(fit_module, "make_batch", greedy_batch)
    with pytest.raises(InputError, match="no memory left with 8 rows at once") as raised:
        fit(model_of("llama"), splits, config_of(), worker_of(save=kept_in(tmp_path)))
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_a_machine_about_to_go_is_answered_with_one_checkpoint_more(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "ASK_SECONDS", 0.0)  # at every step
    config = config_of(steps=100)
    asked: list[bool] = []

    def is_ending() -> bool:
        asked.append(True)
        return len(asked) >= 6

    undisturbed = model_of("llama")
    worker = worker_of(save=kept_in(tmp_path), is_ending=is_ending)
    log = fit(undisturbed, splits, config, worker)
    saved = sorted(int(path.name) for path in tmp_path.iterdir())
    assert saved == sorted([6, *range(10, 101, 10)])
    resumed = model_of("llama")
    found = fit(resumed, splits, config, worker_of(restore=restored_from(tmp_path / "6")))
    assert trained(found) == trained(log)
    weights, others = undisturbed.state_dict(), resumed.state_dict()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_every_notice_is_answered_with_a_checkpoint(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "ASK_SECONDS", 0.0)  # at every step
    asked = itertools.count(1)
    worker = worker_of(
        save=kept_in(tmp_path), is_ending=lambda: next(asked) in (2, 3, 5)
    )
    fit(model_of("llama"), splits, config_of(steps=100), worker)
    saved = {int(path.name) for path in tmp_path.iterdir()}
    assert sorted(saved - set(range(10, 101, 10))) == [2, 5]


class Planted:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_that_names_code_is_refused_and_not_run(
    splits: Splits, tmp_path: Path
) -> None:
    fit(model_of("llama"), splits, config_of(), worker_of(save=kept_in(tmp_path)))
    (weights,) = (tmp_path / "6").rglob("mp_rank_00_model_states.pt")
    torch.save({"module": Planted(tmp_path / "made")}, weights)
    worker = worker_of(restore=restored_from(tmp_path / "6"))
    with pytest.raises(InputError, match="holds more than weights and numbers"):
        fit(model_of("llama"), splits, config_of(), worker)
    assert not (tmp_path / "made").exists()
