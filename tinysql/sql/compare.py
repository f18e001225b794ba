"""Whether a predicted query answers as the gold query does, on several databases.

Three tiers, each of which contains the one before it: STRICT, the gold's columns in its order;
EQUIVALENT, its columns in any order; SUBSET, its columns among others. Names never count. Which
predicted column stands for which gold column is one choice for all databases. The rows must be the
same bag, in an order that the gold's ORDER BY allows, after the cut that its LIMIT allows. Integers
compare exactly, floats with a tolerance of 1e-9 relative and absolute, NULL equals only NULL, and
'1' is not 1.

Rows that are equal only within the tolerance are paired greedily: values of one column that are
different and yet closer than the tolerance could be paired wrongly.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from itertools import chain, groupby

from tinysql.sql.execute import run
from tinysql.sql.result import Cell, Result, Row

_TOLERANCE = 1e-9
_MAX_COLUMNS = 64
"""Of a prediction: one that has more is a dump, and no tier holds."""
_MAX_TRIES = 10_000
"""Partial choices of columns; only hostile answers of many nearly equal columns need more."""

_MOST_PAIRED = 300
"""Rows that are equal to none and tried with all others."""

Run = Callable[[str, bytes], Result]
"""Runs a query on a copy of a snapshot."""

Columns = tuple[int, ...]
"""For each gold column the position of the predicted one that stands for it."""


class Verdict(StrEnum):
    """The outcome of one prediction."""

    STRICT = "strict"
    """The gold's columns in its order."""
    EQUIVALENT = "equivalent"
    """The gold's columns in another order."""
    SUBSET = "subset"
    """The gold's columns and more."""
    WRONG = "wrong"
    """Other rows or another order, on some database."""
    ERROR = "error"
    """The prediction does not run."""


class Reason(StrEnum):
    """What is seen to be wrong in the answer of a prediction that ran."""

    ORDER = "wrong_order"
    """The right rows in an order that the gold's ORDER BY does not allow."""
    COLUMNS = "wrong_columns"
    """Fewer columns, or a gold column whose values are in no predicted one."""
    ROWS = "wrong_rows"
    """Another number of rows, or the right columns with their values put together wrongly."""
    UNPARSABLE = "unparsable"
    """Nothing that is seen, but the query is one that our parser refuses, and cannot be tried."""


@dataclass(frozen=True, slots=True)
class Ties:
    """Neighboring gold rows that may stand in any order; or any as many rows of `choice`."""

    rows: Sequence[Row]
    choice: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gold query answers on one database."""

    database: bytes
    gold: Result
    groups: Sequence[Ties]
    """The gold's rows in runs of equal sort keys; one run where any order is right."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and why it is none of the three tiers."""

    verdict: Verdict
    reason: str | None = None
    """A Reason; of a prediction that does not run its ErrorKind."""
    error: str | None = None
    """The engine's words about a prediction that does not run."""
    precision: float = 1.0
    """Gold columns among the predicted ones; below 1 in the SUBSET tier only."""

    @property
    def holds(self) -> bool:
        """Whether some tier does."""
        return self.verdict not in (Verdict.WRONG, Verdict.ERROR)


class Fit(IntEnum):
    """How far an answer agrees with the gold's."""

    NONE = 0
    ROWS = 1
    ORDER = 2


def ties(
    rows: Sequence[Row], keys: Sequence[Row], offset: int, limit: int | None
) -> list[Ties]:
    """The rows that OFFSET and LIMIT keep, in runs of equal keys; a cut run has a choice."""
    stop = len(rows) if limit is None else min(len(rows), offset + limit)
    found, start = [], 0
    for _, run_of_keys in groupby(keys):
        end = start + len(list(run_of_keys))
        low, high = max(start, offset), min(end, stop)
        if low < high:
            choice = rows[start:end] if high - low < end - start else ()
            found.append(Ties(rows[low:high], choice))
        start = end
    return found


