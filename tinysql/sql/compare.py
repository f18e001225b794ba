"""Whether a predicted query answers as the gold query does, on several databases.

A match needs the gold's columns, in the gold's order (names do not count), the same bag of rows,
and, when the gold sorts, a sequence that the gold's ORDER BY allows: rows with equal sort keys may
stand in any order, and where a LIMIT cuts through such rows, any of them may be kept. Keys that the
gold does not select are found by running the gold with its keys appended as hidden columns, and
what a LIMIT cuts off by running it without. Integers compare exactly, floats with a tolerance of
1e-9 relative and absolute, NULL equals only NULL, and '1' is not 1.

Rows that are equal only within the tolerance are paired greedily: values of one column that are
different and yet closer than the tolerance could be paired wrongly.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, groupby

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
    """The sort key of each row of the gold; None when the gold neither sorts nor has a LIMIT."""
    cut: Sequence[Row] = ()
    """The rows that tie with the gold's last one, itself included, where a LIMIT cuts some off."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, with SQLite's words when the prediction did not run."""

    verdict: Verdict
    error: str | None = None


def answer(
    gold_sql: str,
    order_by: Sequence[str | int],
    database: bytes,
    *,
    limit: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> Answer:
    """The gold's answer on one database, with the key of each row when it sorts.

    Args:
        gold_sql: a query; if a key is an expression, the first " FROM " ends its SELECT list.
        order_by: the keys of its top-level ORDER BY, each a position in the answer, from 0, or an
            expression; empty when it has none.
        limit: the number at the end of the query, after LIMIT; 0 when it has none.

    Raises:
        RuntimeError: the gold does not run; that is a broken dataset, never a score.
    """
    hidden = [key for key in order_by if isinstance(key, str)]
    result = run(_with_keys(_unlimited(gold_sql, limit), hidden), database, limits=limits)
    if result.error is not None:
        raise RuntimeError(f"gold query {gold_sql!r} fails: {result.error.message}")
    width = len(result.columns) - len(hidden)
    places = _places(order_by, width)
    rows = [row[:width] for row in result.rows]
    keys = [tuple(row[place] for place in places) for row in result.rows]
    kept = limit or len(rows)
    gold = Result(result.columns[:width], rows[:kept])
    if len(rows) <= kept:
        return Answer(database, gold, keys if order_by else None)
    cut = [row for row, key in zip(rows, keys, strict=True) if key == keys[kept - 1]]
    return Answer(database, gold, keys[:kept], cut)


def _unlimited(gold_sql: str, limit: int) -> str:
    if not limit:
        return gold_sql
    ending = f" LIMIT {limit}"
    if not gold_sql.endswith(ending):
        raise RuntimeError(f"gold query {gold_sql!r} does not end with {ending!r}")
    return gold_sql.removesuffix(ending)


def _with_keys(gold_sql: str, hidden: Sequence[str]) -> str:
    if not hidden:
        return gold_sql
    head, separator, tail = gold_sql.partition(" FROM ")
    if not separator:
        raise RuntimeError(f"gold query {gold_sql!r} sorts but has no ' FROM '")
    return f"{head}, {', '.join(hidden)}{separator}{tail}"


def _places(order_by: Sequence[str | int], width: int) -> list[int]:
    """Where each key stands in a row whose hidden keys follow its first `width` cells."""
    hidden = iter(range(width, width + len(order_by)))
    return [next(hidden) if isinstance(key, str) else key for key in order_by]


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
        verdict = compare(each.gold, pred, keys=each.keys, cut=each.cut)
        if verdict not in (Verdict.MATCH, Verdict.WRONG_ORDER):
            return Judgement(verdict)
        worst = verdict if worst is Verdict.MATCH else worst
    return Judgement(worst)


def _verdict_of(kind: ErrorKind) -> Verdict:
    if kind in (ErrorKind.SYNTAX, ErrorKind.OTHER):
        return Verdict.INVALID_SQL
    return Verdict(kind.value)


def compare(
    gold: Result, pred: Result, *, keys: Sequence[Row] | None, cut: Sequence[Row] = ()
) -> Verdict:
    """Compare two results of queries that ran.

    Args:
        keys: the sort key of each gold row, or None when any order is right.
        cut: the rows among which the last run of equal keys is a choice, if it is one.
    """
    if len(gold.columns) != len(pred.columns):
        return Verdict.WRONG_COLUMNS
    if len(gold.rows) != len(pred.rows):
        return Verdict.WRONG_ROWS
    groups = _groups(gold.rows, keys, cut)
    certain = [row for group in groups for row in group.rows if not group.choice]
    allowed = [row for group in groups for row in (group.choice or group.rows)]
    if not (within(certain, pred.rows) and within(pred.rows, allowed)):
        return Verdict.WRONG_ROWS if _same_columns(gold, pred) else Verdict.WRONG_COLUMNS
    start = 0
    for group in groups:
        stop = start + len(group.rows)
        if not within(pred.rows[start:stop], group.choice or group.rows):
            return Verdict.WRONG_ORDER
        start = stop
    return Verdict.MATCH


@dataclass(frozen=True, slots=True)
class _Ties:
    """Neighboring gold rows in any order, or any as many rows of `choice`."""

    rows: Sequence[Row]
    choice: Sequence[Row] = ()


def _groups(rows: Sequence[Row], keys: Sequence[Row] | None, cut: Sequence[Row]) -> list[_Ties]:
    """The rows in runs of equal keys."""
    lengths = [len(rows)] if keys is None else [len(list(ties)) for _, ties in groupby(keys)]
    stops = list(accumulate(lengths))
    groups = [_Ties(rows[stop - n : stop]) for n, stop in zip(lengths, stops, strict=True)]
    return [*groups[:-1], _Ties(groups[-1].rows, cut)] if cut else groups


def _same_columns(gold: Result, pred: Result) -> bool:
    """Whether each column, taken alone, holds the same bag of values."""
    return all(
        same_bag([(row[i],) for row in gold.rows], [(row[i],) for row in pred.rows])
        for i in range(len(gold.columns))
    )


def same_bag(left: Sequence[Row], right: Sequence[Row]) -> bool:
    """Whether the rows can be paired so that all cells of each pair are equal."""
    return len(left) == len(right) and within(left, right)


def within(left: Sequence[Row], right: Sequence[Row]) -> bool:
    """Whether each row on the left has an equal one on the right, each right one used once."""
    if len(left) > len(right):
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
