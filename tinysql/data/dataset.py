"""What a dataset is: its configuration, its splits and its files.

The split of a row is built in, not filtered: with h the hash of a row's column set, a row belongs
to bucket (table number + h) mod 10, and each split owns some buckets. Every split thus has every
table and every column, and no (table, column set) is in two splits, whatever the dataset.
"""

from typing import Any, NamedTuple, Self

from pydantic import Field, model_validator

from tinysql.config import Config
from tinysql.data import phrasing, words

SHARD_ROWS = 10_000
"""Rows of one Parquet file; a constant, so that the files do not depend on the fan-out."""

NUM_BUCKETS = 10
BUCKETS = {"train": tuple(range(2, 10)), "validation": (1,), "test": (0,)}
SPLITS = tuple(BUCKETS)


class DatasetConfig(Config):
    """What the rows of a dataset are."""

    command_sets: tuple[int, ...] = (1,)
    """Command sets to draw from, each row one uniformly: 1 is SELECT, 2 adds ORDER BY."""
    train_rows: int = Field(default=60_000, ge=1)
    """Rows of the train split."""
    validation_rows: int = Field(default=1_000, ge=1)
    """Rows of the validation split."""
    test_rows: int = Field(default=1_000, ge=1)
    """Rows of the test split."""
    min_columns: int = Field(default=2, ge=2)
    """Smallest number of columns of a table."""
    max_columns: int = Field(default=6, le=20)
    """Largest number of columns of a table."""
    order_by_rate: float = Field(default=0.9, ge=0, le=1)
    """Share of command set 2 rows that have an ORDER BY."""
    table_synonym_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of questions that call the table by a synonym."""
    column_synonym_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of selected columns that the question calls by a synonym; ORDER BY keeps the names."""
    seed: int = Field(default=0, ge=0)
    """Seed of every draw."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        unknown = sorted(set(self.command_sets) - {1, 2})
        if unknown or not self.command_sets:
            raise ValueError(f"command_sets: got {list(self.command_sets)}, expected some of 1, 2")
        if self.min_columns > self.max_columns:
            raise ValueError(
                f"min_columns {self.min_columns} is larger than max_columns {self.max_columns}"
            )
        return self

    def rows_of(self, split: str) -> range:
        """The row numbers of a split; the splits follow each other."""
        sizes = (self.train_rows, self.validation_rows, self.test_rows)
        position = SPLITS.index(split)
        start = sum(sizes[:position])
        return range(start, start + sizes[position])


class DatasetShard(NamedTuple):
    """A run of rows of one split and the file that holds them."""

    split: str
    start: int
    stop: int
    file_name: str


def dataset_shards(config: DatasetConfig) -> list[DatasetShard]:
    """Every shard of a dataset, in row order."""
    shards = []
    for split in SPLITS:
        rows = config.rows_of(split)
        for number, start in enumerate(range(rows.start, rows.stop, SHARD_ROWS)):
            stop = min(start + SHARD_ROWS, rows.stop)
            shards.append(DatasetShard(split, start, stop, f"{split}-{number:05d}.parquet"))
    return shards


def dataset_card(config: DatasetConfig) -> dict[str, Any]:
    """What a reader should know about a dataset, in JSON values."""
    return {
        "config": config.model_dump(mode="json"),
        "rows": {split: len(config.rows_of(split)) for split in SPLITS},
        "vocabulary": {
            "tables": len(words.tables()),
            "columns": len(words.columns()),
            "question_shapes": len(phrasing.SHAPES),
        },
        "splits": "a (table, set of columns) belongs to one split only: its bucket is the table's "
        f"number plus a hash of the columns, modulo {NUM_BUCKETS}",
        "buckets": {split: list(buckets) for split, buckets in BUCKETS.items()},
    }
