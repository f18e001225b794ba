"""An evaluation of a dataset's rows: which rows, what is kept of each answer, and the summary.

Execution match: the answer of the gold query, in its columns and order, on several seeded databases
(the strict tier of tinysql/sql/compare.py). Exact match: the same text after blanks are folded and
one closing ";" is dropped. A row's verdict depends on the seed and the row alone, so any split into
shards gives the same.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from tinysql.data.dataset import GeneralizationSplit
from tinysql.data.files import split_files
from tinysql.errors import InputError
from tinysql.evaluate.items import GOLD_INVALID, ScoreConfig, Scored
from tinysql.evaluate.scoring import score_rows
from tinysql.evaluate.stats import rate
from tinysql.sql.gold import read_gold

DatasetRow = Mapping[str, Any]
"""One row of a dataset, by column name."""
_WRONG_PER_SHARD = 5
_WRONG_SHOWN = 20
_RATES = {
    "execution": "strict", "equivalent": "equivalent", "subset": "subset", "exact": "exact_match",
    "canonical": "canonical_match",
}  # fmt: skip
"""What the summary calls the fields of a verdict row."""
_BREAKDOWNS = ("by_num_selected", "by_command_set", "by_hardness")
_SHOWN = ("id", "question", "gold_sql", "pred_sql", "verdict", "error_class", "error")


class EvaluationConfig(ScoreConfig):
    """What is evaluated and how strictly."""

    split: Literal["train", "validation", "test"] | GeneralizationSplit = "test"
    """Part of the dataset to answer."""
    limit: int | None = Field(None, ge=1)
    """Rows of the split to answer, from its start; None means all."""
    max_new_tokens: int = Field(128, ge=1)
    """Most tokens of an answer, the end-of-sequence token included."""


PREDICTION_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        *((n, pa.string()) for n in ("question", "schema_sql", "gold_sql", "pred_sql", "verdict")),
        *((n, pa.bool_()) for n in (*_RATES.values(), "weak", "varies")),
        ("precision", pa.float64()),
        *((n, pa.string()) for n in ("error_class", "error", "hardness", "split")),
        *((n, pa.int16()) for n in ("command_set", "num_tables", "databases")),
        ("mutation_score", pa.float64()),
        ("component_f1", pa.float64()),
    ]
)


def read_rows(dataset: Path, split: str, start: int, stop: int) -> list[dict[str, Any]]:
    """Rows start to stop - 1 of a split, counted through its files in order of name.

    Raises InputError when the split has no such rows.
    """
    rows: list[dict[str, Any]] = []
    first = 0
    for path in split_files(dataset, split):
        num_rows = pq.read_metadata(path).num_rows
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
    rows: Sequence[DatasetRow],
    pred_sqls: Sequence[str],
    config: ScoreConfig,
    *,
    advance: Callable[[int], object] = lambda _: None,
) -> list[Scored]:
    """The scored prediction of each row, after the scorer has passed its own proof.

    Raises RuntimeError: a gold query fails, or the scorer fails its proof.
    """
    asked = [
        {**row, "pred_sql": pred_sql} for row, pred_sql in zip(rows, pred_sqls, strict=True)
    ]
    found = list(score_rows(asked, config, advance=advance))
    for each in found:
        if each.verdict == GOLD_INVALID:
            raise RuntimeError(f"row {each.id}: {each.error}")
    return found


def write_predictions(path: Path, predictions: Sequence[Scored]) -> None:
    """Write predictions as parquet, in order; the same predictions give the same bytes."""
    table = pa.Table.from_pylist([_prediction(each) for each in predictions], PREDICTION_SCHEMA)
    pq.write_table(table, path)


def _prediction(scored: Scored) -> dict[str, Any]:
    row = {name: getattr(scored, name) for name in PREDICTION_SCHEMA.names if hasattr(scored, name)}
    overall = scored.components.get("all")
    return row | {
        "gold_sql": scored.gold_sql[0], "component_f1": overall["f1"] if overall else None
    }  # fmt: skip


def count(predictions: Sequence[Scored]) -> dict[str, Any]:
    """The counts of one shard, as JSON: all that `summarize` needs."""
    num_selected = [len(read_gold(each.gold_sql[0]).tree.selects) for each in predictions]
    wrong = [each for each in predictions if not each.strict][:_WRONG_PER_SHARD]
    scores = [each.mutation_score for each in predictions if each.mutation_score is not None]
    return {
        **_matches(predictions),
        "weak": sum(each.weak for each in predictions),
        "varies": sum(each.varies for each in predictions),
        "mutation_scores": [sum(scores), len(scores)],
        "verdicts": dict(Counter(each.error_class or each.verdict for each in predictions)),
        "by_num_selected": _grouped(predictions, num_selected),
        "by_command_set": _grouped(predictions, [each.command_set for each in predictions]),
        "by_hardness": _grouped(predictions, [each.hardness for each in predictions]),
        "wrong": [
            {name: getattr(each, name) for name in _SHOWN} | {"gold_sql": each.gold_sql[0]}
            for each in wrong
        ],
    }


def _grouped(
    predictions: Sequence[Scored], buckets: Iterable[object]
) -> dict[str, dict[str, int]]:
    groups: dict[str, list[Scored]] = {}
    for each, bucket in zip(predictions, buckets, strict=True):
        groups.setdefault(str(bucket), []).append(each)
    return {bucket: _matches(groups[bucket]) for bucket in sorted(groups)}


def _matches(predictions: Sequence[Scored]) -> dict[str, int]:
    counts = {name: sum(getattr(p, field) for p in predictions) for name, field in _RATES.items()}
    return {"n": len(predictions), **counts}


def summarize(shards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The summary of an evaluation from the metrics of its shards, in shard order.

    Rates carry 95% Wilson intervals; "verdicts" counts answers by tier, those of no tier by error
    class; "wrong" is a sample of answers that are not strictly right; "weak" counts rows whose gold
    says nothing, "varies" those whose gold leaves the answer open; "mutation_score" is the mean
    over the rows; "truncated" counts answers cut off by max_new_tokens.
    """
    if not shards:
        raise ValueError("no shards to summarize: expected the metrics of at least one")
    verdicts: Counter[str] = Counter()
    for shard in shards:
        verdicts.update(shard["verdicts"])
    scores = [score for shard in shards for score in [shard["mutation_scores"]]]
    num_scores = sum(n for _, n in scores)
    return {
        **_rates(shards),
        "verdicts": dict(sorted(verdicts.items(), key=lambda item: (-item[1], item[0]))),
        **{name: _rates_by_bucket([shard[name] for shard in shards]) for name in _BREAKDOWNS},
        "wrong": [each for shard in shards for each in shard["wrong"]][:_WRONG_SHOWN],
        "weak": sum(shard["weak"] for shard in shards),
        "varies": sum(shard["varies"] for shard in shards),
        "mutation_score": sum(total for total, _ in scores) / num_scores if num_scores else None,
        "truncated": sum(shard["truncated"] for shard in shards),
    }


def _rates_by_bucket(shards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    buckets = sorted({bucket for shard in shards for bucket in shard}, key=_by_size)
    return {
        bucket: _rates([shard[bucket] for shard in shards if bucket in shard])
        for bucket in buckets
    }


def _by_size(bucket: str) -> tuple[int, int, str]:
    return (0, int(bucket), "") if bucket.isdecimal() else (1, 0, bucket)


def _rates(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    n = sum(each["n"] for each in counts)
    rates = {name: rate(sum(each[name] for each in counts), n) for name in _RATES}
    return {"n": n} | {name: asdict(value) for name, value in rates.items()}
