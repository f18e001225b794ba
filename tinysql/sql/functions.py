"""SQLite's functions that are no pure reads as they are: those of the clock, and printf.

Each is replaced, on one connection, by a function that changes its arguments and has SQLite compute
the rest: the time is always NOW and the time zone UTC, and no width is over MAX_WIDTH.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinysql.sql.result import Cell

NOW = "2022-07-15 12:34:56"
"""The time at which every query runs, amid the dates that sample.py draws."""
MAX_WIDTH = 100
"""The highest width and precision of printf: one of a billion keeps one step busy for seconds."""

_TIME_VALUES = {
    "date": (0,),
    "datetime": (0,),
    "julianday": (0,),
    "strftime": (1,),
    "time": (0,),
    "timediff": (0, 1),
    "unixepoch": (0,),
}
"""Which arguments say when."""
_CURRENT = {"current_date": "date", "current_time": "time", "current_timestamp": "datetime"}
_PRINTF = ("printf", "format")
REPLACED = frozenset((*_TIME_VALUES, *_CURRENT, *_PRINTF))
"""Names of what `replace_functions` replaces."""

_ZONES = ("localtime", "utc")
_FORMAT = re.compile(r"%([-+ 0#!,l\d*.]*)(.?)", re.DOTALL)
_WIDTH = re.compile(r"\d+|\*")


def replace_functions(connection: sqlite3.Connection) -> None:
    """Replace those of the functions that this SQLite has."""
    for name, num_args, function in _replacements():
        connection.create_function(name, num_args, function, deterministic=True)


@cache
def _replacements() -> "list[tuple[str, int, Callable[..., Cell]]]":
    names = ", ".join(f"'{name}'" for name in REPLACED)
    found = _sqlite().execute(
        f"SELECT DISTINCT name, narg FROM pragma_function_list WHERE name IN ({names})"
    )
    return [(name, num_args, _replacement(name)) for name, num_args in found]


def _replacement(name: str) -> Callable[..., "Cell"]:
    if name in _CURRENT:
        return partial(_call, _CURRENT[name], NOW)
    if name in _PRINTF:
        return partial(_printf, name)
    return partial(_at_now, name, _TIME_VALUES[name])


def _at_now(name: str, positions: tuple[int, ...], *args: "Cell") -> "Cell":
    """A date function where "now", or no time at all, means NOW."""
    if len(args) == positions[0]:
        return _call(name, *args, NOW)
    said = [
        NOW
        if index in positions and _word(value) == "now"
        else "+0 days"
        if index > positions[-1] and _word(value) in _ZONES
        else value
        for index, value in enumerate(args)
    ]
    return _call(name, *said)


def _word(value: "Cell") -> str | None:
    """The text as C reads it, which is up to a NUL."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return value.split("\0")[0].lower() if isinstance(value, str) else None


def _printf(name: str, *args: "Cell") -> "Cell":
    if args and any(width > MAX_WIDTH for width in _widths(args)):
        raise OverflowError  # which sqlite3 turns into SQLITE_TOOBIG
    return _call(name, *args)


def _widths(args: "tuple[Cell, ...]") -> Iterator[float]:
    """Every width and precision that a format asks for, in its text or in an argument."""
    values = iter(args[1:])
    template = args[0]
    if isinstance(template, bytes):
        template = template.decode(errors="replace")
    for spec, conversion in _FORMAT.findall(str(template)):
        for width in _WIDTH.findall(spec):
            yield abs(_integer(next(values, 0))) if width == "*" else float(width)
        if conversion not in "%n":
            next(values, None)


def _integer(value: "Cell") -> int:
    if isinstance(value, int):
        return value
    return int(_sqlite().execute("SELECT coalesce(CAST(? AS INTEGER), 0)", (value,)).fetchone()[0])


def _call(name: str, *args: "Cell") -> "Cell":
    places = ", ".join("?" * len(args))
    found: Cell = _sqlite().execute(f"SELECT {name}({places})", args).fetchone()[0]
    return found


@cache
def _sqlite() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False)
