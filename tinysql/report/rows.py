"""What the page says about a dataset: its size, its shape, and marked samples."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from tinysql.data.dataset import BUCKETS, SPLITS
from tinysql.data.mentions import with_mentions
from tinysql.errors import InputError
from tinysql.report.charts import Bar, bar_chart, column_chart
from tinysql.report.marking import Mark, Segment, highlight

SAMPLES = 6
_SELECT = "select"


@dataclass(frozen=True)
class Sample:
    """One row of the dataset with the parts that belong together marked alike."""

    command_set: int
    question: tuple[Segment, ...]
    schema_sql: tuple[Segment, ...]
    gold_sql: tuple[Segment, ...]


@dataclass(frozen=True)
class DatasetView:
    """Counts, distributions and samples of a dataset.

    There is no selected_chart of rows of others, which do not say what they select.
    """

    counts: Mapping[str, int]
    splits_chart: str
    columns_chart: str
    selected_chart: str
    samples: tuple[Sample, ...]


def dataset_view(directory: Path) -> DatasetView:
    """Counts per split, distributions of column counts, and samples of the test split."""
    found = {split: sorted(directory.glob(f"{split}-*.parquet")) for split in SPLITS}
    files = {split: paths for split, paths in found.items() if paths or split in BUCKETS}
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
        columns_chart=_lengths_chart(every, "columns", "columns in the schema"),
        selected_chart=_lengths_chart(
            [path for path in every if _SELECT in pq.read_schema(path).names],
            _SELECT,
            "selected columns",
        ),
        samples=_samples(directory, _spread_rows(files["test"], SAMPLES)),
    )


def _lengths_chart(paths: Sequence[Path], column: str, title: str) -> str:
    """The distribution of how long the lists of a column are; "" of no files."""
    if not paths:
        return ""
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


_MARKS = {
    "table": "table", "from": "table",
    "select": "select", "select_aggregate": "select", "aggregate": "select",
    "filter": "filter", "operator": "filter", "value": "filter",
    "group": "group", "having": "group", "having_aggregate": "group", "having_value": "group",
    "order": "order", "order_aggregate": "order", "direction": "order",
}  # fmt: skip
"""The mark of each part of a question or query that has one."""


def _samples(directory: Path, rows: Sequence[Mapping[str, Any]]) -> tuple[Sample, ...]:
    """The rows, marked if the dataset was generated here."""
    try:
        marked: Sequence[Mapping[str, Any]] = with_mentions(directory, "test", rows)
    except InputError:
        marked = [{**row, "mentions": []} for row in rows]
    return tuple(_sample(row) for row in marked)


def _sample(row: Mapping[str, Any]) -> Sample:
    marks: dict[str, list[Mark]] = {"question": [], "schema": [], "sql": []}
    columns = _column_marks(row) if row["mentions"] else {}
    for mention in row["mentions"]:
        text, part, *numbers = mention["key"].split(".")
        if text == "schema" and part == "column":
            name = columns.get(int(numbers[0]), "")
        else:
            name = _MARKS.get(part, "")
        if name:
            marks[text].append(Mark(mention["start"], mention["end"], name))
    return Sample(
        command_set=row["command_set"],
        question=highlight(row["question"], marks["question"]),
        schema_sql=highlight(row["schema_sql"], marks["schema"]),
        gold_sql=highlight(row["gold_sql"], marks["sql"]),
    )


def _column_marks(row: Mapping[str, Any]) -> dict[int, str]:
    """The mark of every column of the schema that the query uses, for its first use."""
    places = {(c["table"], c["name"]): number for number, c in enumerate(row["columns"])}
    uses = {"select": row["select"], "filter": row["filters"], "group": row["group_by"],
            "order": row["order_by"]}  # fmt: skip
    marks: dict[int, str] = {}
    for mark, items in uses.items():
        for item in items:
            place = places.get((item["table"], item["column"]))
            if place is not None:
                marks.setdefault(place, mark)
    return marks
