"""Small random databases on which different queries give different answers.

The column types come from the table that the schema really creates: date and truth words first,
then SQLite's affinity rules (sqlite.org/datatype3.html section 3.1). An eighth of the rows is drawn
afresh from small pools of values; every other row copies an earlier one and redraws a single column
(taken in turn), a random set of columns, or nothing. So a sort key at any position meets rows that
tie on all keys before it, duplicates count, and NULLs are common. The rows are shuffled, so a
missing ORDER BY shows. One database can still hide a difference by chance: use several seeds. The
shares were chosen by counting missed mutants of random queries (up to 12 columns and 4 sort keys).

Source of the idea, distinguishing databases: Zhong et al. 2020, "Semantic Evaluation for
Text-to-SQL with Distilled Test Suites".
"""

import random
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial

from tinysql.errors import InputError
from tinysql.sql.execute import Cell, Row

Draw = Callable[[random.Random], Cell]

_EPOCH = datetime(2020, 1, 1)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NULL_RATE = 0.1
_CHANGE_RATE = 0.35


def fill(schema_sql: str, *, seed: str | int, num_rows: int = 32) -> bytes:
    """A snapshot of a database with this schema and random rows in every table.

    Args:
        schema_sql: one or more CREATE TABLE statements.
        seed: the same schema, seed and number of rows give the same bytes.
        num_rows: rows to insert into each table; rows that break a constraint are left out.

    Raises:
        InputError: SQLite refuses the schema, or a table takes none of the rows.
    """
    rng = random.Random(seed)
    with closing(sqlite3.connect(":memory:")) as connection:
        # Nothing in a schema may reach a file: ATTACH and VACUUM INTO need an attachment.
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        try:
            connection.executescript(schema_sql)
        except sqlite3.Error as error:
            raise InputError(
                f"schema {schema_sql!r} fails in SQLite: {error}; give CREATE TABLE statements"
            ) from error
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        names = [name for (name,) in tables]
        if not names:
            raise InputError(
                f"schema {schema_sql!r} creates no table; give CREATE TABLE statements"
            )
        for table in names:
            _fill_table(connection, table, rng, num_rows)
        connection.commit()
        return connection.serialize()


def _fill_table(
    connection: sqlite3.Connection, table: str, rng: random.Random, num_rows: int
) -> None:
    name = table.replace('"', '""')
    types = [column[2] for column in connection.execute(f'PRAGMA table_info("{name}")')]
    rows = draw_rows([draw_for(declared) for declared in types], rng, num_rows)
    marks = ", ".join("?" * len(types))
    cursor = connection.executemany(f'INSERT OR IGNORE INTO "{name}" VALUES ({marks})', rows)
    if cursor.rowcount < 1:
        raise InputError(f"table {table!r} takes none of {num_rows} random rows; drop constraints")


def draw_rows(draws: Sequence[Draw], rng: random.Random, num_rows: int) -> list[Row]:
    """Shuffled rows with duplicates, NULLs and, for each column, rows that differ only there."""
    pools = [[draw(rng) for _ in range(2 + num_rows // 4)] for draw in draws]
    rows: list[list[Cell]] = []
    turn = rng.randrange(len(pools))
    for index in range(num_rows):
        if index <= num_rows // 8:
            rows.append([_pick(pool, rng) for pool in pools])
            continue
        row = list(rng.choice(rows))
        changes: Sequence[int] = ()
        if index % 8 < 2:
            turn += 1
            changes = (turn % len(pools),)
        elif index % 8 < 7:
            changes = [column for column in range(len(pools)) if rng.random() < _CHANGE_RATE]
        for column in changes:
            row[column] = _pick_other(pools[column], row[column], rng)
        rows.append(row)
    rng.shuffle(rows)
    return [tuple(row) for row in rows]


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
    return max(1, int(written[1])) if written else 6
