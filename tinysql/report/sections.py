"""What the page says about training and scores, read from their artifacts.

Each function reads one artifact directory and returns a frozen record that the template writes.
Everything shown is bounded (samples, rows, points), so the page stays small whatever was trained.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from tinysql.report.charts import Bar, Interval, bar_chart, interval_chart
from tinysql.report.lines import Series, line_chart
from tinysql.report.marking import Segment, clip, diff
from tinysql.report.svg import number, percent

WRONG_ANSWERS = 40
_RIGHT = ("strict", "equivalent", "subset")
CURVE_POINTS = 120


@dataclass(frozen=True)
class Curve:
    """The learning curve of one training step."""

    title: str
    chart: str
    facts: tuple[tuple[str, str], ...]
    points_note: str


@dataclass(frozen=True)
class ScoresView:
    """The scores of an evaluation."""

    execution: Interval
    exact: Interval
    chart: str
    verdicts_chart: str
    by_columns_chart: str


@dataclass(frozen=True)
class WrongAnswer:
    """A prediction that does not return the gold rows, compared with gold token by token."""

    question: str
    schema_sql: str
    gold_sql: tuple[Segment, ...]
    pred_sql: tuple[Segment, ...]
    verdict: str
    error: str


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def curve(title: str, directory: Path) -> Curve:
    """Train and validation loss of a training step over its steps."""
    log = pq.read_table(directory / "log.parquet").to_pylist()
    train, group = thin(_losses(log, "train"))
    held_out, _ = thin(_losses(log, "validation"))
    series = [
        Series("train", "gray", train),
        Series("validation", "blue", held_out, dots=len(held_out) <= 40),
    ]
    label = f"Loss of the {title} over training steps"
    note = f"Each training point is the mean of {group} logged losses." if group > 1 else ""
    chart = line_chart(series, label=label, x_title="step", y_title="loss")
    return Curve(title, chart, _training_facts(log), note)


def _losses(log: Sequence[Mapping[str, Any]], split: str) -> list[tuple[float, float]]:
    rows = (row for row in log if row["split"] == split and row["loss"] is not None)
    return [(float(row["step"]), row["loss"]) for row in rows]


def _training_facts(log: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    if not log:
        return ()
    facts = [
        ("steps", number(max(row["step"] for row in log))),
        ("tokens", number(max(row["tokens"] for row in log))),
    ]
    held_out = [row for row in log if row["split"] == "validation"]
    if held_out:
        facts.append(("last validation loss", number(held_out[-1]["loss"])))
    if held_out and held_out[-1].get("exact_match") is not None:
        facts.append(("exact match", percent(held_out[-1]["exact_match"])))
    return tuple(facts)


def thin(
    points: Sequence[tuple[float, float]], limit: int = CURVE_POINTS
) -> tuple[list[tuple[float, float]], int]:
    """At most `limit` means of neighbors, each at its last x, and how many one mean covers."""
    group = -(-len(points) // limit) or 1
    starts = range(0, len(points), group)
    groups = [points[start : start + group] for start in starts]
    return [(part[-1][0], fmean(y for _, y in part)) for part in groups], group


def scores_view(directory: Path) -> ScoresView:
    """Accuracies with their intervals, verdicts, and score by size."""
    summary = read_json(directory / "summary.json")
    execution = _interval("Execution accuracy", summary["execution"])
    exact = _interval("Exact match", summary["exact"])
    by_columns = summary["by"]["num_selected"]
    return ScoresView(
        execution=execution,
        exact=exact,
        chart=interval_chart(
            [
                execution,
                _interval("... in any column order", summary["equivalent"]),
                _interval("... among more columns", summary["subset"]),
                exact,
            ],
            label="Scores with 95% Wilson intervals",
        ),
        verdicts_chart=_verdicts_chart(summary["verdicts"], summary["n"]),
        by_columns_chart=interval_chart(
            [
                _interval(f"{width} selected (n = {number(group['n'])})", group["execution"])
                for width, group in sorted(by_columns.items(), key=lambda item: int(item[0]))
            ],
            label="Execution accuracy by number of selected columns",
        )
        if by_columns
        else "",
    )


def _interval(label: str, score: Mapping[str, Any]) -> Interval:
    return Interval(label, score["k"], score["n"], score["rate"], score["low"], score["high"])


def _verdicts_chart(verdicts: Mapping[str, int], n: int) -> str:
    ranked = sorted(((v, c) for v, c in verdicts.items() if c), key=lambda item: -item[1])
    bars = [
        Bar(verdict.replace("_", " "), count, "blue" if verdict in _RIGHT else "orange")
        for verdict, count in ranked
    ]
    return bar_chart(
        bars,
        label="Verdicts",
        caption=lambda count: f"{number(count)} ({percent(count / (n or 1))})",
    )


def wrong_answers(directory: Path) -> tuple[int, tuple[WrongAnswer, ...]]:
    """How many predictions failed, and the earliest WRONG_ANSWERS of them."""
    table = pq.read_table(sorted(directory.glob("predictions*.parquet")))
    failed = table.filter(pc.invert(pc.fill_null(table["strict"], False)))
    shown = failed.sort_by("id").slice(0, WRONG_ANSWERS).to_pylist()
    return failed.num_rows, tuple(_wrong(row) for row in shown)


def _wrong(row: Mapping[str, Any]) -> WrongAnswer:
    gold, pred = diff(clip(row["gold_sql"][0]), clip(row["pred_sql"]))
    return WrongAnswer(
        question=clip(row["question"]),
        schema_sql=clip(row["schema_sql"]),
        gold_sql=gold,
        pred_sql=pred,
        verdict=(row["error_class"] or row["verdict"]).replace("_", " "),
        error=clip(row["error"] or "", limit=200),
    )
