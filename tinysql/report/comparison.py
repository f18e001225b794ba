"""What the page says about two models on the same questions: base and tuned, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tinysql.errors import InputError
from tinysql.evaluate.breakdown import VerdictRow, compare_models, paired
from tinysql.evaluate.stats import Rate
from tinysql.report.charts import Interval, interval_chart
from tinysql.report.marking import Segment, clip, diff
from tinysql.report.svg import number

SHOWN = 20
_SCHEMA_CHARS = 300


@dataclass(frozen=True)
class Answer:
    """What one model wrote, marked where gold is otherwise, and how it was judged."""

    sql: tuple[Segment, ...]
    verdict: str
    error: str


@dataclass(frozen=True)
class Compared:
    """One question with the answers of both models."""

    question: str
    schema_sql: str
    gold_sql: str
    base: Answer
    tuned: Answer


@dataclass(frozen=True)
class ComparisonView:
    """Two evaluations of the same rows."""

    words: str
    chart: str
    facts: tuple[tuple[str, str], ...]
    num_questions: int
    rows: tuple[Compared, ...]


def comparison_view(baseline: Path, evaluation: Path) -> ComparisonView:
    """Both models' scores, and their answers to SHOWN questions: first those they differ on.

    Raises InputError: the evaluations are not of the same rows.
    """
    base_rows, tuned_rows = _predictions(baseline), _predictions(evaluation)
    try:
        overall = compare_models(base_rows, tuned_rows).overall
        pairs = paired(base_rows, tuned_rows)
    except ValueError as error:
        raise InputError(f"two models cannot be compared: {error}") from error
    # Sorting is stable: within each kind the order is that of the dataset.
    pairs.sort(key=lambda pair: (pair[0]["strict"] == pair[1]["strict"], pair[1]["id"]))
    found = overall.difference
    return ComparisonView(
        words=overall.words,
        chart=interval_chart(
            [_interval("Base", overall.base), _interval("Tuned", overall.tuned)],
            label="Execution accuracy of both models with 95% Wilson intervals",
        ),
        facts=(
            ("right by both", number(overall.base.k - overall.only_base)),
            ("by tuned alone", number(overall.only_tuned)),
            ("by base alone", number(overall.only_base)),
            ("difference", f"{found.difference:+.3f}, 95% {found.low:+.3f} to {found.high:+.3f}"),
        ),
        num_questions=len(pairs),
        rows=tuple(_compared(base, tuned) for base, tuned in pairs[:SHOWN]),
    )


def _predictions(directory: Path) -> list[dict[str, Any]]:
    # Without the maps of component scores, which nothing here needs.
    files = sorted(directory.glob("predictions*.parquet"))
    names = pq.read_schema(files[0]).names
    columns = [name for name in names if name not in ("component_f1", "spider")]
    return pq.read_table(files, columns=columns).to_pylist()


def _interval(label: str, rate: Rate) -> Interval:
    return Interval(label, rate.k, rate.n, rate.rate, rate.low, rate.high)


def _compared(base: VerdictRow, tuned: VerdictRow) -> Compared:
    gold = clip(tuned["gold_sql"][0])
    return Compared(
        question=clip(tuned["question"]),
        schema_sql=clip(tuned["schema_sql"], _SCHEMA_CHARS),
        gold_sql=gold,
        base=_answer(gold, base),
        tuned=_answer(gold, tuned),
    )


def _answer(gold: str, row: Mapping[str, Any]) -> Answer:
    return Answer(
        sql=diff(gold, clip(row["pred_sql"]))[1],
        verdict=(row["error_class"] or row["verdict"]).replace("_", " "),
        error=clip(row["error"] or "", limit=200),
    )
