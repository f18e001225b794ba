"""What is checked of a dataset, and what the counts of a verification (see rows.py) mean."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from pydantic import Field

from tinysql.config import Config

EngineName = Literal["sqlite", "duckdb", "postgresql"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


class VerificationConfig(Config):
    """What is checked of a dataset, and when a check fails."""

    engines: tuple[EngineName, ...] = Field(default=("sqlite", "duckdb"), min_length=1)
    """Where the gold SQL runs; other data are tried in the first one, so it should be quick."""
    rows: int | None = Field(default=None, ge=1)
    """Rows of every file to run, from its start; None for all. Duplicates are sought in all."""
    num_rows: int = Field(default=16, ge=8)
    """About the rows to plant in every table."""
    max_empty_share: float = Field(default=0.05, ge=0, le=1)
    """Largest share of rows whose answer stays empty, as where two conditions contradict."""
    max_constant_share: float = Field(default=0.15, ge=0, le=1)
    """Largest share of rows whose answer stays one row, as where its only column is NULL."""


class Check(NamedTuple):
    """One check of a dataset."""

    name: str
    passed: bool
    message: str
    key: str
    """Of its count and its examples."""


def report(result: Mapping[str, Any], config: VerificationConfig) -> dict[str, Any]:
    """Everything that is known of a verified dataset, in JSON values.

    Args:
        result: the merged results of verify_files for all files and of find_duplicates.
    """
    checks = judge(result["counts"], config)
    return {
        "passed": all(check.passed for check in checks),
        "checks": [check._asdict() for check in checks],
        "config": config.model_dump(mode="json"),
        "counts": dict(sorted(result["counts"].items())),
        "examples": result["examples"],
    }


def judge(counts: Mapping[str, int], config: VerificationConfig) -> list[Check]:
    """The checks, in the order in which a reader wants them."""
    rows = counts.get("rows", 0)
    checks = []
    for engine in config.engines:
        key = f"failed.{engine}"
        failed = counts.get(key, 0)
        message = f"{rows - failed} of {rows} rows"
        checks.append(Check(f"runs on {engine}", rows > 0 and failed == 0, message, key))
    if len(config.engines) > 1:
        tied = f"{counts.get('chosen', 0)} more chose otherwise among ties at LIMIT"
        checks.append(_none("engines agree", counts, "differing", tied))
    repeated = {
        what: f"{counts.get(f'repeated.{what}', 0)} more within one split"
        for what in ("question", "query")
    }
    return [
        *checks,
        _none("sorted as the records say", counts, "unsorted"),
        _few("answers are not empty", counts, "empty", config.max_empty_share),
        _few("answers depend on the data", counts, "constant", config.max_constant_share),
        _none("question, records and SQL agree", counts, "english"),
        _none("names are unambiguous", counts, "ambiguous"),
        _none("ids are unique", counts, "repeated.id"),
        _none("no question in two splits", counts, "leaked.question", repeated["question"]),
        _none("no query in two splits", counts, "leaked.query", repeated["query"]),
    ]


def _none(name: str, counts: Mapping[str, int], key: str, note: str = "") -> Check:
    found = counts.get(key, 0)
    message = f"{found} exceptions"
    return Check(name, found == 0, f"{message}, {note}" if note else message, key)


def _few(name: str, counts: Mapping[str, int], key: str, most: float) -> Check:
    found, rows = counts.get(key, 0), max(1, counts.get("rows", 0))
    message = f"{found} exceptions, {found / rows:.1%} of {most:.0%} allowed"
    return Check(name, found <= most * rows, message, key)
