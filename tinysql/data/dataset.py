"""What a dataset is: its configuration, its splits and its files.

The split of a row is built in, not filtered. With h the hash of a row's columns, a row belongs to
bucket (sum of its table numbers + h) mod 10, and train, validation and test own buckets; so no
(tables, set of columns) is in two of them, whatever the dataset. The splits that test
generalization take words, phrases, schema sizes or command sets that those three never have.
"""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Literal, NamedTuple, Self, get_args

from pydantic import Field, model_validator

from tinysql.config import Config
from tinysql.data import words

SHARD_ROWS = 10_000
"""Rows of one Parquet file; a constant, so that the files do not depend on the fan-out."""

BUCKETS = {"train": tuple(range(2, 10)), "validation": (1,), "test": (0,)}
EVERY_BUCKET = tuple(range(10))

GeneralizationSplit = Literal[
    "held_tables", "held_columns", "held_phrases", "longer_schemas", "higher_command_set"
]
GENERALIZATION_SPLITS: tuple[str, ...] = get_args(GeneralizationSplit)
SPLITS = (*BUCKETS, *GENERALIZATION_SPLITS)

Variant = Literal["default", "paper"]
COMMAND_SETS = range(1, 9)
PAPER_COMMAND_SETS = range(1, 6)


class DatasetConfig(Config):
    """What the rows of a dataset are."""

    variant: Variant = "default"
    """default: valid SQL throughout; paper: the grammar and rates of the TinySQL paper."""
    command_sets: tuple[int, ...] = (1,)
    """Command sets to draw from, each row one uniformly; cumulative, 1 to 8 (paper: 1 to 5)."""
    train_rows: int = Field(default=60_000, ge=1)
    """Rows of the train split."""
    validation_rows: int = Field(default=1_000, ge=1)
    """Rows of the validation split."""
    test_rows: int = Field(default=1_000, ge=1)
    """Rows of the test split: like train, but (tables, column sets) unseen there."""
    generalization_rows: dict[GeneralizationSplit, int] = {}
    """Rows of each split of unseen tables, columns, phrases, schema sizes or command set."""
    min_columns: int = Field(default=2, ge=2)
    """Smallest number of columns of a table, keys not counted."""
    max_columns: int = Field(default=6, le=20)
    """Largest number of columns of a table; of one that is not alone in its schema, half of it."""
    longer_columns: tuple[int, int] | None = None
    """Fewest and most columns in longer_schemas; None: above max_columns, to twice as many."""
    higher_command_set: int | None = None
    """Command set of the split of that name; None: the one after the highest of command_sets."""
    num_tables: int = Field(default=len(words.tables()), ge=100, le=len(words.tables()))
    """Tables are drawn from the first so many of the word list."""
    num_columns: int = Field(default=len(words.columns()), ge=300, le=len(words.columns()))
    """Columns are drawn from the first so many of the word list."""
    order_by_rate: float = Field(default=0.9, ge=0, le=1)
    """Share of rows with an ORDER BY, from command set 2 on."""
    aggregate_rate: float = Field(default=0.6, ge=0, le=1)
    """Share of rows with an aggregate, from command set 3 on; the paper variant has its own."""
    where_rate: float = Field(default=0.8, ge=0, le=1)
    """Share of rows with a WHERE, from command set 4 on."""
    join_rate: float = Field(default=0.8, ge=0, le=1)
    """Share of rows with a JOIN in command set 5; the paper variant joins whenever types allow."""
    first_table_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of rows whose FROM begins with the schema's first table, the others' with any: a small
    model learns aliases where one order is the rule, and hardly where both are as likely
    (docs/training.md)."""
    table_synonym_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of table mentions by a synonym; the TinySQL paper has 0.8."""
    column_synonym_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of column mentions by a synonym, in every clause; the TinySQL paper has 0.5."""
    seed: int = Field(default=0, ge=0)
    """Seed of every draw."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        known = PAPER_COMMAND_SETS if self.variant == "paper" else COMMAND_SETS
        if not self.command_sets or set(self.command_sets) - set(known):
            raise ValueError(
                f"command_sets: got {list(self.command_sets)}, expected some of {known[0]} to "
                f"{known[-1]} in the {self.variant} variant"
            )
        if self.min_columns > self.max_columns:
            raise ValueError(
                f"min_columns {self.min_columns} is larger than max_columns {self.max_columns}"
            )
        if self.first_table_rate and self.variant == "paper":
            raise ValueError(
                f"first_table_rate is for the default variant, got {self.first_table_rate}: leave "
                "it out"
            )
        for split, rows in self.generalization_rows.items():
            if rows < 1:
                raise ValueError(f"generalization_rows.{split}: got {rows}, expected at least 1")
        self._check_disjoint(known[-1])
        return self

    def _check_disjoint(self, highest: int) -> None:
        longer = self.longer_range
        if not self.max_columns < longer[0] <= longer[1] <= 40:
            raise ValueError(
                f"longer_columns: got {list(longer)}, which overlaps with the other splits' "
                f"{self.min_columns} to {self.max_columns} columns or passes 40"
            )
        if "higher_command_set" in self.generalization_rows or self.higher_command_set:
            higher = self.higher
            if higher in self.command_sets or not 1 <= higher <= highest:
                raise ValueError(
                    f"higher_command_set: got {higher}, which overlaps with command_sets "
                    f"{list(self.command_sets)} or is not one of 1 to {highest}"
                )

    @property
    def longer_range(self) -> tuple[int, int]:
        """Fewest and most columns of the longer_schemas split."""
        return self.longer_columns or (self.max_columns + 1, 2 * self.max_columns)

    @property
    def higher(self) -> int:
        """The command set of the higher_command_set split."""
        return self.higher_command_set or max(self.command_sets) + 1

    @property
    def sizes(self) -> dict[str, int]:
        """Rows by split, of the splits that have any."""
        extra = {
            split: self.generalization_rows[split]
            for split in GENERALIZATION_SPLITS if split in self.generalization_rows
        }  # fmt: skip
        return {
            "train": self.train_rows, "validation": self.validation_rows, "test": self.test_rows,
        } | extra  # fmt: skip

    def rows_of(self, split: str) -> range:
        """The row numbers of a split; the splits follow each other."""
        return row_ranges(self.sizes)[split]


def identify_dataset(config: DatasetConfig) -> dict[str, Any]:
    """What decides the rows; what came later is left out where it is not used."""
    science = config.model_dump(mode="json")
    if not config.first_table_rate:
        del science["first_table_rate"]
    return science


class DatasetShard(NamedTuple):
    """A run of rows of one split and the file that holds them."""

    split: str
    start: int
    stop: int
    file_name: str


def row_ranges(sizes: Mapping[str, int]) -> dict[str, range]:
    """The row numbers of each split, of splits of these sizes that follow each other."""
    starts = accumulate(sizes.values(), initial=0)
    return {
        split: range(start, start + rows)
        for (split, rows), start in zip(sizes.items(), starts, strict=False)
    }


def dataset_shards(config: DatasetConfig) -> list[DatasetShard]:
    """Every shard of a dataset, in row order."""
    return shards_of(config.sizes)


def shards_of(sizes: Mapping[str, int]) -> list[DatasetShard]:
    """Every shard of rows in splits of these sizes, in row order."""
    shards = []
    for split, rows in row_ranges(sizes).items():
        for number, start in enumerate(range(rows.start, rows.stop, SHARD_ROWS)):
            stop = min(start + SHARD_ROWS, rows.stop)
            shards.append(DatasetShard(split, start, stop, f"{split}-{number:05d}.parquet"))
    return shards
