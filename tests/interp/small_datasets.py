"""Small generated datasets."""

import json

import numpy as np
import pyarrow.parquet as pq

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows
from tinysql.data.mentions import with_mentions
from tinysql.data.prompts import format_completion, format_prompt


def write_dataset(directory, config, splits=("train", "validation")):
    """Parquet files and card of some splits of a dataset; returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for split in splits:
        rows = generate_rows(config, split, np.array(config.rows_of(split)))
        pq.write_table(rows, directory / f"{split}-00000.parquet")
    card = {"config": config.model_dump(mode="json")}
    (directory / "card.json").write_text(json.dumps(card))
    return directory


def small_config(**changes):
    """A dataset of few rows and words."""
    fields = {
        "train_rows": 120, "validation_rows": 120, "num_tables": 100, "num_columns": 300,
        "max_columns": 4,
    }  # fmt: skip
    return DatasetConfig.model_validate(fields | changes)


def read_rows(dataset, split="validation"):
    """The rows of a split with their mentions, by id."""
    rows = pq.read_table(dataset / f"{split}-00000.parquet").to_pylist()
    return {row["id"]: row for row in with_mentions(dataset, split, rows)}


def corpus(dataset) -> list[str]:
    """The training texts of a dataset."""
    rows = [row for file in dataset.glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    return [
        format_prompt(row["question"], row["schema_sql"]) + format_completion(row["gold_sql"])
        for row in rows
    ]
