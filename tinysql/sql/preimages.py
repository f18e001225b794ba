"""What a column must hold for an expression over it to have a value.

`LENGTH(name) > 5` turns on names of five letters and of six, `strftime('%Y', made) = '2020'` on
dates in that year and beside it, `AVG(price) > 900` on prices around 900.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from sqlglot import exp

from tinysql.sql.hints import as_cell
from tinysql.sql.result import Cell

_KEEPING = (
    exp.Paren, exp.Lower, exp.Upper, exp.Trim, exp.Cast, exp.Round, exp.Collate, exp.Date,
    exp.TsOrDsToTimestamp, exp.Min, exp.Max, exp.Avg, exp.Sum,
)  # fmt: skip
"""What has a value of its argument's, or about that."""
_DATES = ("DATE", "DATETIME", "TIME")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_MOMENT = "2020-06-15 12:30:00"
_LONGEST = 64
_UNDONE: Mapping[type[exp.Expr], Callable[[Decimal, Decimal], Decimal]] = {
    exp.Add: operator.sub, exp.Sub: operator.add, exp.Mul: operator.truediv, exp.Div: operator.mul,
}  # fmt: skip


def preimages(node: exp.Expr, values: Sequence[Cell]) -> tuple[exp.Column, list[Cell]] | None:
    """The column in an expression, and what it holds where the expression has these values.

    None where that is not known of the expression.
    """
    found = list(values)
    while not isinstance(node, exp.Column):
        try:
            step = _inside(node, found)
        except ArithmeticError:  # a number beyond all that a column holds
            return None
        if step is None:
            return None
        node, found = step
    return node, found


def _inside(node: exp.Expr, values: list[Cell]) -> tuple[exp.Expr, list[Cell]] | None:
    numbers = [Decimal(str(value)) for value in values if type(value) in (int, float)]
    if isinstance(node, _KEEPING):
        return node.this, values
    if isinstance(node, exp.Anonymous) and node.name.upper() in _DATES and node.expressions:
        return node.expressions[0], values
    if isinstance(node, exp.Coalesce):
        return node.this, [*values, None]
    if isinstance(node, exp.Abs):
        return node.this, [*values, *(as_cell(-number) for number in numbers)]
    if isinstance(node, exp.Neg):
        return node.this, [as_cell(-number) for number in numbers]
    if isinstance(node, exp.Length):
        return node.this, [_word(int(number)) for number in numbers if 0 <= number <= _LONGEST]
    if isinstance(node, exp.Substring):
        return node.this, [text for value in values for text in _around(node, str(value))]
    if isinstance(node, exp.TimeToStr):
        return node.this, [text for value in values for text in _moments(node, str(value))]
    return _beside_a_number(node, numbers)


def _word(length: int) -> str:
    return (_LETTERS * (length // len(_LETTERS) + 1))[:length]


def _around(node: exp.Substring, part: str) -> list[Cell]:
    """Texts with a part at a place; a part of a date makes dates."""
    start = node.args.get("start")
    if not (isinstance(start, exp.Literal) and start.is_int):
        return [f"start {part}", f"{part} end"]
    before = max(int(start.name) - 1, 0)
    if before + len(part) <= len(_MOMENT) and part[:1].isdigit():
        length = len("2020-06-15") if before + len(part) <= len("2020-06-15") else len(_MOMENT)
        return [f"{_MOMENT[:before]}{part}{_MOMENT[before + len(part) : length]}"]
    return [f"{_word(min(before, _LONGEST))}{part}{end}" for end in ("", " end")]


def _moments(node: exp.TimeToStr, written: str) -> list[Cell]:
    """Dates, with a time where the format has one, that are written so; and some weeks later."""
    form = node.args["format"].name
    try:
        moment = datetime.strptime(written, form)
        moment = moment if "%Y" in form else moment.replace(year=2020)
        shape = "%Y-%m-%d %H:%M:%S" if set("HMS") & set(form) else "%Y-%m-%d"
        return [f"{moment + timedelta(days):{shape}}" for days in (0, 45)]
    except (ValueError, OverflowError):
        return []


def _beside_a_number(
    node: exp.Expr, values: Sequence[Decimal]
) -> tuple[exp.Expr, list[Cell]] | None:
    undo = _UNDONE.get(type(node))
    if undo is None:
        return None
    left, right = node.this, node.expression
    if isinstance(right, exp.Literal) and not right.is_string:
        number = Decimal(right.name)
        found = [undo(value, number) for value in values if number]
        return left, [as_cell(value) for value in found]
    if not isinstance(left, exp.Literal) or left.is_string:
        return None
    number = Decimal(left.name)
    if isinstance(node, exp.Sub):
        return right, [as_cell(number - value) for value in values]
    if isinstance(node, exp.Div):
        return right, [as_cell(number / value) for value in values if value]
    return right, [as_cell(undo(value, number)) for value in values if number]
