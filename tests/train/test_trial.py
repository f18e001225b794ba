"""A trial in a process of its own: what it reports, from a checkpoint, and when it diverges."""

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from tinysql.models.architecture import build_model
from tinysql.models.config import ArchitectureConfig
from tinysql.models.files import save_model
from tinysql.train.config import TrainingConfig

PLAIN = TrainingConfig(
    prompt_weight=0, steps=5, batch_rows=8, lr=3e-3, warmup_steps=0, precision="fp32"
)
DIVERGING = PLAIN.model_copy(update={"lr": 1e30, "max_grad_norm": 1e30})


@pytest.fixture(scope="module")
def base(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape = ArchitectureConfig(num_layers=1, d_model=32, num_heads=2, d_mlp=48, max_tokens=128)
    folder = tmp_path_factory.mktemp("base")
    model = build_model(shape, vocab_size=len(tokenizer), end_token=0, seed=3)
    save_model(model, tokenizer, folder)
    return folder


def run_trial(folder: Path, base: Path, dataset: Path, config: TrainingConfig) -> None:
    """Leaves the reports, the outcome and the checkpoint of step 3 in the folder."""
    from training_models import kept_in, restored_from  # noqa: PLC0415

    from tinysql.train.trial import train_trial  # noqa: PLC0415

    os.environ |= {"DS_ACCELERATOR": "cpu", "LOCAL_RANK": "0"}
    reports: list[dict[str, Any]] = []

    checkpoint = folder / "3"
    restore = restored_from(checkpoint) if checkpoint.exists() else None
    outcome = train_trial(
        base=base, dataset=dataset, config=config, device="cpu", report=reports.append,
        save=kept_in(folder), cache=folder / "cache", restore=restore,
    )  # fmt: skip
    (folder / "result.json").write_text(json.dumps({"outcome": outcome, "reports": reports}))


def result_of(folder: Path, *arguments: Any) -> dict[str, Any]:
    process = multiprocessing.get_context("spawn").Process(
        target=run_trial, args=(folder, *arguments)
    )
    process.start()
    process.join(200)
    assert process.exitcode == 0
    return json.loads((folder / "result.json").read_text())


def test_restarted_trial_reports_the_same(base: Path, dataset: Path, tmp_path: Path) -> None:
    first = result_of(tmp_path, base, dataset, PLAIN)
    assert first["outcome"] is None
    assert [row["step"] for row in first["reports"]] == [1, 2, 3, 4, 5]
    assert {(row["split"], row["num_steps"]) for row in first["reports"]} == {("validation", 5)}
    again = result_of(tmp_path, base, dataset, PLAIN)
    for rows in (first["reports"], again["reports"]):
        for row in rows:
            del row["seconds"]
    assert again == first


def test_trial_that_diverges_says_so(base: Path, dataset: Path, tmp_path: Path) -> None:
    result = result_of(tmp_path, base, dataset, DIVERGING)
    assert "loss is" in result["outcome"]
    assert all(row["step"] < 5 for row in result["reports"])
