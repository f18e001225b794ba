"""The pairs step: clean and corrupted prompts that differ in one cause.

    python -m jobs.pairs --recipe quickstart --store runs
"""

from typing import Any

from cluster.steps import StepContext, StepKind
from tinysql.interp.config import PairsConfig


def run(context: StepContext, config: PairsConfig) -> dict[str, Any]:
    """Build the pairs under the model's tokenizer."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415
    from tinysql.interp.pairs import generate_pairs  # noqa: PLC0415

    (receipt,) = map_shards(context, generate_pairs, [Shard("pairs", {"config": config})])
    context.include(receipt)
    return receipt.metrics


KIND: StepKind = StepKind(
    "pairs", 1, PairsConfig, lambda _: ("model", "dataset"), run,
    lambda config: f"{len(config.features)}features-{config.pairs_per_feature}",
)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("pairs"))
