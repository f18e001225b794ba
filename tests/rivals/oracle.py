"""Whether two queries really answer differently, found without any of the comparisons under test.

Plain SQLite on small random databases whose cells are drawn around the literals of the gold. Each
query runs on the same rows in three physical orders: where the gold's own answer depends on that,
its order or its cut is not determined, and the database says nothing.
"""

import random
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import repeat
from typing import Any

import sqlglot
from sqlglot import exp

Rows = list[tuple[Any, ...]]

_MAX_TICKS = 5_000
_SIZES = (12, 40, 3, 25, 1, 70, 6, 0)
_NULL_RATE = 0.08
_NUMBERS = ("INT", "REAL", "FLOA", "DOUB", "DEC", "NUM", "BOOL")


@dataclass(frozen=True)
class Database:
    """The same rows three times, as snapshots of SQLite."""

    forward: bytes
    backward: bytes
    """In reverse order; its integer primary keys are not SQLite's row numbers."""
    shuffled: bytes
    """As backward, in any order."""

    @property
    def copies(self) -> Sequence[bytes]:
        """All three."""
        return (self.forward, self.backward, self.shuffled)


def databases_for(gold_sql: str, schema_sql: str, *, num_databases: int = 24) -> list[Database]:
    """Databases of the schema with values on which the gold's conditions turn."""
    wanted = _literals(gold_sql)
    return [_fill(schema_sql, wanted, seed) for seed in range(num_databases)]


def differs(gold_sql: str, pred_sql: str, databases: Sequence[Database]) -> bool:
    """Whether the prediction is no right answer to the gold on some database.

    A prediction that does not run differs, and so does one that is not exactly one SELECT. The
    order of rows counts where the gold's outermost query has an ORDER BY.
    """
    is_ordered = _is_ordered(gold_sql)
    for database in databases:
        wanted = _determined(gold_sql, database)
        if wanted is not None and any(
            _answer(pred_sql, copy, is_ordered) != wanted for copy in database.copies
        ):
            return True
    return False


def tells(gold_sql: str, databases: Sequence[Database]) -> bool:
    """Whether some database has a determined answer with rows, so that a difference could show."""
    return any(_determined(gold_sql, database) for database in databases)


@lru_cache(1024)
def _is_ordered(sql: str) -> bool:
    return sqlglot.parse_one(sql, read="sqlite").args.get("order") is not None


@lru_cache(1024)
def _determined(gold_sql: str, database: Database) -> Rows | None:
    """The gold's answer, None where it depends on the order of the rows."""
    answers = [_answer(gold_sql, copy, _is_ordered(gold_sql)) for copy in database.copies]
    assert None not in answers, f"the gold does not run: {gold_sql}"
    return answers[0] if answers.count(answers[0]) == len(answers) else None


def _answer(sql: str, snapshot: bytes, is_ordered: bool) -> Rows | None:
    """The rows, sorted where their order does not count; None if there are none to compare."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(snapshot)
        connection.execute("PRAGMA query_only = ON")
        connection.set_progress_handler(partial(next, repeat(0, _MAX_TICKS), 1), 1_000)
        try:
            cursor = connection.execute(sql)
            rows = [tuple(map(_rounded, row)) for row in cursor.fetchall()]
        except (sqlite3.Error, sqlite3.Warning):
            return None
    if cursor.description is None:
        return None
    return rows if is_ordered else sorted(rows, key=repr)


def _rounded(cell: Any) -> Any:
    """Sums of floats depend on the order of their terms, in the last digits."""
    return float(f"{cell:.9g}") if isinstance(cell, float) else cell


def _literals(sql: str) -> Mapping[str, list[Any]]:
    """What each column is compared with, by its name in lower case."""
    wanted: dict[str, list[Any]] = defaultdict(list)
    for node in sqlglot.parse_one(sql, read="sqlite").find_all(exp.Predicate):
        literals = [_value(literal) for literal in node.find_all(exp.Literal)]
        for column in node.find_all(exp.Column):
            wanted[column.name.lower()] += literals
    return wanted


def _value(literal: exp.Literal) -> Any:
    if literal.is_string:
        return literal.this
    return float(literal.this) if "." in literal.this else int(literal.this)


def _neighbors(value: Any) -> Iterator[Any]:
    """A literal, and values just beside it."""
    if isinstance(value, str):
        core = value.strip("%")
        yield from (core, f"{core}x", f"x{core}", f"x{core}x")
        if value[:4].isdigit():  # a date: one before it and one after
            yield from (f"1{value[1:]}", f"3{value[1:]}")
    else:
        yield from (value, value + 1, value - 1)


def _fill(schema_sql: str, wanted: Mapping[str, list[Any]], seed: int) -> Database:
    rng = random.Random(seed)
    num_rows = _SIZES[seed % len(_SIZES)]
    with ExitStack() as stack:
        forward, backward, shuffled = (
            stack.enter_context(closing(sqlite3.connect(":memory:"))) for _ in range(3)
        )
        forward.executescript(schema_sql)
        for copy in (backward, shuffled):
            copy.executescript(re.sub(r"\bINTEGER PRIMARY KEY\b", "INT PRIMARY KEY", schema_sql))
        names = forward.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        for (table,) in names.fetchall():  # parents stand before children
            columns = [
                _cells(forward, table, column, wanted, rng, num_rows)
                for column in forward.execute(f'PRAGMA table_info("{table}")').fetchall()
            ]
            insert = f'INSERT OR IGNORE INTO "{table}" VALUES ({", ".join("?" * len(columns))})'
            forward.executemany(insert, zip(*columns, strict=True))
            rows = forward.execute(f'SELECT * FROM "{table}"').fetchall()
            backward.executemany(insert, reversed(rows))
            shuffled.executemany(insert, rng.sample(rows, len(rows)))
        for each in (forward, backward, shuffled):
            each.commit()
        return Database(forward.serialize(), backward.serialize(), shuffled.serialize())


def _cells(
    connection: sqlite3.Connection, table: str, column: Sequence[Any],
    wanted: Mapping[str, list[Any]], rng: random.Random, num_rows: int,
) -> list[Any]:  # fmt: skip
    """A column's cells: distinct if it is a key, of its parent's keys, or of a small pool."""
    _, name, declared, _, _, key = column
    is_number = any(word in declared.upper() for word in _NUMBERS)
    if key:
        numbers = rng.sample(range(1, 10 * num_rows + 2), num_rows)
        return numbers if is_number else [f"k{number}" for number in numbers]
    for _, _, parent, child, parent_column, *_ in connection.execute(
        f'PRAGMA foreign_key_list("{table}")'
    ).fetchall():
        if child == name:
            rows = connection.execute(f'SELECT "{parent_column}" FROM "{parent}"').fetchall()
            pool = [key for (key,) in rows[: rng.randint(1, 8)]]
            return _drawn(pool, rng, num_rows)
    pool = [near for value in wanted.get(name.lower(), ()) for near in _neighbors(value)]
    if "BOOL" in declared.upper():
        pool = [0, 1]
    elif is_number:
        pool += [rng.randint(-9, 99) for _ in range(rng.choice([2, 6, num_rows + 1]))]
    else:
        pool += [f"{rng.choice('abcde')}{rng.randint(0, num_rows)}" for _ in range(num_rows + 2)]
        pool = pool[:3] if rng.random() < 0.3 else pool
    return _drawn(pool, rng, num_rows)


def _drawn(pool: Sequence[Any], rng: random.Random, num_cells: int) -> list[Any]:
    return [
        None if not pool or rng.random() < _NULL_RATE else rng.choice(pool)
        for _ in range(num_cells)
    ]
