"""The dataset step: rows of question, schema and SQL, generated shard by shard.

    python -m jobs.dataset --recipe quickstart --store runs
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cluster.steps import StepContext, StepKind
from tinysql.data.dataset import SPLITS, DatasetConfig, dataset_card, dataset_shards


def run(context: StepContext, config: DatasetConfig) -> dict[str, Any]:
    """Generate every shard, and write the card."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415
    from tinysql.data.generate import generate_shard  # noqa: PLC0415

    shards = [
        Shard(shard.file_name.removesuffix(".parquet"), {"config": config, **shard._asdict()})
        for shard in dataset_shards(config)
    ]
    for receipt in map_shards(context, generate_shard, shards):
        context.include(receipt)
    with TemporaryDirectory() as folder:
        card = json.dumps(dataset_card(config), indent=1)
        (Path(folder) / "card.json").write_text(card + "\n", encoding="utf-8")
        context.put_dir(Path(folder))
    return {f"{split}_rows": len(config.rows_of(split)) for split in SPLITS}


def _slug(config: DatasetConfig) -> str:
    sets = "".join(str(number) for number in config.command_sets)
    return f"cs{sets}-{config.train_rows}rows"


KIND: StepKind = StepKind("dataset", 1, DatasetConfig, lambda _: (), run, _slug)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("dataset"))
