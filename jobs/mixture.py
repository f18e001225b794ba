"""The mixture step: rows of several datasets, by weight and by kind, as a dataset of its own.

    python -m jobs.mixture --recipe curriculum --store runs
"""

from collections import Counter
from typing import Any, cast

from cluster.steps import StepContext, StepKind
from tinysql.data.dataset import shards_of
from tinysql.data.mixture import MixtureConfig


def run(context: StepContext, config: MixtureConfig) -> dict[str, Any]:
    """Draw every shard, and write the card."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415

    planned = shards_of(config.sizes)
    shards = [
        Shard(shard.file_name.removesuffix(".parquet"), {"config": config, "shard": shard})
        for shard in planned
    ]
    receipts = map_shards(context, "tinysql.data.mixing.mix_shard", shards)
    counts: dict[str, dict[str, Counter[str]]] = {}
    for shard, receipt in zip(planned, receipts, strict=True):
        context.include(receipt)
        for name, found in cast("dict[str, dict[str, int]]", receipt.metrics).items():
            counts.setdefault(shard.split, {}).setdefault(name, Counter()).update(found)
    card = {
        "variant": "mixture",
        "config": config.model_dump(mode="json"),
        "rows": config.sizes,
        "parts": {role: parent.path for role, parent in sorted(context.step.parents.items())},
        "counts": counts,
    }
    context.put_json("card.json", card)
    return {f"{split}_rows": rows for split, rows in config.sizes.items()}


def _slug(config: MixtureConfig) -> str:
    return f"{'-'.join(sorted(config.parts))}-{config.train_rows}rows"


KIND: StepKind = StepKind(
    "mixture", 1, MixtureConfig, lambda config: tuple(sorted(config.parts)), run, _slug
)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("mixture"))
