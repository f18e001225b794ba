"""What conditions turn on: constants beside columns, inside functions and in double quotes."""

import sqlite3
from contextlib import closing

import pytest

from tinysql.sql.compare import Verdict
from tinysql.sql.constants import crowded_columns, hints_of_query, rows_needed
from tinysql.sql.gold import read_gold
from tinysql.sql.parsing import parse_query
from tinysql.sql.snapshot import prepare
from tinysql.sql.suite import make_suite

SCHEMA = (
    "CREATE TABLE t ( id INTEGER PRIMARY KEY, city TEXT, x INTEGER, r REAL, d DATE, at DATETIME ); "
    "CREATE TABLE u ( id INTEGER PRIMARY KEY, t_id INTEGER REFERENCES t ( id ), kind TEXT )"
)


@pytest.mark.parametrize(
    "condition",
    [
        "LOWER(city) = 'oslo'",
        "UPPER(city) = 'OSLO'",
        "TRIM(city) = 'Oslo'",
        "city COLLATE NOCASE = 'Oslo'",
        "LOWER(city) LIKE '%oslo%'",
        "SUBSTR(city, 1, 3) = 'abc'",
        "SUBSTR(city, 3, 2) IN ('xy', 'yz')",
        "SUBSTR(city, -3) = 'abc'",
        "CAST(x AS TEXT) = '5000'",
        "CAST(city AS INTEGER) = 5",
        "city > '1000'",
        "ABS(x) > 3000",
        "ABS(x) BETWEEN 5000 AND 5001",
        "-x > 2000",
        "LENGTH(city) > 9",
        "LENGTH(city) = 0",
        "ROUND(r, 1) = 5000.5",
        "strftime('%Y', d) = '1987'",
        "strftime('%Y-%m', at) = '1987-03'",
        "strftime('%H', at) = '05'",
        "CAST(strftime('%Y', d) AS INTEGER) > 2030",
        "substr(d, 1, 4) = '1987'",
        "substr(d, 1, 7) = '1987-03'",
        "date(at) = '1987-03-02'",
        "d >= date('2034-01-01')",
        "x + 1 > 5000",
        "5000 < x * 2",
        "x / 2 = 700",
        "3000 - x = 20",
        "COALESCE(x, 0) = 0",
        "IFNULL(city, 'none') = 'none'",
        "x IS NOT 5000",
        "x IS 5000",
        "city = \"Oslo\"",
        "city IN (\"Oslo\", \"Bergen\")",
    ],
)
def test_a_condition_holds_for_some_of_its_hints_and_not_for_others(condition: str) -> None:
    query = parse_query(f"SELECT id FROM t WHERE {condition}")
    hints = hints_of_query(query, prepare(SCHEMA)[1])
    [(column, values)] = hints["t"].items()
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        insert = f"INSERT INTO t ( {column} ) VALUES ( ? )"
        connection.executemany(insert, [(value,) for value in values])
        held = {bool(holds) for (holds,) in connection.execute(f"SELECT {condition} FROM t")}
    assert held == {True, False}


def test_means_and_sums_turn_on_their_column_and_counts_do_not() -> None:
    tables = prepare(SCHEMA)[1]
    query = parse_query(
        "SELECT city FROM t GROUP BY city HAVING AVG(x) > 5000 AND COUNT(r) > 3 AND x + r > 9"
    )
    assert hints_of_query(query, tables) == {"t": {"x": [5000, 4999, 5001]}}


def test_a_name_in_double_quotes_stays_a_column_where_there_is_one() -> None:
    tables = prepare(SCHEMA)[1]
    assert hints_of_query(parse_query('SELECT id FROM t WHERE city = "kind"'), tables) == {}
    assert hints_of_query(parse_query('SELECT id FROM t WHERE "city" = \'a\''), tables)["t"]


