"""Small random databases on which different queries give different answers.

The column types come from the table that the schema really creates: date and truth words first,
then SQLite's affinity rules (sqlite.org/datatype3.html section 3.1). An eighth of the rows is drawn
afresh from small pools of values; every other row copies an earlier one and redraws a single column
(taken in turn), a random set of columns, or nothing. So a sort key at any position meets rows that
tie on all keys before it, duplicates count, and NULLs are common. The rows are shuffled, so a
missing ORDER BY shows. One database can still hide a difference by chance: use several seeds. The
shares were chosen by counting missed mutants of random queries (up to 12 columns and 4 sort keys).

Tables are filled parents first: a foreign key draws from a third of its parent's keys, so that some
parents have several children and others none. Hints are values that a query's conditions turn on;
they join the pools, and a tenth of each table's rows starts from hints alone, children of such rows
of their parents, so that conditions on several columns and tables hold together somewhere. Hints
for a foreign key are hints for its parent's key, too, and the other way round; up to half of the
keys are hints, in rows that start from hints and in others. To each pool come a few values that
differ from others in case, blanks or sign alone, the empty text and 0.

Source of the idea, distinguishing databases: Zhong et al. 2020, "Semantic Evaluation for
Text-to-SQL with Distilled Test Suites".
"""

import random
import re
import sqlite3
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import cache, partial
from types import MappingProxyType
from typing import Literal, NamedTuple

from tinysql.errors import InputError
from tinysql.sql.catalog import Column, Reference, Table, parents_first
from tinysql.sql.result import Cell
from tinysql.sql.snapshot import prepare

Draw = Callable[[random.Random], Cell]
Hints = Mapping[str, Mapping[str, Sequence[Cell]]]
"""Values to be found in a database, by table and column."""

_EPOCH = datetime(2020, 1, 1)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NULL_RATE = 0.1
_CHANGE_RATE = 0.35
_STOCK = 1_000
_MOST_VARIED = 2
_LONGEST_WORD = 255


class Keys(NamedTuple):
    """The values of a filled column, and those of the rows that started from hints."""

    every: Sequence[Cell]
    hinted: Sequence[Cell]


class Crowd(NamedTuple):
    """Columns whose values are shared by about `size` rows, by table; foreign keys are, too."""

    size: int
    columns: Mapping[str, Sequence[str]]


NO_CROWD = Crowd(0, MappingProxyType({}))


class Pool(NamedTuple):
    """What the cells of one column are picked from; `hints` are in `values`, too."""

    values: Sequence[Cell]
    hints: Sequence[Cell]


