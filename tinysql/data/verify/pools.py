"""The values that a column of a populated table may have."""

import random
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from tinysql.data import words
from tinysql.data.verify.predicates import like
from tinysql.data.verify.wishes import Wish
from tinysql.sql.result import Cell

# For columns of a kind that the word lists do not have, by what their type contains.
_FALLBACK = {
    "CHAR": words.Kind("", "text", False, "", "", 0, tuple("ABCDEFGHIJKLMNOP")),
    "TEXT": words.Kind("", "text", False, "", "", 0, tuple("ABCDEFGHIJKLMNOP")),
    "DATE": words.Kind("", "date", False, "2000-01-01", "2024-12-31", 0, ()),
    "TIME": words.Kind("", "timestamp", False, "2000-01-01", "2024-12-31", 0, ()),
    "BOOL": words.Kind("", "boolean", False, "", "", 0, ()),
    "": words.Kind("", "number", True, "0", "100", 0, ()),
}


def pool_of(
    column: Mapping[str, Any], wish: Wish, count: int, rng: random.Random
) -> list[Cell]:
    """Different values for a column: the query's constants, their neighbors, `count` others.

    Text that matches a LIKE pattern only if case is ignored is left out: engines differ there.
    """
    kind = words.kinds().get(column["kind"]) or next(
        kind for word, kind in _FALLBACK.items() if word in column["type"].upper()
    )
    constants = [value for value in wish.constants if value is not None]
    if kind.family == "boolean":
        return [True, False]
    if kind.family == "number":
        pool = _numbers(kind, column["type"], constants, count, rng)
    elif kind.family == "text":
        matched = [v for v in kind.values if any(like(each).fullmatch(v) for each in wish.patterns)]
        pool = [*constants, *matched, *rng.sample(kind.values, min(count, len(kind.values)))]
        pool = [value for value in pool if not _is_odd(value, wish.patterns)]
    else:
        pool = _moments(kind, constants, count, rng)
    return list(dict.fromkeys(pool))


def _is_odd(value: Cell, patterns: Sequence[str]) -> bool:
    """Whether only some engines let the value match."""
    text = str(value)
    return any(
        like(each, any_case=True).fullmatch(text) and not like(each).fullmatch(text)
        for each in patterns
    )


def _numbers(
    kind: words.Kind, sql_type: str, constants: Sequence[Cell], count: int, rng: random.Random
) -> list[Cell]:
    decimals = 0 if "INT" in sql_type else kind.decimals
    low, high = float(kind.low), float(kind.high)
    numbers = [float(value) for value in constants if isinstance(value, int | float)]
    step = 10.0**-decimals
    wanted = [moved for each in numbers for moved in (each, each - step, each + step)]
    wanted += [rng.uniform(low, high) for _ in range(count)]
    clipped = [round(min(max(each, low), high), decimals) for each in wanted]
    return [int(each) if decimals == 0 else each for each in clipped]


def _moments(
    kind: words.Kind, constants: Sequence[Cell], count: int, rng: random.Random
) -> list[Cell]:
    """Dates or timestamps as the text that every engine reads."""
    low, high = date.fromisoformat(kind.low), date.fromisoformat(kind.high)
    start = datetime(low.year, low.month, low.day)
    wanted = []
    for constant in constants:
        moment = datetime.fromisoformat(str(constant))
        wanted += [moment, moment - timedelta(days=1), moment + timedelta(days=1)]
    minutes = (high - low).days * 24 * 60
    wanted += [start + timedelta(minutes=rng.randrange(minutes)) for _ in range(count)]
    length = len("2020-01-01") if kind.family == "date" else len("2020-01-01 00:00:00")
    return [moment.isoformat(sep=" ")[:length] for moment in wanted]
