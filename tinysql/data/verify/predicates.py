"""Whether a value meets a condition of a dataset row, or fits a type, by SQL's rules.

A comparison with NULL never holds, its negation neither. Text compares by code point, as engines do
under the "C" collation.
"""

import re
import struct
from collections.abc import Sequence
from functools import cache

from tinysql.sql.result import Cell


def value_of(literal: str) -> Cell:
    """The value of an SQL literal such as 5, 3.5, 'Paris' or TRUE."""
    if literal.startswith("'"):
        return literal[1:-1].replace("''", "'")
    if literal in ("TRUE", "FALSE", "NULL"):
        return {"TRUE": True, "FALSE": False, "NULL": None}[literal]
    return float(literal) if "." in literal or "e" in literal.lower() else int(literal)


def holds(value: Cell, operator: str, operands: Sequence[Cell]) -> bool:
    """Whether `value operator operands` is true.

    Args:
        operator: as in the dataset's filters, with any number of "NOT " before it.
    """
    if operator.startswith("NOT "):
        negated = operator.removeprefix("NOT ")
        known = value is not None or negated.endswith("NULL")
        return known and not holds(value, negated, operands)
    if operator == "IS NULL":
        return value is None
    if value is None:
        return False
    if operator == "IS NOT NULL":
        return True
    if operator == "BETWEEN":
        low, high = operands
        return _compare(value, ">=", low) and _compare(value, "<=", high)
    if operator == "IN":
        return value in operands
    if operator == "LIKE":
        return like(str(operands[0])).fullmatch(str(value)) is not None
    return _compare(value, operator, operands[0])


@cache
def like(pattern: str, *, any_case: bool = False) -> re.Pattern[str]:
    """The regular expression of a LIKE pattern."""
    wild = {"%": ".*", "_": "."}
    text = "".join(wild.get(letter, re.escape(letter)) for letter in pattern)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if any_case else 0))


def fits(sql_type: str, value: Cell) -> bool:
    """Whether the type takes the value as it is, neither cut nor rounded; NULL never fits."""
    if value is None:
        return False
    sizes = [int(size) for size in re.findall(r"\d+", sql_type)]
    if isinstance(value, str):
        lengths = {"DATE": 10, "TIMESTAMP": 19}
        return len(value) == lengths.get(sql_type, len(value)) and len(value) <= min(
            sizes, default=len(value)
        )
    if "INT" in sql_type:
        bits = {"SMALLINT": 15, "BIGINT": 63}.get(sql_type, 31)
        return value == int(value) and abs(int(value)) < 2**bits
    if sql_type == "REAL":  # single precision, but not in SQLite
        return struct.unpack("f", struct.pack("f", value))[0] == value
    if isinstance(value, int | float) and len(sizes) == 2:
        return round(value, sizes[1]) == value and abs(value) < 10 ** (sizes[0] - sizes[1])
    return True


def _compare(left: Cell, operator: str, right: Cell) -> bool:
    # Any: the two are of one kind, which the type checker cannot know.
    if operator == "=":
        return left == right
    if operator == "<>":
        return left != right
    if operator == "<":
        return left < right  # type: ignore[operator]
    if operator == ">":
        return left > right  # type: ignore[operator]
    if operator == "<=":
        return left <= right  # type: ignore[operator]
    if operator == ">=":
        return left >= right  # type: ignore[operator]
    raise ValueError(f"unknown operator {operator!r}")
