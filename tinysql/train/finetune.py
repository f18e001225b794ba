"""Fine-tuning: any causal model and tokenizer in, the same trained on a dataset out."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tinysql.models.files import Loaded, load_model, save_model
from tinysql.train.config import TrainingConfig
from tinysql.train.engine import computed_in
from tinysql.train.fit import Record, Splits, Worker, fit
from tinysql.train.rows import tokenize_split


def finetune(
    out_dir: Path, *, dataset: Path, base: Path, config: TrainingConfig, **worker: Any
) -> dict[str, Any]:
    """Gang function: the base model trained on the dataset."""
    return train_and_save(out_dir, load_model(base), dataset, config, Worker(**worker))


def train_and_save(
    out_dir: Path, loaded: Loaded, dataset: Path, config: TrainingConfig, worker: Worker
) -> dict[str, Any]:
    """Train on a dataset; rank 0 writes the model, log.parquet and summary.json.

    Returns the summary, how fast it went and on how many workers, on every rank.
    """
    model, tokenizer = loaded
    max_tokens = model.config.max_position_embeddings
    rows = Splits(
        *(
            tokenize_split(dataset, split, tokenizer, max_tokens=max_tokens)
            for split in ("train", "validation")
        )
    )
    log = fit(model, rows, config, worker)
    summary = _summarize(log, model.num_parameters())
    if worker.rank == 0:
        save_model(model, tokenizer, out_dir)
        pq.write_table(pa.Table.from_pylist(log, schema=_LOG_SCHEMA), out_dir / "log.parquet")
        (out_dir / "summary.json").write_text(json.dumps(summary, indent=1))
    seconds = log[-1]["seconds"]
    speed = {"seconds": seconds, "tokens_per_second": summary["tokens"] / seconds}
    computed = computed_in(config.precision, worker.device)
    return {**summary, **speed, "workers": worker.world_size, "computed_in": computed}


_LOG_SCHEMA = pa.schema(
    {
        "step": pa.int64(),
        "split": pa.string(),
        "loss": pa.float64(),
        "exact_match": pa.float64(),
        "lr": pa.float64(),
        "tokens": pa.int64(),
    }
)
"""Without the clock: the same training gives the same file."""


def _summarize(log: list[Record], num_parameters: int) -> dict[str, Any]:
    last = log[-1]
    return {
        "parameters": num_parameters,
        "steps": last["step"],
        "tokens": last["tokens"],
        "validation_loss": last["loss"],
        "validation_exact_match": last["exact_match"],
    }
