"""The sae step: one sparse autoencoder per site, trained in parallel.

    python -m jobs.sae --recipe quickstart --store runs
"""

from typing import Any

from cluster.steps import StepContext, StepKind
from tinysql.interp.config import SAEConfig


def run(context: StepContext, config: SAEConfig) -> dict[str, Any]:
    """Train an autoencoder on each site's activations."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415

    shards = [Shard(site, {"config": config, "site": site}) for site in config.sites]
    receipts = map_shards(context, "tinysql.interp.sae_train.train_sae", shards, gpu=True)
    for receipt in receipts:
        context.include(receipt)
    return {receipt.shard: receipt.metrics for receipt in receipts}


KIND: StepKind = StepKind(
    "sae", 1, SAEConfig, lambda _: ("model", "dataset"), run,
    lambda config: f"topk{config.k}-{len(config.sites)}sites",
)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("sae"))
