"""The curriculum: its recipe, mixtures on a real Ray, and what the forgetting step checks."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from processes import Tinysql
from pydantic import BaseModel

from cluster.artifact import ArtifactRef
from cluster.errors import UserError
from cluster.graph import Result, run_steps
from cluster.progress import SilentProgress
from cluster.steps import Step, StepContext, StepKind
from cluster.store import open_store
from jobs import forgetting, mixture
from jobs.kinds import KINDS
from jobs.recipes import load_recipe
from jobs.wiring import build_steps
from tests.jobs.model_folders import write_model
from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows, write_rows
from tinysql.data.mixture import MixtureConfig
from tinysql.errors import InputError
from tinysql.evaluate.forgetting import ForgettingConfig
from tinysql.evaluate.predictions import write_predictions
from tinysql.evaluate.verdicts import Scored

GENERATED = DatasetConfig(command_sets=(1, 2, 3), train_rows=300, validation_rows=1, test_rows=60)


class Made(BaseModel):
    """Tells one made-up artifact from another."""

    name: str


class Judging(BaseModel):
    """How an evaluation judges."""

    num_databases: int = 4


def put_dataset(context: StepContext, config: Made) -> dict[str, Any]:
    with context.results() as folder:
        for split in ("train", "test"):
            rows = generate_rows(GENERATED, split, np.array(GENERATED.rows_of(split)))
            write_rows(rows, folder / f"{split}-00000.parquet")
        (folder / "card.json").write_text(config.name)
    return {}


def put_evaluation(context: StepContext, right: tuple[int, ...]) -> dict[str, Any]:
    """So many of 30 answers right in each command set."""
    rows = [
        Scored(
            id=command_set * 100 + number, verdict="strict" if number < many else "wrong",
            strict=number < many, command_set=command_set, gold_sql=("SELECT 1",),
        )
        for command_set, many in enumerate(right, start=1)
        for number in range(30)
    ]  # fmt: skip
    with context.results() as folder:
        write_predictions(folder / "predictions-00000.parquet", rows)
    return {}


def put_model(context: StepContext, config: Made) -> dict[str, Any]:
    with context.results() as folder:
        (folder / "config.json").write_text(config.name)
    return {"steps": 5, "tokens": 3000 if config.name == "together" else 1000}


def kind_of(
    name: str, run: Callable[..., dict[str, Any]], roles: tuple[str, ...] = ()
) -> StepKind:
    return StepKind(name, 1, Made, lambda _: roles, run, lambda config: config.name)


DATASET = kind_of("dataset", put_dataset)
BASE = kind_of("base", put_model)
MODEL = kind_of("model", put_model, ("base",))


def model(name: str, base: Step | None) -> Step:
    if base is None:
        return Step(name, BASE, Made(name=name))
    return Step(name, MODEL, Made(name=name), {"base": base})


def evaluation(of: Step, right: tuple[int, ...], **config: Any) -> Step:
    kind: StepKind = StepKind(
        "evaluation", 1, Judging, lambda _: ("model",),
        lambda context, _: put_evaluation(context, right), lambda _: "test",
    )  # fmt: skip
    return Step(f"after_{of.name}", kind, Judging(**config), {"model": of})


def finish(step: Step, tmp_path: Path) -> tuple[Result, ArtifactRef]:
    store = open_store(str(tmp_path / "runs"))
    *_, result = run_steps([step], store, progress=SilentProgress(), cache=tmp_path / "cache")
    return result, ArtifactRef(store, step.path, result.manifest.sha256)


START = model("start", None)
ONE = model("one", START)
TWO = model("two", ONE)
THREE = model("three", TWO)
TOGETHER = model("together", START)
EVALUATIONS = {
    "before": evaluation(START, (0, 0)),
    "one": evaluation(ONE, (29, 1)),
    "two": evaluation(TWO, (4, 28)),
    "three": evaluation(THREE, (27, 28)),
    "together": evaluation(TOGETHER, (28, 29)),
}


def forgetting_step(config: dict[str, Any], **changes: Step) -> Step:
    checked = ForgettingConfig.model_validate(config)
    parents = {**EVALUATIONS, **changes}
    return Step(
        "forgetting", forgetting.KIND, checked, {name: parents[name] for name in checked.models}
    )


def test_recipe_is_a_chain_of_stages_beside_a_control_on_their_rows():
    recipe = load_recipe("curriculum")
    steps = build_steps(recipe, KINDS)
    stages = [steps[f"stage_{number}"] for number in (1, 2, 3)]
    assert [stage.parents["base"].name for stage in stages] == ["base", "stage_1", "stage_2"]
    control = steps["control"]
    assert control.parents["base"] is steps["base"]
    rows = control.parents["dataset"]
    assert list(rows.parents) == ["one", "three", "two"]
    assert [rows.parents[name] for name in ("one", "two", "three")] == [
        stage.parents["dataset"] for stage in stages
    ]
    configs = [recipe.steps[stage.name].config for stage in stages]
    alone = recipe.steps["control"].config
    assert {**configs[0], "steps": sum(config["steps"] for config in configs)} == alone
    for trained in (*stages, control):
        config = recipe.steps[trained.name].config
        sizes = recipe.steps[trained.parents["dataset"].name].config
        assert sizes["train_rows"] == config["steps"] * config["batch_rows"]
    matrix = steps["forgetting"]
    models = ["base", "stage_1", "stage_2", "stage_3", "control"]
    assert [each.parents["model"].name for each in matrix.parents.values()] == models
    assert len({each.parents["dataset"].identity for each in matrix.parents.values()}) == 1


def test_matrix_of_a_chain_tells_steps_tokens_and_what_was_forgotten(tmp_path: Path):
    step = forgetting_step({"stages": ["before", "one", "two", "three"], "control": "together"})
    result, made = finish(step, tmp_path)
    matrix = json.loads(made.read("matrix.json"))
    assert [line["trained"] for line in matrix["lines"]] == [
        {"steps": 0, "tokens": 0}, {"steps": 5, "tokens": 1000}, {"steps": 10, "tokens": 2000},
        {"steps": 15, "tokens": 3000}, {"steps": 5, "tokens": 3000},
    ]  # fmt: skip
    assert result.manifest.metrics["rates"]["two"]["1"] == 4 / 30
    words = result.manifest.metrics["words"]
    assert "two beside one, command set 1: one is better: 0.13 against 0.97, p < 0.001" in words
    assert b"Every model on every command set" in made.read("matrix.html")


OTHER = model("other", None)
MISTAKES = {
    "not in order": (
        {"stages": ["two", "one"]}, {}, "'one' was not trained from that of 'two'",
    ),
    "same model twice": (
        {"stages": ["one", "again"]},
        {"again": evaluation(ONE, (1, 1))},
        "'again' was not trained from that of 'one'",
    ),
    "not from the stage": (
        {"stages": ["one", "aside"]},
        {"aside": evaluation(model("aside", START), (1, 1))},
        "'aside' was not trained from that of 'one'",
    ),
    "other base": (
        {"stages": ["one", "two"], "control": "stray"},
        {"stray": evaluation(model("stray", OTHER), (1, 1))},
        "expected models of one base",
    ),
    "fewer tokens": (
        {"stages": ["one", "two", "three"], "control": "short"},
        {"short": evaluation(model("short", START), (1, 1))},
        "was trained on 1000 tokens and the stages on 3000",
    ),
    "judged otherwise": (
        {"stages": ["one", "strict"]},
        {"strict": evaluation(TWO, (1, 1), num_databases=9)},
        "num_databases of evaluation 'strict' is 9 and of 'one' 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_wrong_chain_or_control_is_told_in_one_line(case: str, tmp_path: Path):
    config, changes, expected = MISTAKES[case]
    with pytest.raises((UserError, InputError)) as caught:
        finish(forgetting_step(config, **changes), tmp_path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def mixture_step(**config: Any) -> Step:
    parts = {"new": {"weight": 2, "command_sets": [3]}, "replay": {"command_sets": [1, 2]}}
    checked = MixtureConfig.model_validate({"parts": parts, "validation_rows": 0, **config})
    source = Step("dataset", DATASET, Made(name="source"))
    return Step("mixed", mixture.KIND, checked, {"new": source, "replay": source})


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_mixture_is_a_dataset_with_a_card(tmp_path: Path):
    result, made = finish(mixture_step(train_rows=90, test_rows=9), tmp_path)
    assert result.manifest.metrics == {"train_rows": 90, "test_rows": 9}
    folder = made.local_dir(tmp_path / "cache")
    rows = pq.read_table(folder / "train-00000.parquet")
    kinds = Counter(
        zip(*(rows[name].to_pylist() for name in ("part", "command_set")), strict=True)
    )
    assert kinds["new", 3] == 60
    assert kinds["replay", 1] + kinds["replay", 2] == 30
    card = json.loads((folder / "card.json").read_text())
    assert card["counts"]["train"]["part"] == {"new": 60, "replay": 30}
    assert card["rows"] == {"train": 90, "test": 9}
    assert card["parts"]["new"] == card["parts"]["replay"]
    assert card["config"]["parts"]["new"]["weight"] == 2


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_mixture_of_more_rows_than_there_are_is_a_mistake_in_one_line(tmp_path: Path):
    with pytest.raises(InputError) as caught:
        finish(mixture_step(train_rows=900, test_rows=9), tmp_path)
    assert "'new' has " in str(caught.value)
    assert "train rows of command sets 3, and 600 of the 900 are to come from it" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


TINY = """\
description: Two stages and their control, as small as they can be.
steps:
  dataset: {config: {command_sets: [1, 2], max_columns: 2, train_rows: 200, validation_rows: 20,
                     test_rows: 8}}
  base: {config: {source: MODEL}}
  rows_1:
    kind: mixture
    uses: {new: dataset}
    config: {parts: {new: {command_sets: [1]}}, train_rows: 8, validation_rows: 4, test_rows: 0}
  rows_2:
    kind: mixture
    uses: {new: dataset}
    config: {parts: {new: {command_sets: [2]}}, train_rows: 8, validation_rows: 4, test_rows: 0}
  rows: {kind: mixture, uses: {one: rows_1, two: rows_2},
         config: {parts: {one: {}, two: {}}, train_rows: 16, validation_rows: 8, test_rows: 0}}
  stage_1: {kind: model, uses: {dataset: rows_1}, resources: {workers: 1},
            config: &stage {prompt_weight: 0, steps: 2, batch_rows: 4, lr: 0.001}}
  stage_2: {kind: model, uses: {base: stage_1, dataset: rows_2}, config: *stage,
            resources: {workers: 1}}
  control: {kind: model, uses: {dataset: rows}, resources: {workers: 1},
            config: {prompt_weight: 0, steps: 4, batch_rows: 4, lr: 0.001}}
  after_1: {kind: evaluation, uses: {model: stage_1}, config: &short {max_new_tokens: 8}}
  after_2: {kind: evaluation, uses: {model: stage_2}, config: *short}
  after_all: {kind: evaluation, uses: {model: control}, config: *short}
  forgetting: {config: {stages: [after_1, after_2], control: after_all}}
