"""Fine-tuning: any causal model and tokenizer in, the same trained on a dataset out."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tinysql.models.files import Loaded, load_model, save_model
from tinysql.train.adapters import add_adapters, merged, save_adapter
from tinysql.train.config import TrainingConfig
from tinysql.train.cost import flops_per_token, utilization
from tinysql.train.engine import computed_in
from tinysql.train.fit import Splits, fit
from tinysql.train.probe import execution_probe
from tinysql.train.rows import tokenize_split
from tinysql.train.worker import Record, Worker

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
    adapted = add_adapters(model, config, device=worker.device) if config.has_adapters else None
    num_trained = model.num_parameters(only_trainable=True)
    probe = None
    if config.execution_rows:
        probe = execution_probe(
            dataset, tokenizer, config.execution_rows,
            rank=worker.rank, world_size=worker.world_size,
        )  # fmt: skip
    flops = flops_per_token(model, float(rows.train.lengths.mean()))
    log = fit(model, rows, config, worker, probe)
    summary = _summarize(log, num_parameters, num_trained)
    if worker.rank == 0:
        if adapted is not None:
            save_adapter(adapted, out_dir / ADAPTER_FOLDER)
            model = merged(adapted)
        save_model(model, tokenizer, out_dir)
        pq.write_table(pa.Table.from_pylist(log, schema=_LOG_SCHEMA), out_dir / "log.parquet")
        (out_dir / "summary.json").write_text(json.dumps(summary, indent=1))
    seconds = log[-1]["seconds"]
    speed = {"seconds": seconds, "tokens_per_second": summary["tokens"] / seconds}
    computed = computed_in(config.precision, worker.device)
    padding = next((each["padding"] for each in reversed(log) if "padding" in each), 0.0)
    about = {"workers": worker.world_size, "computed_in": computed, "padding": padding}
    return {**summary, **speed, **about, **_use_of_gpu(flops, speed, worker)}


def _use_of_gpu(
    flops_per_token: float, speed: dict[str, float], worker: Worker
) -> dict[str, float]:
    if not worker.device.startswith("cuda"):
        return {}
    rate = flops_per_token * speed["tokens_per_second"] / worker.world_size
    share = utilization(rate, torch.cuda.get_device_name(worker.device))
    found = {"gpu_memory_bytes": float(torch.cuda.max_memory_allocated(worker.device))}
    return found if share is None else {**found, "mfu": share}


def tokenized_splits(dataset: Path, loaded: Loaded, cache: Path) -> Splits:
    """The rows to train and to validate on; token ids are left in the cache of this machine."""
    model, tokenizer = loaded
    max_tokens = model.config.max_position_embeddings
    return Splits(
        *(
            tokenize_split(dataset, split, tokenizer, max_tokens=max_tokens, cache=cache / "tokens")
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
