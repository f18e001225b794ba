"""Defog's sql-eval: whether the answers are equal after its normalization, or the gold's a subset.

Source: defog-ai/sql-eval, eval/eval.py: get_all_minimal_queries, compare_df, normalize_table,
subset_df. It works on pandas data frames; what pandas and numpy do there is done here in plain
Python, of its defects these:

- the raw answers are first compared cell by cell with numpy's broadcasting: an answer without rows
  equals one with a single row, and one row equals many that are equal to it;
- duplicate rows are dropped, and columns are sorted by name;
- rows are sorted, too, unless the category is order_by or the question has the word order, sort or
  arrange; then they are sorted by what a regular expression finds behind the first ORDER BY;
- the columns of a subset are found greedily, each by its sorted values alone;
- whatever pandas raises, on cells of mixed types or columns of one name, is a wrong answer.
"""

import itertools
import math
import re
import sqlite3
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rivals.connections import writable

_ORDER_WORDS = re.compile(r"\b(order|sort|arrange)\b")
_KEY_NOISE = {"desc", "asc", "nulls", "last", "first", "limit"}
_NULL = -99999


class PandasError(Exception):
    """Where pandas, or the engine, raises and sql-eval notes an error instead of a score."""


class Grade(NamedTuple):
    """The two results of a prediction; an exact one is correct, too."""

    exact: bool
    correct: bool


@dataclass(frozen=True)
class Frame:
    """A data frame: NULL is NaN in a column of numbers and None in any other."""

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]


def accepts(
    gold_sql: str, pred_sql: str, databases: Sequence[bytes], row: Mapping[str, Any]
) -> bool:
    """Whether the prediction counts as correct: exact, or a superset of the gold's columns."""
    return grade(gold_sql, pred_sql, databases[0], question=row["question"]).correct


def accepts_exact(
    gold_sql: str, pred_sql: str, databases: Sequence[bytes], row: Mapping[str, Any]
) -> bool:
    """Whether the prediction counts as an exact match."""
    return grade(gold_sql, pred_sql, databases[0], question=row["question"]).exact


def grade(
    gold_sql: str, pred_sql: str, database: bytes, *, question: str, category: str = ""
) -> Grade:
    """The grade over all golds in the text, which may use its `;` and `{a, b}` syntax."""
    asks_for_order = category == "order_by" or bool(_ORDER_WORDS.search(question.lower()))
    try:
        pred = _answer(pred_sql, database)
        correct = False
        for sql in minimal_queries(gold_sql):
            gold = _answer(sql, database)
            if _is_equal(gold, pred, asks_for_order, gold_sql, pred_sql):
                return Grade(True, True)
            correct = _is_subset(gold, pred, asks_for_order) or correct
    except PandasError:
        return Grade(False, False)
    return Grade(False, correct)


def minimal_queries(sql: str) -> list[str]:
    """Each query that the text stands for; only its first braces are expanded."""
    queries = []
    for part in filter(None, map(str.strip, sql.split(";"))):
        start = part.find("{")
        stop = part.find("}", start + 1)
        if start == -1 or stop == -1:
            queries.append(part)
            continue
        options = part[start + 1 : stop].split(",")
        for size in range(1, len(options) + 1):
            for chosen in itertools.combinations(options, size):
                columns = ", ".join(chosen)
                rest = part[stop + 1 :].replace("GROUP BY {}", f"GROUP BY {columns}")
                queries.append(part[:start] + columns + rest)
    return queries


def _answer(sql: str, database: bytes) -> Frame:
    with writable(database) as connection:
        try:
            cursor = connection.execute(sql)
            rows = cursor.fetchall()
        except (sqlite3.Error, sqlite3.Warning, UnicodeError) as error:
            raise PandasError from error
    if cursor.description is None:
        raise PandasError("no columns")
    columns = [column[0] for column in cursor.description]
    cells = [_typed([row[place] for row in rows]) for place in range(len(columns))]
    return Frame(columns, list(zip(*cells, strict=True)))


def _typed(cells: list[Any]) -> list[Any]:
    known = [cell for cell in cells if cell is not None]
    if len(known) == len(cells) or not known:
        return cells
    if not all(isinstance(cell, int | float) for cell in known):
        return cells
    return [math.nan if cell is None else float(cell) for cell in cells]


def _is_equal(gold: Frame, pred: Frame, asks_for_order: bool, gold_sql: str, pred_sql: str) -> bool:
    if _broadcast_equal(gold, pred):
        return True
    gold = _normalized(gold, asks_for_order, gold_sql)
    pred = _normalized(pred, asks_for_order, pred_sql)
    if len(gold.columns) != len(pred.columns) or len(gold.rows) != len(pred.rows):
        return False
    return all(
        _filled(left) == _filled(right)
        for gold_row, pred_row in zip(gold.rows, pred.rows, strict=True)
        for left, right in zip(gold_row, pred_row, strict=True)
    )


