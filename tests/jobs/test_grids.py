"""Steps that a recipe writes once and means several times, and the recipes made of them."""

from pathlib import Path

import pytest

from cluster.errors import UserError
from jobs.kinds import KINDS
from jobs.recipes import load_recipe
from jobs.wiring import build_steps
from tinysql.models.registry import KNOWN_MODELS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RECIPE = """
description: x
steps:
  cs{cs}:
    kind: dataset
    for: {cs: [1, 2]}
    config: {command_sets: ["{cs}"], train_rows: 10}
  base: {uses: {dataset: cs1}}
  "{data}-{lr}":
    kind: model
    for: {data: [cs1, cs2], lr: [0.1, 0.2]}
    uses: {dataset: "{data}"}
    config: {prompt_weight: 0, steps: 1, lr: "{lr}"}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return str(path)


def test_step_with_for_is_one_for_every_combination(recipe: str):
    steps = build_steps(load_recipe(recipe), KINDS)
    assert list(steps) == ["cs1", "cs2", "base", "cs1-0.1", "cs1-0.2", "cs2-0.1", "cs2-0.2"]
    assert steps["cs2"].config.command_sets == (2,)
    assert [steps["cs2-0.2"].config.lr, steps["cs2-0.1"].config.lr] == [0.2, 0.1]
    assert steps["cs2-0.1"].parents["dataset"] is steps["cs2"]


def test_override_of_a_step_with_for_is_of_all_but_those_with_their_own(recipe: str):
    overrides = ["cs2.train_rows=7", "cs{cs}.train_rows=5", "{data}-{lr}.for.lr=[0.3]"]
    steps = build_steps(load_recipe(recipe, overrides), KINDS)
    assert [steps[name].config.train_rows for name in ("cs1", "cs2")] == [5, 7]
    assert list(steps)[3:] == ["cs1-0.3", "cs2-0.3"]


MISTAKES = {
    "no place in the name": ("  a: {for: {n: [1, 2]}}", "two steps 'a': put {n} into its name"),
    "name of another": ("  a1: {}\n  a{n}: {for: {n: [1]}}", "two steps 'a1': rename one"),
    "unknown name": ("  a{n}: {for: {n: [1]}, kind: '{m}'}", "{m} has no values; expected {n}"),
    "no values": ("  a{n}: {for: {n: []}}", "steps.a{n}.for.n: no values"),
    "values no list": ("  a{n}: {for: {n: 3}}", "steps.a{n}.for.n: Input should be a valid"),
    "value no scalar": ("  a{n}: {for: {n: [[1]]}}", "steps.a{n}.for.n.0"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_one_line(case: str, tmp_path: Path):
    written, expected = MISTAKES[case]
    path = tmp_path / "recipe.yaml"
    path.write_text(f"description: x\nsteps:\n{written}\n")
    with pytest.raises(UserError) as caught:
        load_recipe(str(path))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paper_has_the_checkpoints_of_the_paper_each_with_its_score():
    steps = build_steps(load_recipe("paper"), KINDS)
    published = {known.name for known in KNOWN_MODELS if "-cs" in known.name}
    models = {name for name, step in steps.items() if step.kind.name == "model"}
    assert models == published
    scored = [step.parents for step in steps.values() if step.kind.name == "evaluation"]
    assert {parents["model"].name for parents in scored} == published
    for parents in scored:
        assert parents["dataset"] is parents["model"].parents["dataset"]
        base, _, data = parents["model"].name.partition("-")
        assert parents["model"].parents["base"].name == base
        dataset = parents["dataset"].config
        assert parents["dataset"].name == data
        assert dataset.command_sets == (int(data[2]),)
        assert (dataset.table_synonym_rate > 0) == data.endswith("-syn")


def test_paper_epochs_are_those_of_the_paper():
    steps = build_steps(load_recipe("paper"), KINDS)
    for step in steps.values():
        if step.kind.name == "model":
            training, rows = step.config, step.parents["dataset"].config.train_rows
            epochs = training.steps * training.batch_rows / rows
            assert epochs == pytest.approx(3 if step.name.startswith("bm1") else 1, abs=1e-3)


def test_paper_plans_without_commits_and_takes_them_one_by_one():
    steps = build_steps(load_recipe("paper"), KINDS).values()
    notes = [step.kind.note(step.config) for step in steps]
    assert notes.count("revision not chosen yet") == 3
    overrides = [f"{name}.revision={COMMIT}" for name in ("bm1", "bm2", "bm3")]
    chosen = build_steps(load_recipe("paper", overrides), KINDS)
    assert not any(step.kind.note(step.config) for step in chosen.values())


def test_grid_has_the_cells_of_the_paper():
    def cells(recipe: str) -> list[str]:
        steps = build_steps(load_recipe(recipe), KINDS).values()
        return sorted(step.name.partition("-")[2] for step in steps if step.kind.name == "model")

    assert cells("grid") == cells("paper")
