"""The sweep verb: a plan with the number of trials, the table, and a driver that is killed."""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from model_folders import write_model
from processes import Start, Tinysql

from jobs.kinds import KINDS
from jobs.recipes import load_recipe, make_recipe
from jobs.wiring import build_steps

RECIPE = """
description: A sweep as small as it can be.
steps:
  base:
    config: {source: ./model}
  dataset-cs{cs}:
    kind: dataset
    for: {cs: [1, 2]}
    config: {command_sets: ["{cs}"], train_rows: 100, validation_rows: 10, test_rows: 1, max_columns: 3}
  sweep:
    config:
      training: {prompt_weight: 0, steps: 4, batch_rows: 8, warmup_steps: 0}
      grid: {dataset: [dataset-cs1, dataset-cs2], lr: [0.001, 1.0e+30]}
      asha: null
"""  # noqa: E501


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    (tmp_path / "model").mkdir()
    write_model(tmp_path / "model")
    (tmp_path / "sweep.yaml").write_text(RECIPE)
    return "sweep.yaml"


def sweep_of(stdout: str) -> dict[str, Any]:
    summary = json.loads(stdout.splitlines()[-1])
    return next(step for step in summary.get("plan") or summary["steps"] if step["name"] == "sweep")


def files_of(tmp_path: Path, step: dict[str, Any]) -> dict[str, Path]:
    folder = tmp_path / "runs" / step["path"]
    manifest = json.loads((folder / "manifest.json").read_text())
    return {ref["name"]: tmp_path / "runs" / ref["key"] for ref in manifest["objects"]}


def attempts(tmp_path: Path) -> dict[str, str]:
    """Which attempt did each trial."""
    receipts = tmp_path.glob("runs/sweep/*/receipts/*.json")
    return {path.stem: json.loads(path.read_text())["attempt"] for path in receipts}


def test_plan_says_how_many_trials(tinysql: Tinysql, recipe: str):
    done = tinysql("sweep", recipe, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert sweep_of(done.stdout)["note"] == "4 trials"
    more = ["--set", "sweep.grid.adapter.rank=[2,4,8]", "--no-json"]
    assert "12 trials" in tinysql("sweep", recipe, "--dry-run", *more).stdout


MISTAKES = {
    "no such field": ("sweep.grid.rate=[1]", "grid.rate: unknown field of a training"),
    "no such dataset": ("sweep.grid.dataset=[dataset-x]", "uses 'dataset-x', which is not a step"),
    "role of no dataset": ("sweep.uses.dataset-cs1=base", "dataset-cs1 got 'base', a base step"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_one_line(case: str, tinysql: Tinysql, recipe: str):
    override, expected = MISTAKES[case]
    done = tinysql("sweep", recipe, "--dry-run", "--set", override)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr


@pytest.mark.ray
def test_base_without_a_commit_is_one_line(tinysql: Tinysql):
    done = tinysql("base", "paper")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "bm1.revision: not chosen yet" in done.stderr
    assert "--set bm1.revision=COMMIT" in done.stderr


@pytest.mark.ray
@pytest.mark.long
def test_sweep_finds_the_best_and_leaves_a_recipe_of_it(
    tinysql: Tinysql, tmp_path: Path, recipe: str
):
    one = ["--set", "sweep.grid.dataset=[dataset-cs2]", "--json"]
    done = tinysql("sweep", recipe, *one, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    step = sweep_of(done.stdout)
    assert (step["metrics"]["finished"], step["metrics"]["diverged"]) == (1, 1)
    assert "best of 2 trials on dataset-cs2 is trial-000 (dataset dataset-cs2, lr" in done.stderr
    files = files_of(tmp_path, step)
    rows = pq.read_table(files["trials.parquet"]).to_pylist()
    assert [(row["lr"], row["outcome"], row["best"]) for row in rows] == [
        (0.001, "finished", True), (1e30, "diverged", False)
    ]  # fmt: skip
    written = yaml.safe_load(RECIPE)
    written["steps"] |= yaml.safe_load(files["best.yaml"].read_text())
    written["steps"]["base"]["config"]["source"] = str(tmp_path / "model")
    model = build_steps(make_recipe(written, "the best"), KINDS)["model-cs2"]
    assert model.config.lr == 0.001
    assert model.parents["dataset"].name == "dataset-cs2"
    again = tinysql("sweep", recipe, *one)
    assert sweep_of(again.stdout)["reused"]


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(600)
def test_killed_sweep_goes_on_and_comes_to_the_same(
    tinysql: Tinysql, start: Start, tmp_path: Path, recipe: str
):
    command = (sys.executable, "-m", "jobs.cli", "sweep", recipe, "--json")
    killed = start(*command)
    killed.wait_until(lambda: attempts(tmp_path))
    killed.kill()
    early = attempts(tmp_path)
    assert 0 < len(early) < 4
    resumed = sweep_of(start(*command).finish(280))
    late = attempts(tmp_path)
    assert len(late) == 4
    assert late | early == late
    assert len(set(late.values())) == 2
    undisturbed = tinysql("sweep", recipe, "--store", "others", "--json", timeout=280)
    assert sweep_of(undisturbed.stdout)["content_sha256"] == resumed["content_sha256"]


def test_shipped_sweep_has_the_trials_it_says():
    step = build_steps(load_recipe("sweep"), KINDS)["sweep"]
    assert step.kind.note(step.config) == "16 trials"
