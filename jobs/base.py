"""The base step: the model that fine-tuning starts from, pre-trained here or taken from elsewhere.

    python -m jobs.base --recipe quickstart --store runs
"""

from typing import Any

from cluster.errors import UserError
from cluster.steps import Resources, StepContext, StepKind
from jobs.bucket_models import local_copy
from tinysql.train.config import UNCHOSEN, BaseConfig, identify_base


def run(context: StepContext, config: BaseConfig) -> dict[str, Any]:
    """Pre-train from scratch on the dataset, or copy a model into the store."""
    if config.revision == UNCHOSEN:
        name = context.step.name
        raise UserError(
            f"{name}.revision: not chosen yet; `tinysql models pull {config.source}` prints the "
            f"commit to give as --set {name}.revision=COMMIT"
        )
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415
    from cluster.gang import run_gang  # noqa: PLC0415

    if config.source == "scratch":
        rows = config.training.shared_rows
        receipt = run_gang(
            context, "tinysql.train.base.pretrain", {"config": config},
            gpu=True, shared_rows=rows, best="validation_loss",
        )  # fmt: skip
    elif config.is_from_hub:
        shards = [Shard("model", {"config": config})]
        (receipt,) = map_shards(context, "tinysql.train.base.import_model", shards)
    else:
        return import_here(context, config)
    context.include(receipt)
    return receipt.metrics


def import_here(context: StepContext, config: BaseConfig) -> dict[str, Any]:
    """Copy a model into the store from this process.

    No other machine may have the directory, or a way to the Hub.
    """
    from tinysql.train.base import import_model  # noqa: PLC0415

    with context.results() as folder:
        metrics = import_model(folder, config=_on_this_machine(config))
        copied = config.model_copy(update={"source": str(folder)})
        if not config.is_from_hub and identify_base(copied) != _identify(config):
            raise UserError(f"base.source {config.source!r} changed while it was copied: run again")
    return metrics


def _on_this_machine(config: BaseConfig) -> BaseConfig:
    """The same, where the source is a bucket with a copy of it."""
    if not config.is_in_bucket:
        return config
    return config.model_copy(update={"source": str(local_copy(config.source))})


def _identify(config: BaseConfig) -> dict[str, Any]:
    return identify_base(_on_this_machine(config))


def _parents(config: BaseConfig) -> tuple[str, ...]:
    return ("dataset",) if config.source == "scratch" else ()


def _slug(config: BaseConfig) -> str:
    if config.source == "scratch":
        shape = config.architecture
        return f"{shape.type}-{shape.num_layers}x{shape.d_model}"
    if config.is_from_hub or config.is_in_bucket:
        return config.source.rstrip("/").split("/")[-1]
    return "local"


def _note(config: BaseConfig) -> str:
    return "revision not chosen yet" if config.revision == UNCHOSEN else ""


def _check(config: BaseConfig, resources: Resources) -> None:
    if config.source == "scratch" and resources.workers is not None:
        config.training.rows_per_worker(resources.workers)


KIND: StepKind = StepKind("base", 1, BaseConfig, _parents, run, _slug, _identify, _note, _check)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("base"))