def fill(
    schema_sql: str,
    *,
    seed: str | int,
    num_rows: int = 32,
    hints: Hints = MappingProxyType({}),
    sorted_by: Mapping[str, Sequence[str]] = MappingProxyType({}),
    crowd: Crowd = NO_CROWD,
    sizes: Literal["even", "uneven", "thin", "one", "none"] = "even",
) -> bytes:
    """A snapshot of a database with this schema and random rows in every table.

    Args:
        schema_sql: one or more CREATE TABLE statements.
        seed: the same schema, seed, hints and number of rows give the same bytes.
        num_rows: rows to insert into each table; rows that break a constraint are left out.
        hints: values that some rows shall have.
        sorted_by: by table, columns that a query sorts by, in order; some rows tie on the first of
            them, however many, and on nothing else.
        crowd: columns of which four values have all rows.
        sizes: even, num_rows in every table; uneven, up to a fifth fewer, so that no number of rows
            is the answer to a COUNT on every database; thin, two at most and some none; one and
            none, in every table.

    Raises:
        InputError: SQLite refuses the schema, or a table takes none of the rows.
    """
    rng = random.Random(seed)
    empty, tables = prepare(schema_sql)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(empty)
        filled: dict[Reference, Keys] = {}
        wanted = _linked(hints, tables)
        for table in parents_first(tables):
            least, most = {
                "even": (num_rows, num_rows), "uneven": (num_rows - num_rows // 5, num_rows),
                "thin": (0, 2), "one": (1, 1), "none": (0, 0),
            }[sizes]  # fmt: skip
            size = rng.randint(least, most)
            if not size:
                continue
            keys = sorted_by.get(table.name, ())
            took = _fill_table(
                connection, table, wanted[table.name], keys, crowd, filled, rng, size
            )
            if not took and sizes in ("even", "uneven"):
                raise InputError(
                    f"table {table.name!r} takes none of {size} random rows; drop constraints"
                )
        connection.commit()
        return connection.serialize()


def _linked(hints: Hints, tables: Sequence[Table]) -> dict[str, dict[str, list[Cell]]]:
    """Hints for every column, in which foreign keys and what they refer to have the same."""
    found = {
        table.name: {
            column.name: list(hints.get(table.name, {}).get(column.name, ()))
            for column in table.columns
        }
        for table in tables
    }
    at = {
        Reference.to(table, column): values
        for table, columns in found.items()
        for column, values in columns.items()
    }
    ordered = parents_first(tables)
    links = [
        (at[column.parent], found[table.name][column.name])
        for table in ordered
        for column in table.columns
        if column.parent in at
    ]
    for parent, child in reversed(links):
        parent += [value for value in child if value is not None and value not in parent]
    for parent, child in links:
        child += [value for value in parent if value not in child]
    return found


def _fill_table(
    connection: sqlite3.Connection,
    table: Table,
    hints: Mapping[str, Sequence[Cell]],
    sorted_by: Sequence[str],
    crowd: Crowd,
    filled: dict[Reference, Keys],
    rng: random.Random,
    num_rows: int,
) -> int:
    """Insert rows and note in `filled` which values a foreign key may take; how many went in."""
    pools = [
        _pool(column, hints.get(column.name, ()), filled, rng, num_rows) for column in table.columns
    ]
    names = [column.name for column in table.columns]
    rows = draw_rows(pools, rng, num_rows, [names.index(name) for name in sorted_by])
    if crowd.size:
        _share(rows, table, pools, crowd)
    for place, column in enumerate(table.columns):
        known = [value for value in pools[place].values if value is not None]
        # A lone row without NULLs is the greatest, the least and the mean of its table.
        for row in rows if (column.is_required or num_rows == 1) and known else ():
            row[place] = rng.choice(known) if row[place] is None else row[place]
        if column.is_key:
            keys = _distinct_keys(column, pools[place], rng, num_rows)
            for row, key in zip(rows, keys, strict=False):
                row[place] = key
    for place, column in enumerate(table.columns):
        values = [row[place] for row in rows]
        filled[Reference.to(table.name, column.name)] = Keys(values, values[: _hinted(num_rows)])
    rng.shuffle(rows)
    name = table.name.replace('"', '""')
    marks = ", ".join("?" * len(table.columns))
    insert = f'INSERT OR IGNORE INTO "{name}" VALUES ({marks})'
    return connection.executemany(insert, rows).rowcount


def _share(
    rows: Sequence[list[Cell]], table: Table, pools: Sequence[Pool], crowd: Crowd
) -> None:
    """Groups of one row more than the crowd's size, of as many, of one less, and of the rest."""
    bounds = [crowd.size + 1, 2 * crowd.size + 1, 3 * crowd.size]
    shared = crowd.columns.get(table.name, ())
    for place, column in enumerate(table.columns):
        values = [*dict.fromkeys(value for value in pools[place].values if value is not None)]
        if column.is_key or not values or not (column.parent or column.name in shared):
            continue
        for number, row in enumerate(rows):
            row[place] = values[min(bisect(bounds, number), len(values) - 1)]


def _pool(
    column: Column,
    hints: Sequence[Cell],
    filled: Mapping[Reference, Keys],
    rng: random.Random,
    num_rows: int,
) -> Pool:
    parent = filled.get(column.parent) if column.parent else None
    size = 2 + num_rows // 4
    if parent is None:
        values = rng.choices(_stock(column.declared), k=size)
        return Pool([*hints, *values, *_edges(column.declared, hints, values, rng)], hints)
    every = [value for value in dict.fromkeys(parent.every) if value is not None]
    hinted = [value for value in parent.hinted if value is not None] or every
    hinted += [value for value in hints if value in every and value not in hinted]
    return Pool([*hinted, *rng.sample(every, min(size, len(every)))], hinted)


def _edges(
    declared: str, hints: Sequence[Cell], values: Sequence[Cell], rng: random.Random
) -> list[Cell]:
    """Texts that differ from others in case or in blanks alone, or zero and a number negated."""
    value = values[0]
    if isinstance(value, int | float):
        return [] if "BOOL" in declared.upper() else [0, -value]
    if not isinstance(value, str) or not value.isalpha():
        return []
    words = [hint for hint in hints if isinstance(hint, str)] or [value]
    found: list[Cell] = [""]
    for word in rng.sample(words, min(_MOST_VARIED, len(words))):
        cases = {word.upper(), word.lower(), word.capitalize()} - {word}
        found += [rng.choice(sorted(cases))] if cases else []
        blank = rng.choice((f" {word}", f"{word} "))
        found.append(blank[: max(len(word), _length(declared.upper()))])
    return found


def _distinct_keys(
    column: Column, pool: Pool, rng: random.Random, num_rows: int
) -> Sequence[Cell]:
    """Up to `num_rows` different values of a primary key, those of a parent where it has one."""
    if column.parent:
        return list(dict.fromkeys([*pool.hints, *pool.values]))
    if "INT" in column.declared.upper():
        others: Sequence[Cell] = rng.sample(range(1, 4 * num_rows), num_rows)
    else:
        others = rng.choices(_stock(column.declared), k=4 * num_rows)
    known = list(dict.fromkeys(hint for hint in pool.hints if _is_like(hint, others[0])))
    chosen = rng.sample(known, min(len(known), (num_rows + 1) // 2))
    keys = list(dict.fromkeys([*chosen, *others]))[:num_rows]
    # A half of the rows that start from hints may have other keys, and the rest may have these.
    first = rng.sample(chosen, min(len(chosen), (_hinted(num_rows) + 1) // 2))
    rest = [key for key in keys if key not in first]
    rng.shuffle(rest)
    return [*first, *rest]


def _is_like(hint: Cell, value: Cell) -> bool:
    """Whether a column of the value takes the hint without changing its type."""
    return type(hint) is type(value) or (isinstance(value, float) and type(hint) is int)


@cache
def _stock(declared: str) -> Sequence[Cell]:
    """Values of a type, drawn once: drawing them for every database takes most of its time."""
    rng, draw = random.Random(declared), draw_for(declared)
    return [draw(rng) for _ in range(_STOCK)]


def _hinted(num_rows: int) -> int:
    """How many rows of a table start from hints."""
    return 1 + num_rows // 16


def draw_rows(
    pools: Sequence[Pool], rng: random.Random, num_rows: int, keys: Sequence[int] = ()
) -> list[list[Cell]]:
    """Rows with duplicates, NULLs and, for each column, rows that differ only there.

    The first rows start from hints, a few more from the pools, and all others from those.
    """
    rows: list[list[Cell]] = []
    turn = rng.randrange(len(pools))
    for index in range(num_rows):
        if index < _hinted(num_rows):
            rows.append([_pick_hint(pool, rng) for pool in pools])
            continue
        if index <= num_rows // 8:
            rows.append([_pick(pool.values, rng) for pool in pools])
            continue
        row = list(rng.choice(rows))
        changes: Sequence[int] = ()
        if index % 8 < 2:
            turn += 1
            changes = (turn % len(pools),)
        elif index % 8 < 7:
            changes = [column for column in range(len(pools)) if rng.random() < _CHANGE_RATE]
        if keys and index % 4 == 3:
            tied = keys[: rng.randrange(len(keys))]
            changes = [column for column in range(len(pools)) if column not in tied]
        for column in changes:
            row[column] = _pick_other(pools[column].values, row[column], rng)
        rows.append(row)
    return rows


def _pick_hint(pool: Pool, rng: random.Random) -> Cell:
    return rng.choice(pool.hints) if pool.hints else _pick(pool.values, rng)


def _pick(pool: Sequence[Cell], rng: random.Random) -> Cell:
    # One draw decides both: past the end of the pool is NULL. random.choice is far slower.
    index = int(rng.random() * len(pool) / (1 - _NULL_RATE))
    return pool[index] if index < len(pool) else None


def _pick_other(pool: Sequence[Cell], old: Cell, rng: random.Random) -> Cell:
    new = _pick(pool, rng)
    if new != old:
        return new
    return rng.choice([value for value in (*pool, None) if value != old])


def draw_for(declared: str) -> Draw:
    """The generator of values for a declared column type such as "VARCHAR(20)" or "DATE"."""
    name = declared.upper()
    if "BOOL" in name:
        return lambda rng: rng.randrange(2)
    if "DATETIME" in name or "TIMESTAMP" in name:
        return lambda rng: _moment(rng).strftime("%Y-%m-%d %H:%M:%S")
    if "DATE" in name:
        return lambda rng: _moment(rng).strftime("%Y-%m-%d")
    if "TIME" in name:
        return lambda rng: _moment(rng).strftime("%H:%M:%S")
    if "INT" in name:
        return lambda rng: rng.randint(-99, 999)
    if any(word in name for word in ("CHAR", "CLOB", "TEXT")):
        return partial(_word, max_length=_length(name))
    if not name or "BLOB" in name:
        return lambda rng: rng.randbytes(3)
    if any(word in name for word in ("REAL", "FLOA", "DOUB")):
        return lambda rng: round(rng.uniform(-100, 1000), 3)
    return lambda rng: round(rng.uniform(-100, 1000), 2)


def _moment(rng: random.Random) -> datetime:
    return _EPOCH + timedelta(seconds=rng.randrange(5 * 365 * 86_400))


def _word(rng: random.Random, max_length: int) -> str:
    return "".join(rng.choices(_LETTERS, k=min(rng.randint(2, 6), max_length)))


def _length(name: str) -> int:
    written = re.search(r"\(\s*(\d+)", name)
    return max(1, int(written[1])) if written else _LONGEST_WORD