"""


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(600)
def test_curriculum_runs_from_nothing_to_a_matrix(tinysql: Tinysql, tmp_path: Path):
    recipe = tmp_path / "stages.yaml"
    recipe.write_text(TINY.replace("MODEL", str(write_model(tmp_path / "model"))))
    done = tinysql("run", str(recipe), "--store", "runs", "--json", timeout=600)
    assert done.returncode == 0, done.stderr[-5000:]
    assert "after_2 beside after_1, all: not distinguishable" in done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    steps = {step["name"]: step for step in summary["steps"]}
    tokens = {name: steps[name]["metrics"]["tokens"] for name in ("stage_1", "stage_2", "control")}
    assert steps["forgetting"]["metrics"]["tokens"] == {
        "after_1": tokens["stage_1"],
        "after_2": tokens["stage_1"] + tokens["stage_2"],
        "after_all": tokens["control"],
    }
    # Every row once, in whatever order: the same tokens exactly.
    assert tokens["control"] == tokens["stage_1"] + tokens["stage_2"]
    manifests = {
        name: json.loads((tmp_path / "runs" / steps[name]["path"] / "manifest.json").read_text())
        for name in ("stage_2", "control")
    }
    assert manifests["stage_2"]["parents"]["base"]["path"] == steps["stage_1"]["path"]
    assert manifests["control"]["parents"]["base"]["path"] == steps["base"]["path"]

    wanted = ("--set", "rows_1.train_rows=5000", "--store", "runs")
    failed = tinysql("mixture", str(recipe), *wanted, timeout=300)
    assert failed.returncode == 2
    assert "error: part 'new' has" in failed.stderr
