"""The import step: a dataset of others, checked, as Parquet files like ours.

    python -m jobs.imported --recipe import --store runs
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.steps import StepContext, StepKind
from tinysql.data.interchange.config import ImportConfig, identify_import


def run(context: StepContext, config: ImportConfig) -> dict[str, Any]:
    """Import what is on this machine here, and what is on the Hub on a worker."""
    if config.revision is None:
        return _import_here(context, config)
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415

    shards = [Shard("import", {"config": config})]
    (receipt,) = map_shards(context, "tinysql.data.interchange.importing.import_shard", shards)
    context.include(receipt)
    return receipt.metrics


def _import_here(context: StepContext, config: ImportConfig) -> dict[str, Any]:
    """No other machine may have the files."""
    from tinysql.data.interchange.importing import import_shard  # noqa: PLC0415

    workers = context.step.resources.workers or 1
    with context.results() as folder:
        metrics = import_shard(folder, config=config, workers=workers)
        if replace(context.step).identity != context.step.identity:
            raise UserError(f"import.source {config.source!r} changed while it was read: run again")
    return metrics


def _slug(config: ImportConfig) -> str:
    return f"{config.format}-{Path(config.source).stem}"


KIND: StepKind = StepKind("import", 1, ImportConfig, lambda _: (), run, _slug, identify_import)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("import"))
