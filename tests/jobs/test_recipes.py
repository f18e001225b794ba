"""Recipes: what is shipped builds, what enters an identity, and one line for every mistake."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from processes import MAIN_KINDS

from cluster.errors import UserError
from cluster.steps import Resources
from jobs.kinds import KINDS
from jobs.recipes import load_recipe, recipe_names
from jobs.wiring import build_steps

ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "tests" / "fixtures" / "tiny.yaml")
NAMES = [*(name for name in recipe_names() if name != "nightly"), TINY]

IDENTITIES = """
import json, sys
from jobs.kinds import KINDS
from jobs.recipes import load_recipe
from jobs.wiring import build_steps
steps = build_steps(load_recipe(sys.argv[1]), KINDS)
print(json.dumps({name: step.identity for name, step in steps.items()}))
"""


def identities(name: str, *overrides: str) -> dict[str, str]:
    steps = build_steps(load_recipe(name, overrides), KINDS)
    return {step.name: step.identity for step in steps.values()}


def changed(name: str, *overrides: str) -> set[str]:
    """The steps whose identity the overrides change."""
    before, after = identities(name), identities(name, *overrides)
    return {step for step in before if before[step] != after[step]}


@pytest.mark.parametrize("name", NAMES)
def test_recipe_has_distinct_steps_and_what_its_report_shows(name: str):
    steps = build_steps(load_recipe(name), KINDS)
    if "report" in steps:
        shown = {"dataset", "model", "evaluation", *steps["report"].config.parts}
        assert set(steps["report"].parents) == shown
    assert len({step.identity for step in steps.values()}) == len(steps)
    assert len({step.path for step in steps.values()}) == len(steps)


@pytest.mark.parametrize("name", NAMES)
def test_recipe_identities_are_the_same_in_every_process(name: str):
    said = subprocess.run(
        [sys.executable, "-c", IDENTITIES, name],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT), "LC_ALL": "C", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(said.stdout) == identities(name)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("report.title=other", {"report"}),
        ("sae.k=5", {"sae", "report"}),
        ("patching.near_zero=0.2", {"patching", "report"}),
        ("pairs.seed=1", {"pairs", "patching", "report"}),
        ("evaluation.limit=5", {"evaluation", "report"}),
        ("model.lr=0.1", {"model", "evaluation", "pairs", "patching", "sae", "report"}),
        (
            "base.training.steps=21",
            {"base", "model", "evaluation", "pairs", "patching", "sae", "report"},
        ),
        ("dataset.seed=1", MAIN_KINDS),
    ],
)
def test_override_changes_the_step_and_what_depends_on_it(override: str, expected: set[str]):
    assert changed(TINY, override) == expected


def test_report_needs_only_the_parts_it_shows():
    steps = build_steps(load_recipe(TINY, ["report.parts=[sae]"]), KINDS)
    assert set(steps["report"].parents) == {"dataset", "model", "evaluation", "sae"}
    assert changed(TINY, "report.parts=[sae]") == {"report"}


def test_lora_recipe_compares_the_model_with_its_base_and_studies_both():
    steps = build_steps(load_recipe("lora"), KINDS)
    report, model = steps["report"], steps["model"]
    assert report.parents["baseline"].parents["model"] is model.parents["base"]
    study = report.parents["adapter_study"]
    assert (study.parents["model"], study.parents["base"]) == (model, model.parents["base"])
    assert study.parents["dataset"] is not model.parents["dataset"]
    assert changed("lora", "adapter_study.rows=7") == {"adapter_study", "report"}


def test_override_of_resources_changes_no_identity():
    overrides = ["dataset.resources.workers=7", "model.resources.gpus_per_worker=1"]
    assert changed(TINY, *overrides) == set()
    steps = build_steps(load_recipe(TINY, overrides), KINDS)
    assert steps["dataset"].resources == Resources(workers=7)
    assert steps["model"].resources == Resources(workers=2, gpus_per_worker=1)


def test_override_to_the_default_changes_no_identity():
    assert changed(TINY, "evaluation.num_databases=4", "dataset.order_by_rate=0.9") == set()


def test_model_from_a_directory_counts_by_content(tmp_path: Path):
    for name, content in (("one", "{}"), ("two", "{}"), ("other", '{"a": 1}')):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(content)
    one, two, other = (
        identities(TINY, f"base.source={tmp_path / name}")["base"]
        for name in ("one", "two", "other")
    )
    assert one == two != other


def test_step_can_use_steps_of_other_names(tmp_path: Path):
    recipe = tmp_path / "two.yaml"
    recipe.write_text(
        "description: two models\n"
        "steps:\n"
        "  easy: {kind: dataset}\n"
        "  hard: {kind: dataset, config: {command_sets: [2]}}\n"
        "  base: {uses: {dataset: easy}}\n"
        "  tried: {kind: evaluation, uses: {model: base, dataset: hard}}\n"
    )
    steps = build_steps(load_recipe(str(recipe)), KINDS)
    tried = steps["tried"]
    assert tried.parents["model"].parents["dataset"].identity == steps["easy"].identity
    assert tried.parents["dataset"].identity == steps["hard"].identity


def test_roles_that_are_no_kinds_can_be_given(tmp_path: Path):
    recipe = tmp_path / "roles.yaml"
    recipe.write_text(
        "description: before and after, and a sweep over two datasets\n"
        "steps:\n"
        "  dataset: {}\n"
        "  other: {kind: dataset, config: {seed: 1}}\n"
        "  base: {}\n"
        "  before: {kind: evaluation, uses: {model: base}}\n"
        "  model: {config: {prompt_weight: 0, steps: 1, lr: 1}}\n"
        "  after: {kind: evaluation, uses: {baseline: before}, config: {compare: true}}\n"
        "  sweep:\n"
        "    uses: {dataset-b: other}\n"
        "    config:\n"
        "      training: {prompt_weight: 0, steps: 1}\n"
        "      grid: {dataset: [dataset, dataset-b], lr: [1]}\n"
    )
    steps = build_steps(load_recipe(str(recipe)), KINDS)
    assert steps["after"].parents["baseline"] is steps["before"]
    assert steps["sweep"].parents["dataset-b"] is steps["other"]


# What a recipe file holds, or the name of a recipe; overrides; part of the message.
STEPS = b"description: x\nsteps:\n"
MISTAKES = {
    "no such recipe": ("quickstrat", [], "unknown recipe 'quickstrat'"),
    "no such file": ("missing.yaml", [], "'missing.yaml' does not exist"),
    "not YAML": (b"a: [", [], "not YAML"),
    "not text": (b"\xff\xfe", [], "cannot be read"),
    "empty": (b"", [], "expected a mapping"),
    "a list": (b"- a", [], "expected a mapping"),
    "no steps": (b"description: x", [], "steps: Field required"),
    "zero steps": (b"description: x\nsteps: {}", [], "at least 1"),
    "steps a list": (b"description: x\nsteps: [1]", ["dataset.seed=1"], "valid dictionary"),
    "step a number": (STEPS + b"  dataset: 5", ["dataset.seed=1"], "steps.dataset"),
    "number as name": (STEPS + b"  1: {}", [], "valid string"),
    "unknown recipe key": (STEPS + b"  dataset: {}\nextra: 1", [], "extra: unknown key (got 1)"),
    "unknown step key": (STEPS + b"  dataset: {confg: {}}", [], "dataset.confg: unknown key"),
    "unknown config key": (
        STEPS + b"  dataset: {config: {sede: 1}}",
        [],
        "steps.dataset.config.sede: unknown key (got 1)",
    ),
    "unknown deep key": (
        TINY,
        ["base.training.step=3"],
        "steps.base.config.training.step: unknown key (got 3)",
    ),
    "unknown kind": (STEPS + b"  dataset: {kind: data}", [], "unknown kind 'data'"),
    "unknown role": (
        STEPS + b"  dataset: {}\n  base: {uses: {datset: dataset}}",
        [],
        "unknown role 'datset'; expected dataset",
    ),
    "role without step": (STEPS + b"  base: {}", [], "uses 'dataset', which is not a step"),
    "role of another kind": (
        STEPS + b"  dataset: {}\n  evaluation: {uses: {model: dataset}}",
        [],
        "model got 'dataset', a dataset step; expected one of kind model or base",
    ),
    "circle": (
        STEPS
        + b"  dataset: {}\n"
        + b"  a: {kind: model, config: {prompt_weight: 0, steps: 1, lr: 1}, uses: {base: b}}\n"
        + b"  b: {kind: model, config: {prompt_weight: 0, steps: 1, lr: 1}, uses: {base: a}}\n",
        [],
        "a -> b -> a is a circle",
    ),
    "part without step": (
        STEPS + b"  dataset: {}\n  mixture: {config: {parts: {easy: {}}}}",
        [],
        "steps.mixture: uses 'easy', which is not a step of this recipe",
    ),
    "role that is no part": (
        STEPS
        + b"  dataset: {}\n"
        + b"  mixture: {config: {parts: {a: {}, b: {}}}, uses: {a: dataset, c: dataset}}",
        [],
        "steps.mixture.uses: unknown role 'c'; expected a, b",
    ),
    "part played by no dataset": (
        STEPS
        + b"  dataset: {}\n"
        + b"  base: {config: {source: scratch}}\n"
        + b"  mixture: {config: {parts: {base: {}}}}",
        [],
        "base got 'base', a base step; expected one of kind dataset or natural or import or",
    ),
    "part of a bad name": (
        STEPS + b"  mixture: {config: {parts: {Easy: {}}}}",
        [],
        "steps.mixture.config.parts: got the name 'Easy'",
    ),
    "stage that is no evaluation": (
        STEPS
        + b"  dataset: {}\n  forgetting: {config: {stages: [a, dataset]}, uses: {a: dataset}}",
        [],
        "a got 'dataset', a dataset step; expected one of kind evaluation",
    ),
    "stage twice": (
        STEPS + b"  forgetting: {config: {stages: [a, a]}}",
        [],
        "steps.forgetting.config.stages and control: 'a' is there twice",
    ),
    "wrong type": (TINY, ["dataset.seed=many"], "steps.dataset.config.seed: Input should be"),
    "no value": (TINY, ["dataset.seed="], "steps.dataset.config.seed: Input should be"),
    "out of range": (TINY, ["model.lr=-1"], "steps.model.config.lr: Input should be greater"),
    "fields that do not fit": (TINY, ["dataset.max_columns=1"], "larger than max_columns 1"),
    "Hub model without revision": (TINY, ["base.source=a/b"], "expected the 40-digit commit"),
    "unknown resource": (TINY, ["dataset.resources.gpu=1"], "resources.gpu"),
    "no workers": (TINY, ["dataset.resources.workers=0"], "workers: got 0, expected 1 or more"),
    "negative cores": (TINY, ["dataset.resources.cpus_per_worker=-1"], "got -1.0, expected 0"),
    "override without value": (TINY, ["dataset.seed"], "expected step.field=value"),
    "override without field": (TINY, ["dataset=1"], "expected step.field=value"),
    "override of no step": (TINY, ["data.seed=1"], "no step 'data'; expected one of dataset"),
    "override into a value": (TINY, ["dataset.seed=1", "dataset.seed.a=1"], "holds a value"),
    "override not YAML": (TINY, ["dataset.command_sets=[1"], "not YAML"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_one_line(case: str, tmp_path: Path):
    written, overrides, expected = MISTAKES[case]
    name = written
    if isinstance(written, bytes):
        name = str(tmp_path / "recipe.yaml")
        Path(name).write_bytes(written)
    with pytest.raises(UserError) as caught:
        for step in build_steps(load_recipe(name, overrides), KINDS).values():
            assert step.identity
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
