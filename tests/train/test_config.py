"""Training settings: the schedule's shape, refusals, and what makes two base models the same."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tinysql.errors import InputError
from tinysql.train.config import BaseConfig, TrainingConfig, identify_base

SETTINGS = {"prompt_weight": 0.1, "steps": 100, "lr": 1e-3}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def config_of(**changes: Any) -> TrainingConfig:
    return TrainingConfig(**{**SETTINGS, **changes})


def test_rate_rises_holds_and_falls() -> None:
    config = config_of(warmup_steps=10, decay_fraction=0.4)
    rates = [config.rate_at(step) for step in range(101)]
    assert rates[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert rates[10:61] == [1.0] * 51
    assert rates[60:99] == pytest.approx([(100 - step) / 40 for step in range(60, 99)])
    assert rates[100] == 0.02
    assert all(0.02 <= rate <= 1 for rate in rates)


@pytest.mark.parametrize("warmup_steps", [0, 1])
def test_rate_without_rise_and_fall_is_constant(warmup_steps: int) -> None:
    config = config_of(warmup_steps=warmup_steps, decay_fraction=0.0)
    assert {config.rate_at(step) for step in range(101)} == {1.0}


def test_rate_of_all_decay_falls_from_the_start() -> None:
    config = config_of(warmup_steps=0, decay_fraction=1.0)
    assert [config.rate_at(step) for step in (0, 50, 99, 100)] == [1.0, 0.5, 0.02, 0.02]


@pytest.mark.parametrize(
    "mistake",
    [
        {"prompt_weight": 1.1},
        {"steps": 0},
        {"lr": 0.0},
        {"batch_rows": 0},
        {"decay_fraction": 1.5},
        {"zero_stage": 4},
        {"optimizer": "muon", "zero_stage": 3},
        {"precision": "fp16"},
        {"epochs": 2},
    ],
    ids=str,
)
def test_training_mistake_is_refused(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config_of(**mistake)


@pytest.mark.parametrize(
    "mistake",
    [
        {"source": "org/model"},
        {"source": "org/model", "revision": "main"},
        {"source": "org/model", "revision": COMMIT[:7]},
        {"source": "scratch", "revision": COMMIT},
        {"source": "./model", "revision": COMMIT},
        {"vocab_size": 299},
        {"architecture": {"num_layers": 0}},
    ],
    ids=str,
)
def test_base_mistake_is_refused(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BaseConfig(**mistake)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def identity_of(folder: Path, **changes: Any) -> dict[str, Any]:
    return identify_base(BaseConfig(source=str(folder), **changes))


def test_local_base_counts_by_content_and_not_by_path(folder: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    (moved / "notes.md").write_text("no part of the model")
    (moved / "pytorch_model.bin").write_bytes(b"never read")
    assert identity_of(moved) == identity_of(folder)
    assert identity_of(moved, vocab_size=500) == identity_of(folder)
    assert str(folder) not in str(identity_of(folder))


@pytest.mark.parametrize("file_name", ["model.safetensors", "tokenizer.json"])
def test_local_base_with_another_file_is_another(folder: Path, file_name: str) -> None:
    before = identity_of(folder)
    (folder / file_name).write_bytes(b"others")
    changed = identity_of(folder)
    (folder / file_name).rename(folder / f"renamed-{file_name}")
    assert before != changed != identity_of(folder) != before


def test_local_base_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json"):
        identity_of(tmp_path)


@pytest.mark.parametrize(
    ("runtime", "workers"), [({}, {1, 2, 4}), ({"micro_rows": 4}, {1, 2}), ({"micro_rows": 8}, {1})]
)
def test_workers_share_passes_evenly(runtime: dict[str, int], workers: set[int]) -> None:
    config = config_of(batch_rows=8, runtime=runtime)
    assert {n for n in (1, 2, 4) if config.shared_rows % n == 0} == workers
    for number in workers:
        config.rows_per_worker(number)


def test_hub_base_counts_by_name_and_commit() -> None:
    one = identify_base(BaseConfig(source="org/model", revision=COMMIT, vocab_size=500))
    assert one == {"source": "org/model", "revision": COMMIT}


def test_scratch_base_counts_every_setting() -> None:
    identities = [
        identify_base(BaseConfig(**changes))
        for changes in ({}, {"vocab_size": 500}, {"architecture": {"num_layers": 2}})
    ]
    assert identities[0] != identities[1] != identities[2] != identities[0]
