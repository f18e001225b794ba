"""Fine-tuning: any causal model and tokenizer in, the same trained on a dataset out."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedModel

from tinysql.errors import InputError
from tinysql.models.files import Loaded, load_model, max_tokens, save_model
from tinysql.train.config import TrainingConfig
from tinysql.train.engine import computed_in
from tinysql.train.fit import Splits, fit
from tinysql.train.probe import execution_probe
from tinysql.train.rows import tokenize_split
from tinysql.train.worker import Record, Worker

if TYPE_CHECKING:
    from peft import PeftModel

ADAPTER_FOLDER = "adapter"


def finetune(
    out_dir: Path, *, dataset: Path, base: Path, config: TrainingConfig, **worker: Any
) -> dict[str, Any]:
    """Gang function: the base model trained on the dataset."""
    return train_and_save(out_dir, load_model(base), dataset, config, Worker(**worker))


def train_and_save(
    out_dir: Path, loaded: Loaded, dataset: Path, config: TrainingConfig, worker: Worker
) -> dict[str, Any]:
    """Train on a dataset; rank 0 writes the model, log.parquet and summary.json.

    Adapters are written by themselves, into a folder of that name, and merged into the model.

    Returns the summary, how fast it went and on how many workers, on every rank.
    """
    model, tokenizer = loaded
    rows = tokenized_splits(dataset, loaded, worker.cache)
    num_parameters = model.num_parameters()
    adapted = with_adapters(model, config, device=worker.device) if config.has_adapters else None
    num_trained = model.num_parameters(only_trainable=True)
    probe = None
    if config.execution_rows:
        probe = execution_probe(
            dataset, tokenizer, config.execution_rows,
            rank=worker.rank, world_size=worker.world_size,
        )  # fmt: skip
    log = fit(model, rows, config, worker, probe)
    summary = _summarize(log, num_parameters, num_trained)
    if worker.rank == 0:
        if adapted is not None:
            from tinysql.train.adapters import merged, save_adapter  # noqa: PLC0415

            save_adapter(adapted, out_dir / ADAPTER_FOLDER)
            model = merged(adapted)
        save_model(model, tokenizer, out_dir)
        pq.write_table(pa.Table.from_pylist(log, schema=_LOG_SCHEMA), out_dir / "log.parquet")
        (out_dir / "summary.json").write_text(json.dumps(summary, indent=1))
    seconds = log[-1]["seconds"]
    speed = {"seconds": seconds, "tokens_per_second": summary["tokens"] / seconds}
    computed = computed_in(config.precision, worker.device)
    about = {"workers": worker.world_size, "computed_in": computed}
    return {**summary, **speed, **about, **_use_of_device(log)}


def _use_of_device(log: list[Record]) -> dict[str, float]:
    """What the training came to in use of the device: the last of padding and memory, mean mfu."""
    of_training = [each for each in log if each["split"] == "train"]
    found = {name: of_training[-1][name] for name in ("padding", "memory_bytes")}
    shares = [each["mfu"] for each in of_training if "mfu" in each]
    return {**found, "mfu": sum(shares) / len(shares)} if shares else found


def with_adapters(
    model: PreTrainedModel, config: TrainingConfig, *, device: str
) -> "PeftModel":
    """What `adapters.add_adapters` makes.

    Raises InputError: what it raises, or 4-bit weights on a CPU, where plain ones take less time.
    """
    if config.method == "qlora" and device == "cpu":
        raise InputError("method qlora: needs a GPU, got a CPU: take lora")
    # Only now: peft takes seconds, and most trainings have none.
    from tinysql.train.adapters import add_adapters  # noqa: PLC0415

    return add_adapters(model, config, device=device)


def tokenized_splits(dataset: Path, loaded: Loaded, cache: Path) -> Splits:
    """The rows to train and to validate on; token ids are left in the cache of this machine."""
    model, tokenizer = loaded
    longest, tokens = max_tokens(model), cache / "tokens"
    return Splits(
        *(
            tokenize_split(dataset, split, tokenizer, max_tokens=longest, cache=tokens)
            for split in ("train", "validation")
        )
    )


_LOG_SCHEMA = pa.schema(
    {
        "step": pa.int64(),
        "split": pa.string(),
        "loss": pa.float64(),
        "exact_match": pa.float64(),
        "execution": pa.float64(),
        "grad_norm": pa.float64(),
        "lr": pa.float64(),
        "tokens": pa.int64(),
    }
)
"""Without the clock and what a resumed run counts anew: the same training gives the same file."""


def _summarize(log: list[Record], num_parameters: int, num_trained: int) -> dict[str, Any]:
    last = log[-1]
    return {
        "parameters": num_parameters,
        "trained_parameters": num_trained,
        "steps": last["step"],
        "tokens": last["tokens"],
        "validation_loss": last["loss"],
        "validation_exact_match": last["exact_match"],
    }
