"""Predictions scored by execution and by text, and the summary of a whole evaluation.

Execution match: the same answer as the gold query on several seeded databases (see
`tinysql.evaluate.gold`). Exact match: the same text after blanks are folded and one closing ";" is
dropped. Before anything is scored the harness tests itself: each gold must match itself, and
constant answers must never match one that says anything. The databases of a row depend on the seed
and the row alone, so any split into shards gives the same verdicts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from tinysql.config import Config
from tinysql.data.dataset import GeneralizationSplit
from tinysql.data.files import split_files
from tinysql.errors import InputError
from tinysql.evaluate.gold import DatasetRow, gold_answers
from tinysql.evaluate.stats import rate
from tinysql.sql.compare import Answer, Judgement, Verdict, judge
from tinysql.sql.execute import Limits

_NEVER_RIGHT = (
    "",
    "SELECT 1",
    "SELECT NULL",
    "DROP TABLE x",
    "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r",
)
_SELF_CHECK_ROWS = 8
_WRONG_PER_SHARD = 5
_WRONG_SHOWN = 20


class EvaluationConfig(Config):
    """What is evaluated and how strictly."""

    split: Literal["train", "validation", "test"] | GeneralizationSplit = "test"
    """Part of the dataset to answer."""
    limit: int | None = Field(None, ge=1)
    """Rows of the split to answer, from its start; None means all."""
    max_new_tokens: int = Field(128, ge=1)
    """Most tokens of an answer, the end-of-sequence token included."""
    num_databases: int = Field(4, ge=1)
    """Random databases on which a prediction must agree with the gold."""
    num_rows: int = Field(32, ge=8)
    """Rows of each table of a random database."""
    max_steps: int = Field(1_000_000, ge=10_000)
    """Steps of SQLite's virtual machine after which a query counts as timed out."""
    seed: int = 0
    """Seed of the random databases."""

    @property
    def limits(self) -> Limits:
        """The limits of every query, gold or predicted."""
        return Limits(max_steps=self.max_steps)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One scored answer; the fields are the columns of predictions.parquet."""

    id: int
    question: str
    schema_sql: str
    gold_sql: str
    pred_sql: str
    verdict: str
    exec_match: bool
    exact_match: bool
    error: str | None


PREDICTION_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        *((name, pa.string()) for name in ("question", "schema_sql", "gold_sql", "pred_sql")),
        ("verdict", pa.string()),
        ("exec_match", pa.bool_()),
        ("exact_match", pa.bool_()),
        ("error", pa.string()),
    ]
)


def read_rows(dataset: Path, split: str, start: int, stop: int) -> list[dict[str, Any]]:
    """Rows start to stop - 1 of a split, counted through its files in order of name.

    Raises InputError when the split has no such rows, or no records of its queries.
    """
    rows: list[dict[str, Any]] = []
    first = 0
    for path in split_files(dataset, split):
        num_rows = pq.read_metadata(path).num_rows
        if "order_by" not in pq.read_schema(path).names:
            raise InputError(
                f"split {split!r} does not tell what its queries sort by, as imported ones do not: "
                "an answer's order cannot be judged; use a dataset that was generated here"
            )
        low, high = max(start - first, 0), min(stop - first, num_rows)
        if low < high:
            rows += pq.read_table(path).slice(low, high - low).to_pylist()
        first += num_rows
    if not 0 <= start < stop or len(rows) != stop - start:
        raise InputError(
            f"rows {start} to {stop} of split {split!r}: it has {first}; ask for rows inside it"
        )
    return rows


def score(
    rows: Sequence[DatasetRow], pred_sqls: Sequence[str], config: EvaluationConfig
) -> list[Prediction]:
    """The scored prediction of each row, after the harness has passed its own test.

    Raises:
        RuntimeError: a gold query fails or does not match itself, or a constant answer matches.
    """
    predictions = []
    for index, (row, pred_sql) in enumerate(zip(rows, pred_sqls, strict=True)):
        expected = gold_answers(
            row,
            seed=config.seed,
            num_databases=config.num_databases,
            num_rows=config.num_rows,
            limits=config.limits,
        )
        # Conditions that exclude each other may leave nothing, or NULL, whatever the data.
        says_something = any(
            cell is not None for each in expected for cells in each.gold.rows for cell in cells
        )
        constants = says_something and index < _SELF_CHECK_ROWS
        _self_check(row, expected, config, constants=constants)
        judgement = judge(pred_sql, expected, limits=config.limits)
        predictions.append(_prediction(row, pred_sql, judgement))
    return predictions


def _self_check(
    row: DatasetRow, expected: Sequence[Answer], config: EvaluationConfig, *, constants: bool
) -> None:
    gold = judge(row["gold_sql"], expected, limits=config.limits)
    if gold.verdict is not Verdict.MATCH:
        raise RuntimeError(f"gold query {row['gold_sql']!r} does not match itself: {gold.verdict}")
    for constant in _NEVER_RIGHT if constants else ():
        if judge(constant, expected, limits=config.limits).verdict is Verdict.MATCH:
            raise RuntimeError(f"constant answer {constant!r} matches gold {row['gold_sql']!r}")


def _prediction(row: DatasetRow, pred_sql: str, judgement: Judgement) -> Prediction:
    return Prediction(
        id=row["id"],
        question=row["question"],
        schema_sql=row["schema_sql"],
        gold_sql=row["gold_sql"],
        # Lone surrogates have no place in a parquet string.
        pred_sql=pred_sql.encode(errors="replace").decode(),
        verdict=judgement.verdict.value,
        exec_match=judgement.verdict is Verdict.MATCH,
        exact_match=fold(pred_sql) == fold(row["gold_sql"]),
        error=judgement.error,
    )


def fold(sql: str) -> str:
    """The text that exact match compares: single blanks, no closing ";"."""
    return " ".join(sql.split()).removesuffix(";").rstrip()


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """Write predictions as parquet, in order; the same predictions give the same bytes."""
    table = pa.Table.from_pylist([asdict(each) for each in predictions], PREDICTION_SCHEMA)
    pq.write_table(table, path)


def count(predictions: Sequence[Prediction], num_selected: Sequence[int]) -> dict[str, Any]:
    """The counts of one shard, as JSON: all that `summarize` needs.

    Args:
        num_selected: number of columns that each gold selects.
    """
    groups: dict[int, list[Prediction]] = {}
    for each, width in zip(predictions, num_selected, strict=True):
        groups.setdefault(width, []).append(each)
    wrong = [each for each in predictions if not each.exec_match][:_WRONG_PER_SHARD]
    shown = ("id", "question", "gold_sql", "pred_sql", "verdict", "error")
    return {
        **_matches(predictions),
        "verdicts": dict(Counter(each.verdict for each in predictions)),
        "by_num_selected": {str(width): _matches(groups[width]) for width in sorted(groups)},
        "wrong": [{name: getattr(each, name) for name in shown} for each in wrong],
    }


def _matches(predictions: Sequence[Prediction]) -> dict[str, int]:
    return {
        "n": len(predictions),
        "execution": sum(each.exec_match for each in predictions),
        "exact": sum(each.exact_match for each in predictions),
    }


def summarize(shards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The summary of an evaluation from the metrics of its shards, in shard order.

    Rates carry 95% Wilson intervals; "verdicts" counts every verdict, also those that never came
    up; "wrong" is a sample of wrong answers; "truncated" counts answers cut off by max_new_tokens;
    "seconds" adds up the shards' time.
    """
    if not shards:
        raise ValueError("no shards to summarize: expected the metrics of at least one")
    widths = sorted({width for shard in shards for width in shard["by_num_selected"]}, key=int)
    return {
        **_rates(shards),
        "verdicts": {
            verdict.value: sum(shard["verdicts"].get(verdict.value, 0) for shard in shards)
            for verdict in Verdict
        },
        "by_num_selected": {
            width: _rates(
                [s["by_num_selected"][width] for s in shards if width in s["by_num_selected"]]
            )
            for width in widths
        },
        "wrong": [each for shard in shards for each in shard["wrong"]][:_WRONG_SHOWN],
        "truncated": sum(shard["truncated"] for shard in shards),
    }


def _rates(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    n = sum(each["n"] for each in counts)
    rates = {name: rate(sum(each[name] for each in counts), n) for name in ("execution", "exact")}
    return {"n": n} | {name: asdict(value) for name, value in rates.items()}