def judge(pred_sql: str, answers: Sequence[Answer], run: Run = run) -> Judgement:
    """The verdict over all databases; the first one on which no tier is left decides."""
    results: list[Result] = []
    in_place, order_kept = Fit.ORDER, True
    candidates: list[list[int]] = []
    for number, each in enumerate(answers):
        pred = run(pred_sql, each.database)
        if pred.error is not None:
            return Judgement(Verdict.ERROR, pred.error.kind.value, pred.error.message)
        width = len(each.gold.columns)
        if not width <= len(pred.columns) <= max(width, _MAX_COLUMNS):
            return Judgement(Verdict.WRONG, Reason.COLUMNS)
        if len(pred.rows) != len(each.gold.rows):
            return Judgement(Verdict.WRONG, Reason.ROWS)
        results.append(pred)
        if in_place:
            in_place = fit(each, pred.rows) if len(pred.columns) == width else Fit.NONE
            order_kept = order_kept and in_place is Fit.ORDER
        if not in_place:
            # All columns at first; from the databases before only once the places were lost.
            first = 0 if not candidates else number
            candidates = candidates or [list(_nearest(i, len(pred.columns))) for i in range(width)]
            for answer, result in zip(answers[first:], results[first:], strict=False):
                candidates = _alike(answer, result, candidates)
            if not all(candidates):
                return Judgement(Verdict.WRONG, Reason.COLUMNS)
    if in_place:
        return _judgement(Fit.ORDER if order_kept else Fit.ROWS, Verdict.STRICT)
    found, columns = _assign(answers, results, candidates)
    if not found:
        return Judgement(Verdict.WRONG, Reason.ROWS)
    width = len(results[0].columns)
    verdict = Verdict.EQUIVALENT if len(columns) == width else Verdict.SUBSET
    return _judgement(found, verdict, len(columns) / width)


def is_strict(pred_sql: str, gold: Answer, run: Run = run) -> bool:
    """Whether `judge` on this one database says STRICT."""
    pred = run(pred_sql, gold.database)
    same_width = pred.error is None and len(pred.columns) == len(gold.gold.columns)
    return same_width and fit(gold, pred.rows) is Fit.ORDER


def _judgement(found: Fit, verdict: Verdict, precision: float = 1.0) -> Judgement:
    if found is Fit.ROWS:
        return Judgement(Verdict.WRONG, Reason.ORDER)
    return Judgement(verdict, precision=precision)


def fit(
    gold: Answer, pred: Sequence[Row], columns: Columns | None = None, among: Columns | None = None
) -> Fit:
    """How far predicted rows agree with the gold's, in all columns or in some.

    Args:
        columns: the predicted columns to look at, None for all.
        among: the gold columns that they stand for, None for as many from the first on.
    """
    rows, groups = gold.gold.rows, gold.groups
    if columns is not None:
        pred = _project(pred, columns)
        places = tuple(range(len(columns))) if among is None else among
        rows = _project(rows, places)
        groups = [Ties(_project(g.rows, places), _project(g.choice, places)) for g in groups]
    if pred == rows:
        return Fit.ORDER
    if len(pred) != len(rows):
        return Fit.NONE
    if _in_order(groups, pred):
        return Fit.ORDER
    if len(groups) == 1:
        return Fit.NONE
    certain = [row for group in groups for row in group.rows if not group.choice]
    allowed = [row for group in groups for row in (group.choice or group.rows)]
    return Fit.ROWS if within(certain, pred) and within(pred, allowed) else Fit.NONE


def _in_order(groups: Sequence[Ties], pred: Sequence[Row]) -> bool:
    start = 0
    for group in groups:
        stop = start + len(group.rows)
        if not within(pred[start:stop], group.choice or group.rows):
            return False
        start = stop
    return True


def _project(rows: Sequence[Row], columns: Columns) -> list[Row]:
    return [tuple([row[column] for column in columns]) for row in rows]


