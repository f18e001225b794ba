"""The dataset step: rows of question, schema and SQL, generated shard by shard.

    python -m jobs.dataset --recipe quickstart --store runs
"""

from typing import TYPE_CHECKING, Any, cast

from cluster.steps import StepContext, StepKind
from tinysql.data.dataset import DatasetConfig, dataset_shards, identify_dataset

if TYPE_CHECKING:
    from tinysql.data.card import Counts


def run(context: StepContext, config: DatasetConfig) -> dict[str, Any]:
    """Generate every shard, and write the card."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415
    from tinysql.data.card import check_held_out, dataset_card  # noqa: PLC0415

    planned = dataset_shards(config)
    shards = [
        Shard(shard.file_name.removesuffix(".parquet"), {"config": config, **shard._asdict()})
        for shard in planned
    ]
    receipts = map_shards(context, "tinysql.data.generate.generate_shard", shards)
    for receipt in receipts:
        context.include(receipt)
    counts = (
        (shard.split, cast("Counts", receipt.metrics["counts"]))
        for shard, receipt in zip(planned, receipts, strict=True)
    )
    card = dataset_card(config, counts)
    wrong = check_held_out(card)
    if wrong:
        raise RuntimeError(f"the splits are not disjoint: {'; '.join(wrong)}")
    context.put_json("card.json", card)
    return {f"{split}_rows": rows for split, rows in config.sizes.items()}


def _slug(config: DatasetConfig) -> str:
    sets = "".join(str(number) for number in config.command_sets)
    variant = "" if config.variant == "default" else f"{config.variant}-"
    return f"{variant}cs{sets}-{config.train_rows}rows"


KIND: StepKind = StepKind("dataset", 2, DatasetConfig, lambda _: (), run, _slug, identify_dataset)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("dataset"))
