"""The export step: a dataset in the row format of another project, file by file.

    python -m jobs.export --recipe export --store runs
"""

from typing import Any

from cluster.steps import StepContext, StepKind
from tinysql.data.interchange.config import ExportConfig


def run(context: StepContext, config: ExportConfig) -> dict[str, Any]:
    """Write every Parquet file of the dataset in the format."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415
    from tinysql.data.interchange.export import check_splits, split_of  # noqa: PLC0415

    names = [ref.name for ref in context.inputs["dataset"].manifest().objects]
    names = [name for name in names if split_of(name)]
    check_splits(names, config.splits)
    shards = [
        Shard(name.removesuffix(".parquet"), {"file_name": name, "config": config})
        for name in names
        if config.splits is None or split_of(name) in config.splits
    ]
    receipts = map_shards(context, "tinysql.data.interchange.export.export_file", shards)
    for receipt in receipts:
        context.include(receipt)
    return {
        key: sum(int(str(receipt.metrics[key])) for receipt in receipts)
        for key in ("rows", "left_out")
    }


def _slug(config: ExportConfig) -> str:
    return "-".join((config.format, *(config.splits or ())))


KIND: StepKind = StepKind("export", 1, ExportConfig, lambda _: ("dataset",), run, _slug)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("export"))
