"""The pairs step: clean and corrupted prompts that differ in one cause, fanned out by feature.

    python -m jobs.pairs --recipe quickstart --store runs
"""

from typing import Any

from cluster.steps import StepContext, StepKind
from tinysql.interp.config import PairsConfig


def run(context: StepContext, config: PairsConfig) -> dict[str, Any]:
    """Build the pairs of every feature under the model's tokenizer."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415
    from tinysql.interp.pairs import check_found, write_summary  # noqa: PLC0415

    shards = [
        Shard(
            feature,
            {
                "config": config.model_copy(update={"features": (feature,)}),
                "name": f"pairs-{feature}",
                "may_be_empty": True,
            },
        )
        for feature in config.features
    ]
    receipts = map_shards(context, "tinysql.interp.pairs.generate_pairs", shards)
    counts: list[Any] = [receipt.metrics for receipt in receipts]
    features = {name: entry for each in counts for name, entry in each["features"].items()}
    check_found(features, config.split)
    for receipt in receipts:
        context.include(receipt)
    with context.results() as folder:
        write_summary(folder, counts)
    pairs = {name: entry["pairs"] for name, entry in features.items()}
    return {"pairs": sum(pairs.values())} | pairs


KIND: StepKind = StepKind(
    "pairs", 2, PairsConfig, lambda _: ("model", "dataset"), run,
    lambda config: f"{len(config.features)}features-{config.pairs_per_feature}",
)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("pairs"))
