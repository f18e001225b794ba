"""One training of a sweep, on one worker: no model is kept, only what it came to."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import torch.distributed as dist

from tinysql.errors import Diverged
from tinysql.models.files import load_model
from tinysql.train.config import TrainingConfig
from tinysql.train.finetune import tokenized_splits, with_adapters
from tinysql.train.fit import fit
from tinysql.train.worker import Record, Worker


def train_trial(
    *,
    base: Path,
    dataset: Path,
    config: TrainingConfig,
    device: str,
    report: Callable[[Record], None],
    save: Callable[[Record], AbstractContextManager[Path]],
    cache: Path,
    restore: Path | None,
) -> str | None:
    """Train, reporting every validation record, those from before a restart included.

    DeepSpeed remembers the first process group of a process, so a process has one trial only.

    Args:
        report: takes a record of the log with num_steps; may not return, which ends the trial.

    Returns why the training could not go on, None when it came to its end.
    """

    def log(record: Record) -> None:
        if record["split"] == "validation":
            report(record)

    if restore is not None:
        for record in json.loads((restore / "run.json").read_text())["log"]:
            log({**record, "num_steps": config.steps})
    backend = "gloo" if device == "cpu" else "nccl"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    loaded = load_model(base)
    rows = tokenized_splits(dataset, loaded, cache)
    if config.has_adapters:
        with_adapters(loaded.model, config, device=device)
    worker = Worker(0, 1, 0, device, log, save, lambda: False, cache, restore)
    try:
        fit(loaded.model, rows, config, worker)
    except Diverged as error:
        return str(error)
    return None
