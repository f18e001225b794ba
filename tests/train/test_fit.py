"""Training on a CPU: the loss, resuming, sharing over ranks, and what the records say."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from small_tokenizers import TOKENIZERS
from training_models import kept_in, restored_from, worker_of
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tinysql.data.prompts import format_completion
from tinysql.errors import InputError
from tinysql.evaluate.decode import greedy
from tinysql.models.architecture import build_model
from tinysql.models.config import ArchitectureConfig
from tinysql.models.files import Loaded, load_model, save_model
from tinysql.train import engine as engine_module
from tinysql.train.batches import make_batch
from tinysql.train.config import TrainingConfig
from tinysql.train.engine import LossModel
from tinysql.train.finetune import finetune
from tinysql.train.fit import Splits, fit
from tinysql.train.rows import TokenizedRows, corpus, prompts_and_completions
from tinysql.train.worker import Record

pytestmark = pytest.mark.usefixtures("gang_of_one")

DIMENSIONS = {"num_layers": 1, "d_model": 32, "num_heads": 2, "d_mlp": 48, "max_tokens": 128}
PLAIN = TrainingConfig(
    prompt_weight=0.1, steps=12, batch_rows=8, lr=3e-3, warmup_steps=2, precision="fp32"
)
MUON = PLAIN.model_copy(update={"optimizer": "muon"})
SHARDED = PLAIN.model_copy(update={"zero_stage": 1})


def model_of(
    model_type: str = "llama", *, vocab_size: int = 1000, **changes: Any
) -> PreTrainedModel:
    config = ArchitectureConfig(type=model_type, **{**DIMENSIONS, **changes})
    return build_model(config, vocab_size=vocab_size, end_token=0, seed=3)


def without_time(log: list[Record]) -> list[Record]:
    """What is the same after a resumed run: not what is counted from its start."""
    own = {"seconds", "padding", "tokens_per_second", "memory_bytes"}
    return [{key: value for key, value in record.items() if key not in own} for record in log]


def losses(log: list[Record]) -> list[float]:
    return [record["loss"] for record in log]


@pytest.mark.parametrize("model_type", ["llama", "gpt_neo"])
@pytest.mark.parametrize("prompt_weight", [0.0, 1.0])
def test_loss_of_padded_rows_is_that_of_each_row_alone(
    model_type: str, prompt_weight: float, splits: Splits
) -> None:
    model, rows = model_of(model_type), splits.train
    numbers = rows.lengths.argsort()[[0, 5, -1]]
    expected = 0.0
    for number in numbers:
        ids = torch.from_numpy(rows.ids[rows.starts[number] : rows.starts[number + 1]]).long()
        labels = ids.clone()
        if prompt_weight == 0:
            labels[: rows.prompt_lengths[number]] = -100
        output = model(input_ids=ids[None], labels=labels[None])
        expected += output.loss.item() * int((labels[1:] != -100).sum())
    batch = make_batch(rows, numbers, prompt_weight=prompt_weight, device="cpu")
    assert LossModel(model, "fp32")(*batch).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("config", [MUON, SHARDED], ids=["muon", "adamw-zero-1"])
def test_resumed_run_has_the_weights_and_log_of_an_undisturbed_one(
    config: TrainingConfig, splits: Splits, tmp_path: Path
) -> None:
    undisturbed = model_of()
    log = fit(undisturbed, splits, config, worker_of(save=kept_in(tmp_path)))
    assert sorted(int(each.name) for each in tmp_path.iterdir()) == list(range(1, 13))
    for step in (6, 12):
        resumed = model_of()
        found = fit(resumed, splits, config, worker_of(restore=restored_from(tmp_path / str(step))))
        assert without_time(found) == without_time(log)
        weights, others = undisturbed.state_dict(), resumed.state_dict()
        assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_log_of_a_run_counts_steps_tokens_and_rate(splits: Splits) -> None:
    config = PLAIN.model_copy(update={"steps": 12, "batch_rows": 48})
    told: list[Record] = []
    worker = worker_of()._replace(log=told.append)
    log = fit(model_of(), splits, config, worker)
    assert told == [{**record, "num_steps": 12} for record in log]
    for record in log:
        assert record["tokens"] == record["step"] * splits.train.lengths.sum()
        assert record["lr"] == config.rate_at(record["step"] - 1)
    assert (log[-1]["step"], log[-1]["split"]) == (12, "validation")


def first_rows(rows: TokenizedRows, num_rows: int) -> TokenizedRows:
    starts = rows.starts[: num_rows + 1]
    return TokenizedRows(rows.ids[: starts[-1]], starts, rows.prompt_lengths[:num_rows])


@pytest.mark.parametrize("prompt_weight", [0.0, 0.1])
def test_exact_match_of_memorized_rows_is_what_greedy_decoding_gets(
    prompt_weight: float, dataset: Path, splits: Splits, tokenizer: PreTrainedTokenizerFast
) -> None:
    # The first five validation rows are learned by heart, so these are right and others wrong.
    rows = Splits(first_rows(splits.validation, 5), splits.validation)
    config = MUON.model_copy(
        update={"steps": 150, "batch_rows": 5, "prompt_weight": prompt_weight}
    )
    model = model_of(vocab_size=len(tokenizer))
    log = fit(model, rows, config, worker_of())
    trained = [record["loss"] for record in log if record["split"] == "train"]
    assert trained[-1] < 0.5 * trained[0]
    ((prompts, completions),) = prompts_and_completions(dataset, "validation")
    answers = greedy(model.eval(), tokenizer, prompts, max_new_tokens=40)
    right = [
        not answer.truncated and format_completion(answer.text) == completion
        for answer, completion in zip(answers, completions, strict=True)
    ]
    assert all(right[:5])
    assert not all(right)
    assert log[-1]["exact_match"] == sum(right) / len(right)


@pytest.mark.parametrize("zero_stage", [0, 2, 3])
def test_finetune_writes_the_trained_model_its_log_and_summary(
    zero_stage: int,
    dataset: Path,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "WHOLE_BELOW", 0)
    base, out_dir = tmp_path / "base", tmp_path / "out"
    out_dir.mkdir()
    model = model_of(vocab_size=len(tokenizer))
    save_model(model, tokenizer, base)
    config = PLAIN.model_copy(update={"steps": 3, "zero_stage": zero_stage})
    summary = finetune(
        out_dir, dataset=dataset, base=base, config=config, **worker_of(cache=tmp_path)._asdict()
    )
    log = pq.read_table(out_dir / "log.parquet").to_pylist()
    trained = load_model(out_dir).model
    clock = {
        "seconds", "tokens_per_second", "workers", "computed_in", "padding", "memory_bytes"
    }  # fmt: skip
    written = json.loads((out_dir / "summary.json").read_text())
    assert written == {key: value for key, value in summary.items() if key not in clock}
    assert summary["validation_loss"] == log[-1]["loss"]
    assert summary["parameters"] == model.num_parameters()
    weights, others = model.state_dict(), trained.state_dict()
    assert {name: w.shape for name, w in weights.items()} == {
        name: w.shape for name, w in others.items()
    }
    assert not any(torch.equal(weights[name], others[name]) for name in weights)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_finetune_takes_tokenizers_of_other_kinds(kind: str, dataset: Path, tmp_path: Path) -> None:
    """Words in pieces, blanks inside tokens, and a token that begins every text."""
    texts = list(corpus(dataset))
    tokenizer = TOKENIZERS[kind](texts)
    base, out_dir = tmp_path / "base", tmp_path / "out"
    out_dir.mkdir()
    save_model(model_of(vocab_size=len(tokenizer), max_tokens=512), tokenizer, base)
    config = PLAIN
    finetune(
        out_dir, dataset=dataset, base=base, config=config, **worker_of(cache=tmp_path)._asdict()
    )
    losses = [row["loss"] for row in pq.read_table(out_dir / "log.parquet").to_pylist()]
    assert losses[-1] < losses[0]
    assert load_model(out_dir).tokenizer(texts[0])["input_ids"] == tokenizer(texts[0])["input_ids"]


@pytest.mark.parametrize(
    ("change", "world_size"), [({"batch_rows": 9}, 2), ({"batch_rows": 49}, 1)], ids=str
)
def test_batch_that_the_workers_or_the_rows_do_not_fill_is_refused(
    change: dict[str, Any], world_size: int, splits: Splits
) -> None:
    config = PLAIN.model_copy(update=change)
    with pytest.raises(InputError) as raised:
        fit(model_of(), splits, config, worker_of(world_size=world_size))
    assert str(change["batch_rows"]) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_row_longer_than_the_model_reads_is_refused(
    dataset: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    config = ArchitectureConfig(**{**DIMENSIONS, "max_tokens": 16})
    short = build_model(config, vocab_size=len(tokenizer), end_token=0, seed=0)
    save_model(*Loaded(short, tokenizer), tmp_path)
    worker = worker_of(cache=tmp_path)._asdict()
    with pytest.raises(InputError, match="at most 16"):
        finetune(tmp_path, dataset=dataset, base=tmp_path, config=PLAIN, **worker)


def test_answers_are_run_at_milestones_where_that_is_asked_for(
    dataset: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    base, out_dir = tmp_path / "base", tmp_path / "out"
    out_dir.mkdir()
    save_model(model_of(vocab_size=len(tokenizer)), tokenizer, base)
    # The rows that are learned by heart are also those that are asked.
    pq.write_table(pq.read_table(dataset / "validation-00000.parquet")[:4], base / "both.parquet")
    for split in ("train", "validation"):
        shutil.copy(base / "both.parquet", base / f"{split}-00000.parquet")
    config = MUON.model_copy(update={"steps": 150, "batch_rows": 4, "execution_rows": 4})
    worker = worker_of(cache=tmp_path)._asdict()
    finetune(out_dir, dataset=base, base=base, config=config, **worker)
    log = pq.read_table(out_dir / "log.parquet").to_pylist()
    shares = [each["execution"] for each in log if each["split"] == "validation"]
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert {each["execution"] for each in log if each["split"] == "train"} == {None}