def _broadcast_equal(gold: Frame, pred: Frame) -> bool:
    """(gold == pred).all() of two numpy arrays, False where their shapes do not broadcast."""
    shapes = [(len(gold.rows), len(pred.rows)), (len(gold.columns), len(pred.columns))]
    if any(left != right and 1 not in (left, right) for left, right in shapes):
        return False
    num_rows, num_columns = (right if left == 1 else left for left, right in shapes)
    return all(
        _at(gold, row, column) == _at(pred, row, column)
        for row in range(num_rows)
        for column in range(num_columns)
    )


def _at(frame: Frame, row: int, column: int) -> Any:
    cells = frame.rows[row if len(frame.rows) > 1 else 0]
    return cells[column if len(cells) > 1 else 0]


def _filled(cell: Any) -> Any:
    return _NULL if _is_null(cell) else cell


def _is_null(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _normalized(frame: Frame, asks_for_order: bool, sql: str | None) -> Frame:
    """Without duplicate rows, columns by name, rows sorted as the module says."""
    unique: dict[Hashable, tuple[Any, ...]] = {}
    for row in frame.rows:
        unique.setdefault(tuple([None if _is_null(cell) else cell for cell in row]), row)
    places = sorted(range(len(frame.columns)), key=lambda place: frame.columns[place])
    columns = [frame.columns[place] for place in places]
    if len(set(columns)) < len(columns) and columns != list(frame.columns):
        raise PandasError("cannot reindex on an axis with duplicate labels")
    frame = Frame(columns, [tuple(row[place] for place in places) for row in unique.values()])
    if not asks_for_order:
        return _sorted(frame, columns, ascending=True)
    keys, ascending = _order_by(sql) if sql else (None, False)
    if keys is None:
        return frame
    others = [column for column in columns if column not in keys]
    known = [key for key in keys if key in columns]
    frame = _sorted(frame, known + others, ascending=ascending)
    moved = [columns.index(column) for column in others + known]
    return Frame(others + known, [tuple(row[place] for place in moved) for row in frame.rows])


def _order_by(sql: str) -> tuple[list[str] | None, bool]:
    """The words of the first sort key, None without ORDER BY; whether they say ASC alone."""
    clause = re.search(r"ORDER BY[\s\S]*", sql, re.IGNORECASE)
    if clause is None:
        return None, False
    found = re.findall(r"(?<=ORDER BY)(.*?)(?=;|,|\)|$)", clause[0], re.IGNORECASE)
    words = [word.rsplit(".", 1)[-1] for word in found[0].split()] if found else []
    said = {word.upper() for word in words}
    keys = [word.replace(",", "").replace("(", "") for word in words]
    keys = [key for key in keys if key.lower() not in _KEY_NOISE]
    return keys, "ASC" in said and "DESC" not in said


def _sorted(frame: Frame, by: Sequence[str], *, ascending: bool) -> Frame:
    """The rows sorted by columns, NULLs last in either direction.

    Numbers come before text, but only where there are several columns; a single one is refused.
    """
    if any(list(frame.columns).count(name) > 1 for name in by):
        raise PandasError("the column label is not unique")
    rows = list(frame.rows)
    for name in reversed(by):
        place = list(frame.columns).index(name)
        known = [row for row in rows if not _is_null(row[place])]
        nulls = [row for row in rows if _is_null(row[place])]
        try:
            known.sort(
                key=lambda row: (len(by) > 1 and isinstance(row[place], str), row[place]),  # noqa: B023
                reverse=not ascending,
            )
        except TypeError as error:
            raise PandasError from error
        rows = known + nulls
    return Frame(frame.columns, rows)


def _is_subset(gold: Frame, pred: Frame, asks_for_order: bool) -> bool:
    if not gold.rows:
        return False
    gold, free = _with_unique_names(gold), _with_unique_names(pred)
    left = list(free.columns)
    matched = []
    for name in gold.columns:
        values = _column(gold, name)
        match = next((each for each in left if _close(values, _column(free, each))), None)
        if match is None:
            return False
        matched.append(match)
        left.remove(match)
    if any(name not in pred.columns for name in matched):
        raise PandasError("a column that was renamed is looked up by its new name")
    places = [list(pred.columns).index(name) for name in matched]
    part = Frame(gold.columns, [tuple(row[place] for place in places) for row in pred.rows])
    gold, part = (_normalized(each, asks_for_order, None) for each in (gold, part))
    return len(gold.rows) == len(part.rows) and all(map(_close, gold.rows, part.rows))


def _with_unique_names(frame: Frame) -> Frame:
    repeated = {name for name in frame.columns if list(frame.columns).count(name) > 1}
    names = [
        f"{name}_{place}" if name in repeated else name for place, name in enumerate(frame.columns)
    ]
    return Frame(names, frame.rows)


def _column(frame: Frame, name: str) -> list[Any]:
    """The sorted values of a column."""
    place = list(frame.columns).index(name)
    cells = Frame([name], [(row[place],) for row in frame.rows])
    return [cell for (cell,) in _sorted(cells, [name], ascending=True).rows]


def _close(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """pandas' assert_almost_equal."""
    return len(left) == len(right) and all(map(_close_cells, left, right))


def _close_cells(left: Any, right: Any) -> bool:
    if _is_null(left) or _is_null(right):
        return _is_null(left) and _is_null(right)
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-5, abs_tol=1e-8)
    return bool(left == right)
