"""What the page says about data, training and scores, read from their artifacts.

Each function reads one artifact directory and returns a frozen record that the template writes.
Everything shown is bounded (samples, rows, points), so the page stays small whatever was trained.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from tinysql.report.charts import Bar, Interval, bar_chart, column_chart, interval_chart
from tinysql.report.lines import Series, line_chart
from tinysql.report.marking import Segment, clip, diff, highlight
from tinysql.report.svg import number, percent

SPLITS = ("train", "validation", "test")
SAMPLES = 6
WRONG_ANSWERS = 40
CURVE_POINTS = 120


@dataclass(frozen=True)
class Sample:
    """One row of the dataset with the parts that belong together marked alike."""

    command_set: int
    question: tuple[Segment, ...]
    schema_sql: tuple[Segment, ...]
    gold_sql: tuple[Segment, ...]


@dataclass(frozen=True)
class DatasetView:
    """Counts, distributions and samples of a dataset."""

    counts: Mapping[str, int]
    splits_chart: str
    columns_chart: str
    selected_chart: str
    samples: tuple[Sample, ...]


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


def dataset_view(directory: Path) -> DatasetView:
    """Counts per split, distributions of column counts, and samples of the test split."""
    files = {split: sorted(directory.glob(f"{split}-*.parquet")) for split in SPLITS}
    counts = {
        split: sum(pq.read_metadata(path).num_rows for path in paths)
        for split, paths in files.items()
    }
    every = [path for paths in files.values() for path in paths]
    return DatasetView(
        counts=counts,
        splits_chart=bar_chart(
            [Bar(split, count) for split, count in counts.items()], label="Rows per split"
        ),
        columns_chart=_lengths_chart(every, "columns", "columns in the table"),
        selected_chart=_lengths_chart(every, "select", "selected columns"),
        samples=tuple(_sample(row) for row in _spread_rows(files["test"], SAMPLES)),
    )


def _lengths_chart(paths: Sequence[Path], column: str, title: str) -> str:
    tally: Counter[int] = Counter()
    for path in paths:
        lengths = pc.list_value_length(pq.read_table(path, columns=[column])[column])
        for item in pc.value_counts(lengths).to_pylist():
            tally[item["values"]] += item["counts"]
    shown = range(min(tally, default=0), max(tally, default=0) + 1) if tally else range(0)
    bars = [Bar(str(length), tally[length]) for length in shown]
    return column_chart(bars, label=f"Share of rows by number of {title}", x_title=title)


def _spread_rows(paths: Sequence[Path], count: int) -> list[dict[str, Any]]:
    """`count` rows at equal distances through the first file."""
    if not paths:
        return []
    table = pq.read_table(paths[0])
    step = max(table.num_rows // count, 1)
    return table.take(list(range(0, table.num_rows, step))[:count]).to_pylist()


def _sample(row: Mapping[str, Any]) -> Sample:
    table = row["table"]
    names = dict.fromkeys(row["select"], "select")
    order = dict.fromkeys(row["order_by"], "order")
    ordered = (
        f"{name} {phrase}"
        for name, phrase in zip(row["order_by"], row["order_phrases"], strict=True)
    )
    in_question = {
        **dict.fromkeys(row["select_phrases"], "select"),
        **dict.fromkeys(ordered, "order"),
        row["table_phrase"]: "table",
    }
    select, keyword, keys = row["gold_sql"].partition(" ORDER BY ")
    return Sample(
        command_set=row["command_set"],
        question=highlight(clip(row["question"]), in_question),
        schema_sql=highlight(clip(row["schema_sql"]), {**order, **names, table: "table"}),
        gold_sql=highlight(clip(select), {**names, table: "table"})
        + highlight(clip(keyword + keys), order),
    )


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
    """Execution and exact-match accuracy with their intervals, verdicts, and score by size."""
    summary = read_json(directory / "summary.json")
    execution = _interval("Execution accuracy", summary["execution"])
    exact = _interval("Exact match", summary["exact"])
    by_columns = summary.get("by_num_selected", {})
    return ScoresView(
        execution=execution,
        exact=exact,
        chart=interval_chart([execution, exact], label="Scores with 95% Wilson intervals"),
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
        Bar(verdict.replace("_", " "), count, "blue" if verdict == "match" else "orange")
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
    failed = table.filter(pc.invert(pc.fill_null(table["exec_match"], False)))
    shown = failed.sort_by("id").slice(0, WRONG_ANSWERS).to_pylist()
    return failed.num_rows, tuple(_wrong(row) for row in shown)


def _wrong(row: Mapping[str, Any]) -> WrongAnswer:
    gold, pred = diff(clip(row["gold_sql"]), clip(row["pred_sql"]))
    return WrongAnswer(
        question=clip(row["question"]),
        schema_sql=clip(row["schema_sql"]),
        gold_sql=gold,
        pred_sql=pred,
        verdict=row["verdict"].replace("_", " "),
        error=clip(row["error"] or "", limit=200),
    )
