"""Values on which the conditions of a query turn, to be put into the databases it is judged on.

A random database hardly ever holds the very city that a condition names, so that a wrong city would
give the same empty answer. For each condition these are values just inside and just outside of it.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation, Overflow

from tinysql.sql.result import Cell

_AROUND = ("{}", "{} end", "start {}", "start {} end", "start end")
"""Texts that a pattern of one word may or may not match."""

_BIGGEST_INTEGER = 2**63 - 2
"""Of SQLite, but for the neighbors."""


def hint_values(operator: str, literals: Sequence[str]) -> list[Cell]:
    """Values near the SQL literals of a condition; [] where any value does."""
    if operator == "IS NULL":
        return [None]
    return list(dict.fromkeys(value for each in literals for value in _near(operator, each)))


def _near(operator: str, literal: str) -> Iterable[Cell]:
    if not literal.startswith("'"):
        return _near_number(literal)
    text = literal[1:-1].replace("''", "'")
    if "LIKE" in operator:
        return [shape.format(text.strip("%")) for shape in _AROUND]
    return [text, *(_near_date(text) or _near_digits(text) or [f"new {text}"])]


def _near_number(literal: str) -> list[Cell]:
    try:
        number = Decimal(literal)
        step = Decimal(1).scaleb(min(int(number.as_tuple().exponent), 0))
        return [as_cell(number + change * step) for change in (0, -1, 1)]
    except InvalidOperation:
        return [literal.upper() == "TRUE"]
    except Overflow:
        return []


def as_cell(number: Decimal) -> Cell:
    """The number as SQLite has it."""
    whole = number == number.to_integral_value() and abs(number) < _BIGGEST_INTEGER
    return int(number) if whole else float(number)


def _near_date(text: str) -> list[Cell]:
    try:
        if len(text) == len("2020-01-01"):
            return [f"{date.fromisoformat(text) + timedelta(days)}" for days in (0, -1, 1)]
        return [f"{datetime.fromisoformat(text) + timedelta(0, s)}" for s in (0, -60, 60)]
    except (ValueError, OverflowError):  # no date, or the first or last one there is
        return []


def _near_digits(text: str) -> list[Cell]:
    """The numbers before and after, as long as the text."""
    if not (text.isascii() and text.isdigit()):
        return []
    return [f"{int(text) + change:0{len(text)}d}" for change in (-1, 1)]
