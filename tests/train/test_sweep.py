"""Sweeps: which trials a grid makes, what counts as the same sweep, the table and the best."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import ValidationError

from tinysql.errors import InputError
from tinysql.train.config import TrainingConfig
from tinysql.train.outcomes import Outcome, write_outcomes
from tinysql.train.sweep import SweepConfig, identify_sweep, trials_of

TRAINING = {"prompt_weight": 0, "steps": 10}
GRID = {"method": ["full", "lora"], "lr": [0.001, 0.01]}


def sweep_of(**changes: Any) -> SweepConfig:
    return SweepConfig(**{"training": TRAINING, "grid": GRID, **changes})


def finished(loss: float, exact_match: float = 0.5) -> Outcome:
    row = {"step": 10, "loss": loss, "exact_match": exact_match, "tokens": 90, "seconds": 1.5}
    return Outcome("finished", "", [{**row, "step": 5, "loss": 9.0}, row])


STOPPED = finished(0.0)._replace(ended="stopped")
DIVERGED = Outcome("diverged", "the loss is nan at step 2", [])


def test_trials_are_every_combination() -> None:
    trials = trials_of(sweep_of(grid={**GRID, "adapter.rank": [2, 4]}))
    assert [trial.name for trial in trials] == [f"trial-{n:03d}" for n in range(8)]
    tried = [(t.training.method, t.training.lr, t.training.adapter.rank) for t in trials]
    assert tried == [(m, lr, r) for m in ("full", "lora") for lr in (0.001, 0.01) for r in (2, 4)]
    assert {trial.training.steps for trial in trials} == {10}


def test_fields_inside_fields_are_the_same_as_dotted_ones() -> None:
    nested = sweep_of(grid={"adapter": {"rank": [2, 4]}, "lr": [1e-3]})
    assert nested == sweep_of(grid={"adapter.rank": [2, 4], "lr": [1e-3]})


def test_identity_is_that_of_the_trainings() -> None:
    spelled_out = {**TRAINING, "batch_rows": 64, "runtime": {"layout": "packed"}}
    same = sweep_of(training=spelled_out)
    assert identify_sweep(same) == identify_sweep(sweep_of())
    for change in ({"asha": None}, {"metric": "validation_exact_match"}, {"grid": {"lr": [1.0]}}):
        assert identify_sweep(sweep_of(**change)) != identify_sweep(sweep_of())


MISTAKES = {
    "unknown field": ({"grid": {**GRID, "rate": [1]}}, "grid.rate: unknown field of a training"),
    "bad value": ({"grid": {"lr": [1, -1]}}, "grid.lr: Input should be greater than 0 (got -1)"),
    "shared field": ({"training": {**TRAINING, "stepz": 1}}, "training.stepz: unknown field"),
    "missing field": ({"training": {}}, "training.prompt_weight: Field required"),
    "fields that do not fit": (
        {"grid": {**GRID, "optimizer": ["muon"]}},
        "optimizer muon is for method full",
    ),
    "answers": (
        {"grid": {**GRID, "execution_rows": [10]}},
        "execution_rows: trials run no answers",
    ),
    "no values": ({"grid": {"lr": []}}, "grid.lr: got [], expected distinct values"),
    "twice": ({"grid": {"lr": [1, 1]}}, "grid.lr: got [1, 1], expected distinct"),
    "no grid": ({"grid": {}}, "at least 1"),
    "role": ({"grid": {"lr": [1], "dataset": ["cs1"]}}, "expected dataset, or dataset- and a word"),
    "loss": ({"grid": {"lr": [1], "prompt_weight": [0, 1]}}, "set metric to validation_exact"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_said(case: str) -> None:
    changes, expected = MISTAKES[case]
    with pytest.raises(ValidationError) as raised:
        sweep_of(**changes)
    message = raised.value.errors()[0]["msg"]
    assert expected in message
    assert "\n" not in message


def test_best_is_the_best_that_finished_and_trains_again_as_written(tmp_path: Path) -> None:
    config = sweep_of(grid={"lr": [0.001, 0.002, 0.003, 0.01]})
    outcomes = [finished(0.4), finished(0.3), STOPPED, DIVERGED]
    metrics = write_outcomes(tmp_path, config, outcomes)
    assert [metrics[name] for name in ("trials", "finished", "stopped", "diverged")] == [4, 2, 1, 1]
    best = metrics["best"]["dataset"]
    assert (best["trial"], best["settings"], best["validation_loss"]) == (
        "trial-001", {"lr": 0.002}, 0.3
    )  # fmt: skip
    step = yaml.safe_load((tmp_path / "best.yaml").read_text())["model"]
    assert TrainingConfig(**step["config"]) == trials_of(config)[1].training
    rows = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert [row["lr"] for row in rows] == [0.001, 0.002, 0.003, 0.01]
    assert [row["best"] for row in rows] == [False, True, False, False]
    assert rows[3]["validation_loss"] is None
    lines = (tmp_path / "table.md").read_text().splitlines()
    names = [line.split(" | ")[0] for line in lines[2:]]
    assert names == ["| **trial-001**", "| trial-000", "| trial-002", "| trial-003"]


def test_best_of_each_dataset_by_exact_match(tmp_path: Path) -> None:
    config = sweep_of(
        grid={"dataset": ["dataset-a", "dataset"], "lr": [0.1, 0.2]},
        metric="validation_exact_match",
    )
    outcomes = [finished(0.1, 0.2), finished(0.9, 0.3), finished(0.5, 0.4), finished(0.4, 0.4)]
    best = write_outcomes(tmp_path, config, outcomes)["best"]
    assert {role: found["trial"] for role, found in best.items()} == {
        "dataset-a": "trial-001", "dataset": "trial-003"
    }  # fmt: skip
    steps = yaml.safe_load((tmp_path / "best.yaml").read_text())
    assert {name: step.get("uses") for name, step in steps.items()} == {
        "model-a": {"dataset": "dataset-a"}, "model": None
    }  # fmt: skip


def test_values_of_several_types_are_one_column(tmp_path: Path) -> None:
    grid = {"adapter.target_modules": ["all-linear", ["q_proj"]], "lr": [1]}
    write_outcomes(tmp_path, sweep_of(grid=grid), [finished(0.1), finished(0.2)])
    table = pq.read_table(tmp_path / "trials.parquet")
    assert table["adapter.target_modules"].to_pylist() == ['"all-linear"', '["q_proj"]']


def test_no_best_without_a_finished_trial(tmp_path: Path) -> None:
    config = sweep_of(grid={"lr": [1, 2]})
    with pytest.raises(InputError, match="no trial on dataset came .* the loss is nan at step 2"):
        write_outcomes(tmp_path, config, [DIVERGED, STOPPED])