@pytest.mark.parametrize(
    ("sql", "num_rows", "crowded"),
    [
        ("SELECT city FROM t LIMIT 500", 1002, {}),
        ("SELECT city FROM t LIMIT 100000", 2500, {}),
        ("SELECT city FROM t GROUP BY city HAVING COUNT(*) > 5", 32, {}),
        ("SELECT city FROM t GROUP BY city HAVING COUNT(*) > 40", 246, {"t": ["city"]}),
        ("SELECT t.x FROM t JOIN u ON t_id = t.id GROUP BY t.id, kind HAVING 40 <= COUNT(u.id)",
         246, {"t": ["id"], "u": ["kind"]}),
    ],
)  # fmt: skip
def test_rows_and_groups_are_as_many_as_the_query_counts_to(
    sql: str, num_rows: int, crowded: dict[str, list[str]]
) -> None:
    tree = parse_query(sql)
    assert rows_needed(tree, 32) == num_rows
    assert crowded_columns(tree, prepare(SCHEMA)[1], 32).columns == crowded


@pytest.mark.parametrize(
    ("gold", "mistake"),
    [
        ("SELECT id FROM t WHERE LOWER(city) = 'oslo'", "SELECT id FROM t WHERE city = 'oslo'"),
        ("SELECT id FROM t WHERE city = 'Oslo'", "SELECT id FROM t WHERE LOWER(city) = 'oslo'"),
        ("SELECT id FROM t WHERE city = \"Oslo\"", "SELECT id FROM t WHERE city <> \"Bergen\""),
        ("SELECT id FROM t WHERE TRIM(city) = 'Oslo'", "SELECT id FROM t WHERE city = 'Oslo'"),
        ("SELECT LOWER(city) FROM t", "SELECT city FROM t"),
        ("SELECT TRIM(city) FROM t", "SELECT city FROM t"),
        ("SELECT DISTINCT city FROM t", "SELECT DISTINCT city COLLATE NOCASE FROM t GROUP BY 1"),
        ("SELECT COUNT(DISTINCT LOWER(city)) FROM t", "SELECT COUNT(DISTINCT city) FROM t"),
        ("SELECT ABS(x) FROM t", "SELECT x FROM t"),
        ("SELECT COUNT(DISTINCT ABS(x)) FROM t", "SELECT COUNT(DISTINCT x) FROM t"),
        ("SELECT id FROM t WHERE x >= 0", "SELECT id FROM t WHERE x > 0"),
        ("SELECT id FROM t WHERE x", "SELECT id FROM t WHERE x IS NOT NULL"),
        ("SELECT id FROM t WHERE city <> ''", "SELECT id FROM t WHERE city IS NOT NULL"),
        ("SELECT id FROM t WHERE city IS NOT NULL", "SELECT id FROM t WHERE city <> ''"),
        ("SELECT id FROM t WHERE city IS NOT NULL", "SELECT id FROM t WHERE LENGTH(city) > 0"),
        ("SELECT city FROM t LIMIT 500", "SELECT city FROM t LIMIT 501"),
        ("SELECT city FROM t GROUP BY city HAVING COUNT(*) > 40",
         "SELECT city FROM t GROUP BY city HAVING COUNT(*) >= 40"),
        ("SELECT t_id, COUNT(*) FROM u GROUP BY t_id HAVING COUNT(*) > 500",
         "SELECT t_id, COUNT(*) FROM u GROUP BY t_id HAVING COUNT(*) > 501"),
        ("SELECT t.city FROM t JOIN u ON t_id = t.id GROUP BY t.id HAVING COUNT(*) > 40",
         "SELECT t.city FROM t JOIN u ON t_id = t.id GROUP BY t.id HAVING COUNT(*) > 41"),
    ],
)  # fmt: skip
def test_boundaries_tell_these_apart(gold: str, mistake: str) -> None:
    suite = make_suite(SCHEMA, [read_gold(gold)], seed=0, num_databases=4)
    assert suite.judge(mistake).verdict is Verdict.WRONG
    assert suite.judge(gold).verdict is Verdict.STRICT
    assert not suite.is_weak


def test_a_query_that_takes_too_much_of_many_rows_is_judged_on_few() -> None:
    gold = read_gold("SELECT a.city FROM t AS a, t AS b LIMIT 1000")
    suite = make_suite(SCHEMA, [gold], seed=0, num_databases=2)
    assert suite.judge(gold.sql).verdict is Verdict.STRICT
