"""Queries of others: what is accepted, mended or found wrong, and that nothing else happens."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tinysql.data.interchange.gold import Gold, read_gold, run_gold
from tinysql.data.interchange.problems import Note, Problem, Refused
from tinysql.data.interchange.sandbox import schema_error, small_database
from tinysql.data.interchange.schema import read_schema

SCHEMA = read_schema(
    'CREATE TABLE people ( name TEXT, age INTEGER, "home town" TEXT ); '
    "CREATE TABLE pets ( name TEXT, owner TEXT )"
)
DATABASE = small_database(SCHEMA)


def problem(sql: str) -> str | None:
    try:
        finding = run_gold(read_gold(sql, SCHEMA), DATABASE)
    except Refused as refused:
        return str(refused.finding.problem)
    return str(finding.problem) if finding else None


def gold(sql: str, dialect: str = "sqlite") -> Gold:
    return read_gold(sql, SCHEMA, dialect)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT name FROM people;", None),
        ("WITH c AS (SELECT age FROM people) SELECT age FROM c", None),
        ("SELECT name FROM people UNION SELECT name FROM pets ORDER BY 1", None),
        ("SELECT FROM WHERE", Problem.GOLD_UNPARSABLE),
        ("SELECT name FROM people WHERE name = 'x", Problem.GOLD_UNPARSABLE),
        ("", Problem.NOT_A_QUERY),
        ("-- nothing", Problem.NOT_A_QUERY),
        ("SELECT 1; SELECT 2", Problem.NOT_A_QUERY),
        ("UPDATE people SET age = 1", Problem.NOT_A_QUERY),
        ("DROP TABLE people", Problem.NOT_A_QUERY),
        ("SELECT name FROM nobody", Problem.UNKNOWN_TABLE),
        ("SELECT salary FROM people", Problem.UNKNOWN_COLUMN),
        ("SELECT people.owner FROM people", Problem.UNKNOWN_COLUMN),
        ("SELECT name FROM people JOIN pets ON people.name = pets.owner", Problem.AMBIGUOUS_COLUMN),
        ("SELECT SUM(COUNT(age)) FROM people", Problem.GOLD_FAILS),
        ("SELECT FOO(age) FROM people", Problem.GOLD_FAILS),
        ("SELECT age FROM people ORDER BY RANDOM()", Problem.GOLD_FAILS),
        ("SELECT age FROM people WHERE name > CURRENT_DATE", None),
    ],
)
def test_problems_are_told_apart(sql: str, expected: str | None) -> None:
    assert problem(sql) == expected


@pytest.mark.parametrize(
    ("written", "mended"),
    [
        ('name = "Ann"', "name = 'Ann'"),
        ('name = "O\'Neil" AND age > 1', "name = 'O''Neil' AND age > 1"),
        ('name LIKE "%""x""%"', "name LIKE '%\"x\"%'"),
        ('name IN ("a", "b")', "name IN ('a', 'b')"),
        ('"home town" = "Paris"', "\"home town\" = 'Paris'"),
        ("name = 'say \"hi\"'", "name = 'say \"hi\"'"),
        ('"NAME" = "x"', "\"NAME\" = 'x'"),
        ('people."name" = "x"', "people.\"name\" = 'x'"),
    ],
)
def test_texts_in_double_quotes_get_single_ones(written: str, mended: str) -> None:
    found = gold(f"SELECT age FROM people WHERE {written}")
    assert found.sql == f"SELECT age FROM people WHERE {mended}"
    assert (Note.STRING_REQUOTED in found.notes) == (written != mended)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(DATABASE)
        results = [
            connection.execute(f"SELECT age FROM people WHERE {each}").fetchall()
            for each in (written, mended)
        ]
    assert results[0] == results[1]


def test_names_that_the_query_gives_itself_stay_names() -> None:
    sql = 'SELECT age AS "how old" FROM people AS "all of us" ORDER BY "how old"'
    assert (gold(sql).sql, gold(sql).notes) == (sql, ())


def test_line_breaks_and_comments_go_blanks_and_texts_stay() -> None:
    sql = "SELECT  name -- the name\nFROM people\n  WHERE name = 'a\nb  c' ORDER\nBY name;"
    assert gold(sql).sql == "SELECT  name FROM people WHERE name = 'a\nb  c' ORDER BY name"
    assert gold("SELECT  name FROM people ").sql == "SELECT  name FROM people"


def test_spelling_is_the_same_but_for_blanks_comments_and_case() -> None:
    one, other = gold("SELECT name FROM people WHERE name='Ann'"), gold(
        "select NAME\nfrom people -- all\nwhere Name = \"Ann\";"
    )
    assert one.spelling == other.spelling
    assert one.spelling != gold("SELECT name FROM people WHERE name='ann'").spelling


def test_another_dialect_is_translated() -> None:
    found = gold("SELECT age::float FROM people WHERE name ILIKE 'a%'", "postgres")
    assert found.notes == (Note.TRANSLATED,)
    assert "::" not in found.sql
    assert run_gold(found, DATABASE) is None


@pytest.mark.parametrize(
    ("sql", "mixes"),
    [
        ("SELECT name, COUNT(*) FROM people", True),
        ("SELECT COUNT(*) FROM people", False),
        ("SELECT name, COUNT(*) FROM people GROUP BY name", False),
        ("SELECT 1, MAX(age) FROM people", False),
        ("SELECT name, COUNT(*) OVER () FROM people", False),
        ("SELECT name, (SELECT COUNT(*) FROM pets) FROM people", False),
    ],
)
def test_columns_beside_aggregates_are_noted(sql: str, mixes: bool) -> None:
    assert (Note.BARE_COLUMN in gold(sql).notes) == mixes


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT MAX(x) FROM r",
        "SELECT load_extension('/tmp/x.so')",
        "SELECT hex(zeroblob(1000000000))",
        "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
        "SELECT " + "NOT " * 4_000 + "1",
        "SELECT * FROM people a, people b, people c, people d, people e, people f, people g",
        "SELECT name FROM people WHERE name = '" + "x" * 19_000,
    ],
)
def test_hostile_queries_are_found_wrong_soon(sql: str) -> None:
    start = time.monotonic()
    assert problem(sql) in (Problem.GOLD_FAILS, Problem.GOLD_UNPARSABLE)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH DATABASE '{path}' AS x",
        "VACUUM INTO '{path}'",
        "CREATE TABLE t AS SELECT writefile('{path}', 'x')",
        "CREATE VIRTUAL TABLE t USING fts5(a)",
        "CREATE TEMP TABLE t (a INT)",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END",
        "PRAGMA journal_mode = WAL",
        "INSERT INTO sqlite_master VALUES (1, 2, 3, 4, 5)",
        "CREATE TABLE t (a INT); CREATE TABLE u (b INT)",
        "CREATE TABLE t (\0 INT)",
        "CREATE TABLE t (\ud800 INT)",
    ],
)
def test_hostile_schemas_are_refused_and_touch_no_file(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "x"
    assert schema_error([sql.replace("{path}", str(path))])
    assert not path.exists()


def test_a_schema_runs_whose_rows_no_constraint_would_take() -> None:
    strict = read_schema("CREATE TABLE t ( a INTEGER CHECK (a > 5 AND a < 5), b TEXT UNIQUE )")
    assert run_gold(read_gold("SELECT a FROM t", strict), small_database(strict)) is None
