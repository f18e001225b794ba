"""The adapter_study step: what a model's adapters weigh, changed and made it forget.

    python -m jobs.adapter_study --recipe lora --store runs
"""

from typing import Any

from cluster.steps import StepContext, StepKind
from tinysql.train.config import AdapterStudyConfig


def run(context: StepContext, config: AdapterStudyConfig) -> dict[str, Any]:
    """Study the model beside its base, on validation rows of the dataset."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415

    shards = [Shard("study", {"config": config})]
    (receipt,) = map_shards(context, "tinysql.train.study.study_adapters", shards, gpu=True)
    context.include(receipt)
    return receipt.metrics


def _slug(config: AdapterStudyConfig) -> str:
    return "all-rows" if config.rows is None else f"{config.rows}rows"


KIND: StepKind = StepKind(
    "adapter_study", 1, AdapterStudyConfig, lambda _: ("base", "model", "dataset"), run, _slug
)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("adapter_study"))
