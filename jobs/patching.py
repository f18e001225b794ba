"""The patching step: the effect of restoring clean activations, fanned out by layer.

    python -m jobs.patching --recipe quickstart --store runs
"""

import json
from typing import Any

from cluster.steps import StepContext, StepKind
from tinysql.interp.config import PatchingConfig


def run(context: StepContext, config: PatchingConfig) -> dict[str, Any]:
    """Patch every layer of the model on its own."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415

    shards = [
        Shard(f"layer-{layer:02d}", {"config": config, "layer": layer})
        for layer in range(_num_layers(context))
    ]
    receipts = map_shards(context, "tinysql.interp.patching.patch_layer", shards, gpu=True)
    for receipt in receipts:
        context.include(receipt)
    return {"layers": len(receipts), "features": receipts[0].metrics["features"]}


def _num_layers(context: StepContext) -> int:
    architecture = json.loads(context.inputs["model"].read("config.json"))
    # GPT-Neo has its own word for it.
    return int(architecture.get("num_hidden_layers") or architecture["num_layers"])


KIND: StepKind = StepKind(
    "patching", 1, PatchingConfig, lambda _: ("model", "pairs"), run,
    lambda config: "-".join(config.sites),
)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("patching"))