def _alike(
    gold: Answer, pred: Result, candidates: Sequence[Sequence[int]]
) -> list[list[int]]:
    """For each gold column those of its candidates that have its values on this database."""
    if any(group.choice for group in gold.groups):
        return [
            [column for column in columns if fit(gold, pred.rows, (column,), (place,))]
            for place, columns in enumerate(candidates)
        ]
    of_pred, of_gold = (list(zip(*rows, strict=True)) for rows in (pred.rows, gold.gold.rows))
    if not of_gold:
        return [list(columns) for columns in candidates]
    return [
        [column for column in columns if _same_cells(cells, of_pred[column])]
        for cells, columns in zip(of_gold, candidates, strict=True)
    ]


def _same_cells(left: Row, right: Row) -> bool:
    """Whether two columns have the same cells, in any order."""
    return left == right or same_bag([(cell,) for cell in left], [(cell,) for cell in right])


def _nearest(place: int, width: int) -> Iterator[int]:
    """All columns, that of the same position first."""
    return chain([place], (column for column in range(width) if column != place))


def _assign(
    answers: Sequence[Answer], results: Sequence[Result], candidates: Sequence[Sequence[int]]
) -> tuple[Fit, Columns]:
    """The columns that agree best over all databases, by depth-first search."""
    best: tuple[Fit, Columns] = (Fit.NONE, ())
    tries = 0
    waiting: list[Columns] = [()]
    while waiting and tries < _MAX_TRIES:
        columns = waiting.pop()
        tries += 1
        is_complete = len(columns) == len(candidates)
        # Where there was one choice, nothing is saved by asking before all are made.
        is_choice = columns and len(candidates[len(columns) - 1]) > 1
        found = Fit.ORDER
        if is_complete or is_choice:
            pairs = zip(answers, results, strict=True)
            found = min(fit(answer, result.rows, columns) for answer, result in pairs)
        if found <= best[0]:
            continue
        if is_complete:
            best = (found, columns)
        else:
            further = candidates[len(columns)]
            waiting += [(*columns, column) for column in reversed(further) if column not in columns]
        if best[0] is Fit.ORDER:
            break
    return best


def same_bag(left: Sequence[Row], right: Sequence[Row], tolerance: float = _TOLERANCE) -> bool:
    """Whether the rows can be paired so that all cells of each pair are equal."""
    return len(left) == len(right) and within(left, right, tolerance)


def within(left: Sequence[Row], right: Sequence[Row], tolerance: float = _TOLERANCE) -> bool:
    """Whether each row on the left has an equal one on the right, each right one used once.

    tolerance: of floats, relative.
    """
    if left == right:
        return True
    if len(left) > len(right):
        return False
    left_count, right_count = Counter(left), Counter(right)
    rest = list((left_count - right_count).elements())
    others = list((right_count - left_count).elements())
    if not (_has_float(rest) or _has_float(others)):
        return not rest
    # In order of size, near pairs are neighbors; trying all pairs is for what that leaves.
    if len(rest) == len(others):
        rest, others = sorted(rest, key=_rank), sorted(others, key=_rank)
        if all(_same_row(*pair, tolerance) for pair in zip(rest, others, strict=True)):
            return True
    if len(rest) > _MOST_PAIRED:
        return False
    for row in rest:
        same = (i for i, other in enumerate(others) if _same_row(row, other, tolerance))
        partner = next(same, None)
        if partner is None:
            return False
        others.pop(partner)
    return True


def _has_float(rows: Sequence[Row]) -> bool:
    return any(isinstance(cell, float) for row in rows for cell in row)


def _rank(row: Row) -> tuple[tuple[int, float, str], ...]:
    """Rows in any order that keeps numbers near their neighbors."""
    return tuple(
        (0, float(cell), "") if isinstance(cell, int | float) else (1, 0.0, repr(cell))
        for cell in row
    )


def _same_row(left: Row, right: Row, tolerance: float) -> bool:
    return len(left) == len(right) and all(
        _same_cell(*pair, tolerance) for pair in zip(left, right, strict=True)
    )


def _same_cell(left: Cell, right: Cell, tolerance: float) -> bool:
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return left == right
    if isinstance(left, int) and isinstance(right, int):
        return left == right
    return math.isclose(left, right, rel_tol=tolerance, abs_tol=_TOLERANCE)
