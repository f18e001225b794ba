"""Databases with their rows the other way round."""

import sqlite3
from contextlib import closing

import pytest

from tinysql.sql.backwards import backwards
from tinysql.sql.execute import run
from tinysql.sql.result import Row
from tinysql.sql.sample import fill


def rows(database: bytes, table: str) -> list[Row]:
    return list(run(f"SELECT * FROM {table}", database).rows)


@pytest.mark.parametrize(
    "columns",
    [
        "id INTEGER PRIMARY KEY, x TEXT",
        "id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT",
        "id INTEGER, x TEXT, PRIMARY KEY (id)",
        '"order" integer primary key, "a b" TEXT COLLATE NOCASE',
        "x INTEGER, y VARCHAR(20)",
        "x TEXT, y REAL, PRIMARY KEY (x, y)",
    ],
)
def test_the_same_rows_come_in_reverse(columns: str) -> None:
    schema = f"CREATE TABLE t ( {columns} ); CREATE TABLE u ( k INTEGER REFERENCES t, m TEXT )"
    database = fill(schema, seed=0)
    for table in ("t", "u"):
        found = rows(database, table)
        assert len(set(found)) > 8
        assert rows(backwards(database), table) == found[::-1]


def test_collations_views_and_indexes_stay_and_triggers_do_not_fire() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(
            "CREATE TABLE t ( x TEXT COLLATE NOCASE, n INTEGER AS (length(x)) ); "
            "CREATE TABLE log ( x TEXT ); CREATE INDEX i ON t ( x ); "
            "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.x); END; "
            "CREATE VIEW v AS SELECT x FROM t WHERE x = 'a'; "
            "INSERT INTO t (x) VALUES ('a'), ('A'), ('b')"
        )
        database = connection.serialize()
    found = backwards(database)
    assert rows(found, "v") == [("A",), ("a",)]
    assert rows(found, "log") == [("b",), ("A",), ("a",)]
    assert rows(found, "t") == [("b", 1), ("A", 1), ("a", 1)]
