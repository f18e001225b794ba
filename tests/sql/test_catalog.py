"""Tables as records, whatever the spelling, and parents before children."""

import sqlite3

from tinysql.sql.catalog import Column, Reference, parents_first, read_tables

SCHEMA = """
    CREATE TABLE Sales ( id INTEGER PRIMARY KEY, shop INTEGER REFERENCES SHOPS,
                         a INTEGER, b INTEGER, FOREIGN KEY ( a, b ) REFERENCES pairs );
    CREATE TABLE shops ( Code INTEGER PRIMARY KEY, boss INTEGER REFERENCES shops ( code ) );
    CREATE TABLE pairs ( x INTEGER, y INTEGER, PRIMARY KEY ( x, y ) );
    CREATE TABLE "odd ""name" ( "a b" TEXT REFERENCES nowhere )
"""


def test_read_tables_finds_keys_and_parents() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    sales, shops, pairs, odd = read_tables(connection)
    assert sales.columns[0] == Column("id", "INTEGER", True, None)
    assert [column.parent for column in sales.columns[1:]] == [
        Reference("shops", "code"), Reference("pairs", "x"), Reference("pairs", "y"),
    ]  # fmt: skip
    assert shops.columns[1].parent == Reference("shops", "code")
    assert not any(column.is_key for column in pairs.columns)
    assert odd.columns == (Column("a b", "TEXT", False, None),)
    assert [table.name for table in parents_first([sales, shops, pairs, odd])] == [
        "shops", "pairs", "Sales", 'odd "name',
    ]  # fmt: skip
