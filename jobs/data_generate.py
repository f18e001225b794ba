"""Generate a dataset into a directory, without a store.

    python -m jobs.data generate --command-set 4 --rows 20000 --out data/cs4
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from jobs.configs import checked_config
from jobs.console import one_bar
from jobs.entry import Json, wants_json
from tinysql.data.dataset import GENERALIZATION_SPLITS, DatasetConfig, dataset_shards
from tinysql.data.writing import whole_folder

_OPTIONS = {
    "train_rows": "--rows",
    "validation_rows": "--test-rows",
    "test_rows": "--test-rows",
    "command_sets": "--command-set",
    "generalization_rows": "--generalization-rows",
    "min_columns": "--min-columns",
    "max_columns": "--max-columns",
    "seed": "--seed",
    "variant": "--variant",
}
"""What the user calls a field."""
SYNONYM_RATES = {"table_synonym_rate": 0.8, "column_synonym_rate": 0.5}


def generate(
    out: Annotated[Path, typer.Option(help="Directory to make; must not exist or be empty.")],
    command_set: Annotated[
        list[int] | None, typer.Option(help="Command set, 1 to 8. Repeatable. Default: 1.")
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of the train split.")] = 10_000,
    test_rows: Annotated[int, typer.Option(help="Rows of validation, and of test.")] = 1_000,
    generalization_rows: Annotated[
        int, typer.Option(help="Rows of each split of unseen words, sizes or command set.")
    ] = 0,
    min_columns: Annotated[int, typer.Option(help="Fewest columns of a table.")] = 2,
    max_columns: Annotated[int, typer.Option(help="Most columns of a table.")] = 12,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    synonyms: Annotated[
        bool, typer.Option(help="Call 80% of tables and 50% of columns by a synonym.")
    ] = False,
    variant: Annotated[str, typer.Option(help="default, or paper for its grammar.")] = "default",
    json_output: Json = None,
) -> None:
    """Generate a dataset into a directory: Parquet files and card.json.

    Example: tinysql data generate --command-set 4 --rows 20000 --synonyms --out data/cs4
    """
    config = checked_config(DatasetConfig, {
        "variant": variant,
        "command_sets": tuple(command_set or [1]),
        "train_rows": rows,
        "validation_rows": test_rows,
        "test_rows": test_rows,
        "generalization_rows": dict.fromkeys(
            _possible_splits(command_set or [1], variant), generalization_rows
        ) if generalization_rows else {},
        "min_columns": min_columns,
        "max_columns": max_columns,
        "seed": seed,
        **(SYNONYM_RATES if synonyms else {}),
    }, _OPTIONS)  # fmt: skip
    # Loading the words takes a moment that --help need not wait for.
    from tinysql.data.card import dataset_card  # noqa: PLC0415
    from tinysql.data.generate import generate_shard  # noqa: PLC0415

    shards = dataset_shards(config)
    counts = []
    with whole_folder(out) as folder, one_bar("generate", len(shards), "shards") as advance:
        for shard in shards:
            made = generate_shard(folder, config=config, **shard._asdict())
            counts.append((shard.split, made["counts"]))
            advance(1)
        card = json.dumps(dataset_card(config, counts), indent=1) + "\n"
        (folder / "card.json").write_text(card, encoding="utf-8")
    if wants_json(json_output):
        print(json.dumps({"out": str(out), "rows": config.sizes}))  # noqa: T201
    else:
        total = sum(config.sizes.values())
        Console().print(f"{total:,} rows in {len(shards)} files: {out}", highlight=False)


def _possible_splits(command_sets: list[int], variant: str) -> list[str]:
    """Every generalization split; the highest command set has none above it."""
    highest = 5 if variant == "paper" else 8
    at_top = max(command_sets) >= highest
    return [s for s in GENERALIZATION_SPLITS if not (at_top and s == "higher_command_set")]
