"""What the natural variant is: rows of a dataset whose questions a language model has rewritten.

Every question is checked (recover.py, rewriting.py) or its row is left out and counted. Rows keep
their id and split, so whatever the splits of the dataset have apart stays apart.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import Field, JsonValue, model_validator

from tinysql.config import Config
from tinysql.data.dataset import DatasetShard
from tinysql.errors import InputError

SHARD_ROWS = 200
"""Rows asked for by one shard, which is what a killed run loses at most on another machine."""

_TAKEN = ("model", "messages", "temperature", "seed", "max_tokens", "n", "stream")


class Connection(Config):
    """How the endpoint is reached; none of it is part of a step's identity."""

    url_variable: str = Field(default="OPENAI_BASE_URL", pattern=r"^[A-Z0-9_]+_BASE_URL$")
    """Environment variable with the endpoint's URL, such as https://api.openai.com/v1."""
    key_variable: str = Field(default="OPENAI_API_KEY", pattern=r"^[A-Z0-9_]+_API_KEY$")
    """Environment variable with the key; unset sends none. A recipe can name no other secret."""
    concurrency: int = Field(default=16, ge=1, le=256)
    """Requests in flight per worker."""
    timeout_seconds: float = Field(default=120.0, gt=0)
    """How long one reply may take."""
    retries: int = Field(default=6, ge=0, le=20)
    """How often a request is sent again when the endpoint is busy or broken."""


class NaturalConfig(Config):
    """Which rows are rewritten, by which model and how."""

    model: str = Field(min_length=1)
    """Name of the model at the endpoint."""
    splits: tuple[str, ...] | None = None
    """Splits to rewrite; None means all that the dataset has."""
    rows_per_split: int = Field(default=1_000, ge=1)
    """Rows to rewrite of each split, from its start."""
    max_tries: int = Field(default=3, ge=1, le=10)
    """Answers to ask for, each told what was wrong with the one before, until a row is left out."""
    temperature: float | None = Field(default=0.7, ge=0, le=2)
    """Of the rewriting; None leaves it to the endpoint. Reading back is at 0."""
    seed: int | None = 0
    """Sent with each request, for endpoints that can repeat an answer; None sends none."""
    max_tokens: int | None = Field(default=512, ge=16)
    """Most tokens of an answer; None sends none."""
    parameters: dict[str, JsonValue] = {}
    """Further fields of every request, such as max_completion_tokens."""
    num_databases: int = Field(default=6, ge=2)
    """Databases, half of them random and half planted for the query, on which the question, read
    back as SQL, must answer as the gold query does."""
    connection: Connection = Connection()
    """How the endpoint is reached."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        taken = sorted(set(self.parameters) & set(_TAKEN))
        if taken:
            raise ValueError(f"parameters: {taken[0]} has a field of its own or is not for you")
        return self


def natural_shards(config: NaturalConfig, rows: Mapping[str, int]) -> list[DatasetShard]:
    """The shards, with rows counted from the start of their split; `rows`: what each split has.

    Raises InputError for a split that is not there.
    """
    unknown = sorted(set(config.splits or ()) - set(rows))
    if unknown:
        raise InputError(
            f"splits: got {unknown[0]!r}, which the dataset does not have; "
            f"expected some of {', '.join(rows)}"
        )
    shards = []
    for split in config.splits or rows:
        wanted = min(rows[split], config.rows_per_split)
        for number, start in enumerate(range(0, wanted, SHARD_ROWS)):
            stop = min(start + SHARD_ROWS, wanted)
            shards.append(DatasetShard(split, start, stop, f"{split}-{number:05d}.parquet"))
    return shards


def natural_card(
    config: NaturalConfig,
    shards: Sequence[DatasetShard],
    counts: Sequence[Mapping[str, Any]],
    source: Mapping[str, Any],
) -> dict[str, Any]:
    """What a reader should know, in JSON values.

    Args:
        counts: the metrics of each shard.
        source: the card of the dataset that was rewritten.

    Raises:
        InputError: a split has no row left.
    """
    asked, rows, refused = Counter[str](), Counter[str](), Counter[str]()
    for shard, count in zip(shards, counts, strict=True):
        asked[shard.split] += count["asked"]
        rows[shard.split] += count["rows"]
        refused.update(count["refused"])
    for split in asked:
        if not rows[split]:
            raise InputError(
                f"model {config.model!r}: none of its questions for the {asked[split]} rows of "
                f"split {split!r} was accepted (refused: {dict(refused.most_common())}); "
                "use another model or more max_tries"
            )
    return {
        "variant": "natural",
        "config": config.model_dump(mode="json", exclude={"connection"}),
        "rows": dict(rows),
        "asked": dict(asked),
        "accepted": sum(rows.values()),
        "dropped": {split: asked[split] - rows[split] for split in asked},
        "refused": dict(sorted(refused.items())),
        **{
            name: sum(count[name] for count in counts)
            for name in ("requests", "prompt_tokens", "completion_tokens")
        },
        "checks": "every table, column, value, aggregate, comparison, direction and limit is told "
        "by the question's words and no other column or number is; read back as SQL by the same "
        f"model, it answers as gold_sql on {config.num_databases} populated databases",
        "splits": "rows keep the split of their source; a held-out synonym counts as a mention in "
        "held_phrases only, all other words are the model's own in every split",
        "source": dict(source),
    }
