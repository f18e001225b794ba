"""The finetune verb: the recipe that it stands for, one tiny training, and mistakes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from model_folders import write_model
from processes import Tinysql

from tinysql.data.dataset import DatasetConfig, dataset_shards
from tinysql.data.generate import generate_shard

TINY = DatasetConfig(train_rows=40, validation_rows=8, test_rows=4, max_columns=3)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, a dataset as `tinysql data generate` makes it, and two YAML files."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "data").mkdir()
    for shard in dataset_shards(TINY):
        generate_shard(folder / "data", config=TINY, **shard._asdict())
    (folder / "data" / "card.json").write_text(json.dumps({"config": TINY.model_dump(mode="json")}))
    (folder / "model").mkdir()
    write_model(folder / "model")
    (folder / "list.yaml").write_text("- steps\n")
    (folder / "stage.yaml").write_text("steps: 2\nbatch_rows: 8\nmethod: full\n")
    return folder


@pytest.fixture
def arguments(inputs: Path) -> list[str]:
    return ["finetune", "--base", str(inputs / "model"), "--data", str(inputs / "data")]


def steps_of(stdout: str) -> dict[str, dict[str, Any]]:
    summary = json.loads(stdout.splitlines()[-1])
    return {step["name"]: step for step in summary.get("plan") or summary["steps"]}


def test_verb_is_a_recipe_of_three_steps(
    tinysql: Tinysql, tmp_path: Path, inputs: Path, arguments: list[str]
):
    done = tinysql(
        *arguments, "--stage-config", str(inputs / "stage.yaml"), "--method", "dora", "--zero", "2",
        "--workers", "2", "--set", "lr=0.002", "--set", "adapter.rank=4", "--dry-run", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
    training = {
        "prompt_weight": 0, "steps": 2, "batch_rows": 8, "lr": 0.002, "method": "dora",
        "zero_stage": 2, "adapter": {"rank": 4},
    }  # fmt: skip
    recipe = {
        "description": "the same by hand",
        "steps": {
            "base": {"config": {"source": str(inputs / "model")}},
            "dataset": {
                "kind": "import",
                "config": {"source": str(inputs / "data"), "format": "jsonl"},
                "resources": {"workers": os.cpu_count()},
            },
            "model": {"config": training, "resources": {"workers": 2}},
        },
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    by_hand = tinysql("run", "recipe.yaml", "--dry-run", "--json")
    assert by_hand.returncode == 0, by_hand.stderr
    assert steps_of(done.stdout) == steps_of(by_hand.stdout)


def test_directory_needs_no_dot_before_it(
    tinysql: Tinysql, tmp_path: Path, inputs: Path, arguments: list[str]
):
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "model").symlink_to(inputs / "model")
    plans = [
        steps_of(tinysql("finetune", "--base", base, *arguments[3:], "--dry-run", "--json").stdout)
        for base in ("my/model", str(inputs / "model"))
    ]
    assert plans[0] == plans[1]


@pytest.mark.ray
@pytest.mark.long
def test_adapters_are_trained_and_a_second_run_reuses_them(
    tinysql: Tinysql, tmp_path: Path, arguments: list[str]
):
    training = [
        "--method", "lora", "--workers", "1", "--set", "steps=2", "--set", "batch_rows=8", "--json",
    ]  # fmt: skip
    done = tinysql(*arguments, *training, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    steps = steps_of(done.stdout)
    assert steps["dataset"]["metrics"]["splits"] == {"test": 4, "validation": 8, "train": 40}
    manifest = json.loads(
        (tmp_path / "runs" / steps["model"]["path"] / "manifest.json").read_text()
    )
    assert {
        "config.json", "model.safetensors", "tokenizer.json", "log.parquet",
        "adapter/adapter_config.json", "adapter/adapter_model.safetensors",
    } <= {ref["name"] for ref in manifest["objects"]}  # fmt: skip
    assert manifest["config"]["method"] == "lora"
    again = tinysql(*arguments, *training)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout.splitlines()[-1])["reused"]


MISTAKES = {
    "no such base": (["--base", "bm7"], "--base: got 'bm7'", "tinysql models ls"),
    "no such directory": (["--base", "./nowhere"], "unknown model 'nowhere'"),
    "no revision": (["--base", "bm2"], "--revision: got None", "tinysql models pull Qwen/"),
    "revision of a directory": (["--base", "./x", "--revision", COMMIT], "--revision: only a Hub"),
    "no such data": (["--data", "nowhere"], "no file or directory 'nowhere'"),
    "unknown method": (["--method", "loar"], "--method: Input should be 'full', 'lora'"),
    "unknown ZeRO stage": (["--zero", "4"], "--zero: Input should be 0, 1, 2 or 3"),
    "no workers": (["--workers", "0"], "workers: got 0, expected 1 or more"),
    "unknown field": (["--set", "learning_rate=1"], "learning_rate: unknown key (got 1)"),
    "no value": (["--set", "lr"], "--set 'lr': expected field=value"),
    "no such stage": (["--stage-config", "none.yaml"], "--stage-config 'none.yaml' does not exist"),
    "stage is no mapping": (["--stage-config", "{inputs}/list.yaml"], "expected a mapping of"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_one_line_and_writes_nothing(
    case: str, tinysql: Tinysql, tmp_path: Path, inputs: Path, arguments: list[str]
):
    changes, *expected = MISTAKES[case]
    done = tinysql(*arguments, *(change.format(inputs=inputs) for change in changes))
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert all(part in done.stderr for part in expected), done.stderr
    assert list(tmp_path.iterdir()) == []
