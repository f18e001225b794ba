"""The base step: the model that fine-tuning starts from, pre-trained here or taken from elsewhere.

    python -m jobs.base --recipe quickstart --store runs
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cluster.errors import UserError
from cluster.steps import StepContext, StepKind
from tinysql.train.config import BaseConfig, identify_base


def run(context: StepContext, config: BaseConfig) -> dict[str, Any]:
    """Pre-train from scratch on the dataset, or copy a model into the store."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415
    from cluster.gang import run_gang  # noqa: PLC0415

    if config.source == "scratch":
        rows = config.training.batch_rows
        receipt = run_gang(
            context, "tinysql.train.base.pretrain", {"config": config}, gpu=True, shared_rows=rows
        )
    elif config.is_local:
        return _import_here(context, config)
    else:
        shards = [Shard("model", {"config": config})]
        (receipt,) = map_shards(context, "tinysql.train.base.import_model", shards)
    context.include(receipt)
    return receipt.metrics


def _import_here(context: StepContext, config: BaseConfig) -> dict[str, Any]:
    """Copy a local model from this machine: no other may have the directory."""
    from tinysql.train.base import import_model  # noqa: PLC0415

    with TemporaryDirectory() as folder:
        metrics = import_model(Path(folder), config=config)
        copied = identify_base(config.model_copy(update={"source": folder}))
        if copied != identify_base(config):
            raise UserError(f"base.source {config.source!r} changed while it was copied: run again")
        context.put_dir(Path(folder))
    return metrics


def _parents(config: BaseConfig) -> tuple[str, ...]:
    return ("dataset",) if config.source == "scratch" else ()


def _slug(config: BaseConfig) -> str:
    if config.is_local:
        return "local"
    if config.source != "scratch":
        return config.source.rstrip("/").split("/")[-1]
    shape = config.architecture
    return f"{shape.type}-{shape.num_layers}x{shape.d_model}"


KIND: StepKind = StepKind("base", 1, BaseConfig, _parents, run, _slug, identify_base)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("base"))
