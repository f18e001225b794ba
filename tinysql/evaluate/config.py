"""How strictly predictions are judged, and which rows are."""

from typing import Literal

from pydantic import Field

from tinysql.config import Config
from tinysql.data.dataset import GeneralizationSplit


class ScoreConfig(Config):
    """How strictly predictions are judged."""

    num_databases: int = Field(default=4, ge=1)
    """Random databases on which a prediction must agree with the gold."""
    num_rows: int = Field(default=32, ge=8)
    """Rows of each table of a random database; more where LIMIT or HAVING COUNT need them."""
    max_steps: int = Field(default=1_000_000, ge=10_000)
    """Steps of SQLite's virtual machine after which a query counts as timed out."""
    seed: int = 0
    """Seed of the random databases."""
    engine: Literal["sqlite", "duckdb", "postgresql"] = "sqlite"
    """What runs the queries; databases are chosen by SQLite."""
    spider: bool = False
    """Whether Spider's own scores are computed, too."""


class EvaluationConfig(ScoreConfig):
    """What is evaluated and how strictly."""

    split: Literal["train", "validation", "test", GeneralizationSplit] = "test"
    """Part of the dataset to answer."""
    limit: int | None = Field(default=None, ge=1)
    """Rows of the split to answer, from its start; None means all."""
    max_new_tokens: int = Field(default=128, ge=1)
    """Most tokens of an answer, the end-of-sequence token included."""
    compare: bool = False
    """Whether to set the answers beside those of another evaluation of the same rows, which plays
    the role "baseline"."""
