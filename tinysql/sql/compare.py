"""Whether a predicted query answers as the gold query does, on several databases.

A match needs the gold's columns, in the gold's order (names do not count), the same bag of rows,
and, when the gold sorts, a sequence that the gold's ORDER BY allows: rows with equal sort keys may
stand in any order. Keys that the gold does not select are found by running the gold with its keys
appended as hidden columns. Integers compare exactly, floats with a tolerance of 1e-9 relative and
absolute, NULL equals only NULL, and '1' is not 1.

Rows that are equal only within the tolerance are paired greedily: values of one column that are
different and yet closer than the tolerance could be paired wrongly.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from tinysql.sql.execute import DEFAULT_LIMITS, Cell, ErrorKind, Limits, Result, Row, run

_TOLERANCE = 1e-9


class Verdict(StrEnum):
    """The outcome of one prediction; only `match` is right."""

    MATCH = "match"
    """The gold's columns and rows, in an order that the gold allows, on every database."""
    WRONG_ORDER = "wrong_order"
    """The right rows, but in an order that the gold's ORDER BY does not allow."""
    WRONG_COLUMNS = "wrong_columns"
    """Another number of columns, or as many rows with other values in some column's place."""
    WRONG_ROWS = "wrong_rows"
    """Another number of rows, or the right columns with their values put together wrongly."""
    UNKNOWN_TABLE = "unknown_table"
    """Names a table that does not exist."""
    UNKNOWN_COLUMN = "unknown_column"
    """Names a column that does not exist."""
    INVALID_SQL = "invalid_sql"
    """SQLite cannot parse or run it."""
    FORBIDDEN = "forbidden"
    """More than one statement, or not a pure, repeatable read."""
    TIMEOUT = "timeout"
    """Over its budget of steps."""
    TOO_LARGE = "too_large"
    """Over a limit on size or memory."""
    NO_SQL = "no_sql"
    """Nothing that answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gold query answers on one database."""

    database: bytes
    gold: Result
    keys: Sequence[Row] | None
    """The sort key of each row of the gold; None when the gold does not sort."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, with SQLite's words when the prediction did not run."""

    verdict: Verdict
    error: str | None = None


def answer(
    gold_sql: str,
    order_by: Sequence[str],
    database: bytes,
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> Answer:
    """The gold's answer on one database, with the key of each row when it sorts.

    Args:
        gold_sql: a query whose first " FROM " ends its SELECT list.
        order_by: the expressions of its top-level ORDER BY; empty when it has none.

    Raises:
        RuntimeError: the gold does not run; that is a broken dataset, never a score.
    """
    result = run(_with_keys(gold_sql, order_by), database, limits=limits)
    if result.error is not None:
        raise RuntimeError(f"gold query {gold_sql!r} fails: {result.error.message}")
    if not order_by:
        return Answer(database, result, None)
    width = len(result.columns) - len(order_by)
    visible = Result(result.columns[:width], [row[:width] for row in result.rows])
    return Answer(database, visible, [row[width:] for row in result.rows])


def _with_keys(gold_sql: str, order_by: Sequence[str]) -> str:
    if not order_by:
        return gold_sql
    head, separator, tail = gold_sql.partition(" FROM ")
    if not separator:
        raise RuntimeError(f"gold query {gold_sql!r} sorts but has no ' FROM '")
    return f"{head}, {', '.join(order_by)}{separator}{tail}"


def judge(
    pred_sql: str, answers: Sequence[Answer], *, limits: Limits = DEFAULT_LIMITS
) -> Judgement:
    """The verdict over all databases: the first one that finds wrong rows decides.

    A wrong order counts only if the rows are right everywhere.
    """
    worst = Verdict.MATCH
    for each in answers:
        pred = run(pred_sql, each.database, limits=limits)
        if pred.error is not None:
            return Judgement(_verdict_of(pred.error.kind), pred.error.message)
        verdict = compare(each.gold, pred, keys=each.keys)
        if verdict not in (Verdict.MATCH, Verdict.WRONG_ORDER):
            return Judgement(verdict)
        worst = verdict if worst is Verdict.MATCH else worst
    return Judgement(worst)


def _verdict_of(kind: ErrorKind) -> Verdict:
    if kind in (ErrorKind.SYNTAX, ErrorKind.OTHER):
        return Verdict.INVALID_SQL
    return Verdict(kind.value)


def compare(gold: Result, pred: Result, *, keys: Sequence[Row] | None) -> Verdict:
    """Compare two results of queries that ran.

    Args:
        keys: the sort key of each gold row, or None when any order is right.
    """
    if len(gold.columns) != len(pred.columns):
        return Verdict.WRONG_COLUMNS
    if len(gold.rows) != len(pred.rows):
        return Verdict.WRONG_ROWS
    if not same_bag(gold.rows, pred.rows):
        return Verdict.WRONG_ROWS if _same_columns(gold, pred) else Verdict.WRONG_COLUMNS
    if keys is not None and not _same_sequence(gold.rows, pred.rows, keys):
        return Verdict.WRONG_ORDER
    return Verdict.MATCH


def _same_columns(gold: Result, pred: Result) -> bool:
    """Whether each column, taken alone, holds the same bag of values."""
    return all(
        same_bag([(row[i],) for row in gold.rows], [(row[i],) for row in pred.rows])
        for i in range(len(gold.columns))
    )


def _same_sequence(gold: Sequence[Row], pred: Sequence[Row], keys: Sequence[Row]) -> bool:
    """Whether each run of equal keys in the gold holds the same bag of rows in the prediction."""
    start = 0
    for _, ties in groupby(keys):
        stop = start + len(list(ties))
        if not same_bag(gold[start:stop], pred[start:stop]):
            return False
        start = stop
    return True


def same_bag(left: Sequence[Row], right: Sequence[Row]) -> bool:
    """Whether the rows can be paired so that all cells of each pair are equal."""
    if len(left) != len(right):
        return False
    left_count, right_count = Counter(left), Counter(right)
    rest = list((left_count - right_count).elements())
    others = list((right_count - left_count).elements())
    return _pair_off(rest, others)


def _pair_off(rest: list[Row], others: list[Row]) -> bool:
    for row in rest:
        partner = next((i for i, other in enumerate(others) if _same_row(row, other)), None)
        if partner is None:
            return False
        others.pop(partner)
    return True


def _same_row(left: Row, right: Row) -> bool:
    return len(left) == len(right) and all(map(_same_cell, left, right))


def _same_cell(left: Cell, right: Cell) -> bool:
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return left == right
    if isinstance(left, int) and isinstance(right, int):
        return left == right
    return math.isclose(left, right, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
