import os
import pickle
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import psycopg
import pytest

from tinysql.errors import InputError
from tinysql.sql import engines
from tinysql.sql.engine import MAX_BYTES, Engine, EngineError, insert_sql
from tinysql.sql.engines import ENGINES, open_engine
from tinysql.sql.result import ErrorKind

SCHEMA = (
    "CREATE TABLE shops ( id INTEGER PRIMARY KEY, city VARCHAR(20), opened DATE, "
    "rent DECIMAL(8,2), is_open BOOLEAN, seen TIMESTAMP, area REAL ); "
    "CREATE TABLE sales ( sale_id INTEGER PRIMARY KEY, amount BIGINT, "
    "shop_id INTEGER REFERENCES shops ( id ) )"
)
TABLES = {
    "shops": [
        (1, "Oslo", "2020-02-03", 10.25, True, "2021-05-06 07:08:00", 2.5),
        (2, "O'Neil; DROP", None, 7, False, None, None),
    ],
    "sales": [(1, 2**40, 1), (2, 3, 1), (3, 4, None)],
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    is_server = request.param == "postgresql"
    url = request.getfixturevalue("postgres_url") if is_server else None
    with open_engine(request.param, url) as opened:
        yield opened


def test_answer_has_the_cells_that_sqlite_has(engine: Engine) -> None:
    rows = engine.answer(SCHEMA, TABLES, "SELECT * FROM shops ORDER BY id ASC")
    assert rows == [
        (1, "Oslo", "2020-02-03", 10.25, 1, "2021-05-06 07:08:00", 2.5),
        (2, "O'Neil; DROP", None, 7.0, 0, None, None),
    ]
    assert {type(cell) for row in rows for cell in row} <= {int, str, float, type(None)}


def test_answer_of_aggregates_and_joins(engine: Engine) -> None:
    sql = (
        "SELECT t2.city, COUNT(*) AS COUNT_rows, SUM(t1.amount) AS SUM_amount, "
        "AVG(t2.rent) AS AVG_rent FROM sales AS t1 JOIN shops AS t2 ON t1.shop_id = t2.id "
        "WHERE t2.city LIKE 'O%' AND t2.is_open = TRUE GROUP BY t2.city"
    )
    assert engine.answer(SCHEMA, TABLES, sql) == [("Oslo", 2, 2**40 + 3, 10.25)]


def test_answer_keeps_the_order_and_the_duplicates(engine: Engine) -> None:
    tables = {"t": [(2,), (1,), (2,)]}
    sql = "SELECT a FROM t ORDER BY a DESC"
    assert engine.answer("CREATE TABLE t ( a INTEGER )", tables, sql) == [(2,), (2,), (1,)]


def test_answer_without_rows(engine: Engine) -> None:
    assert engine.answer(SCHEMA, {"shops": [], "sales": []}, "SELECT city FROM shops") == []


def test_answers_do_not_see_each_other(engine: Engine) -> None:
    for number in range(3):
        tables = {"t": [(number,)]}
        assert engine.answer("CREATE TABLE t ( a INTEGER )", tables, "SELECT a FROM t") == [
            (number,)
        ]
    with pytest.raises(EngineError):
        engine.answer("CREATE TABLE other ( a INTEGER )", {}, "SELECT a FROM t")


@pytest.mark.parametrize(
    ("part", "schema_sql", "tables", "sql"),
    [
        ("schema", "CREATE TABEL t ( a INTEGER )", {}, "SELECT 1"),
        ("rows", SCHEMA, {"shops": [tuple(range(8))]}, "SELECT 1"),
        ("rows", SCHEMA, {"shops": [TABLES["shops"][0]] * 2}, "SELECT 1"),
        ("rows", SCHEMA, {"sales": [(1, 1, 9)]}, "SELECT 1"),
        ("query", SCHEMA, TABLES, "SELECT nothing FROM shops"),
        ("query", SCHEMA, TABLES, "SELECT city FROM shops; SELECT 1"),
        ("query", SCHEMA, TABLES, "DELETE FROM sales"),
        ("query", SCHEMA, TABLES, "COMMIT"),
        ("query", SCHEMA, TABLES, ""),
        ("query", SCHEMA, TABLES, "SELECT '\udc00'"),
    ],
)
def test_refusal_names_engine_and_part(
    engine: Engine, part: str, schema_sql: str, tables: dict, sql: str
) -> None:
    with pytest.raises(EngineError) as caught:
        engine.answer(schema_sql, tables, sql)
    assert (caught.value.engine, caught.value.part) == (engine.name, part)
    assert str(caught.value).startswith(f"{engine.name} refuses the {part}: ")
    assert "\n" not in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.args) == (EngineError, caught.value.args)
    assert engine.answer(SCHEMA, TABLES, "SELECT COUNT(*) FROM sales") == [(3,)]


def test_answer_is_refused_when_it_has_too_many_rows(engine: Engine) -> None:
    tables = {"t": [(number,) for number in range(101)]}
    sql = "SELECT one.a FROM t AS one CROSS JOIN t AS two"
    with pytest.raises(EngineError, match="rows"):
        engine.answer("CREATE TABLE t ( a INTEGER )", tables, sql)


def test_answer_is_refused_when_it_has_too_many_bytes(engine: Engine) -> None:
    tables = {"t": [("a" * (MAX_BYTES // 1_000),) for _ in range(1_000)]}
    with pytest.raises(EngineError) as caught:
        engine.answer("CREATE TABLE t ( a TEXT )", tables, "SELECT a FROM t")
    assert (caught.value.part, caught.value.kind) == ("query", ErrorKind.TOO_LARGE)
    assert engine.answer(SCHEMA, TABLES, "SELECT COUNT(*) FROM sales") == [(3,)]


def test_answer_that_does_not_fit_into_memory_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_engine("duckdb") as engine, pytest.raises(EngineError) as caught:
        engine.answer(SCHEMA, TABLES, "SELECT r, count(*) FROM range(40000000) AS t(r) GROUP BY r")
    assert caught.value.kind in (ErrorKind.TOO_LARGE, ErrorKind.TIMEOUT)
    assert list(tmp_path.iterdir()) == []


def test_answer_that_is_no_number_is_missing_as_in_sqlite() -> None:
    with open_engine("duckdb") as engine:
        assert engine.answer(SCHEMA, TABLES, "SELECT 'nan'::DOUBLE") == [(None,)]


def test_answer_of_one_huge_cell_is_too_large(engine: Engine) -> None:
    if engine.name == "sqlite":
        pytest.skip("has no repeat")
    with pytest.raises(EngineError, match="4000000 bytes") as caught:
        engine.answer(SCHEMA, TABLES, "SELECT repeat('x', 5000000)")
    assert caught.value.kind is ErrorKind.TOO_LARGE
    assert engine.answer(SCHEMA, TABLES, "SELECT repeat('x', 3)") == [("xxx",)]


@pytest.mark.parametrize(
    ("schema_sql", "sql"),
    [
        ('CREATE TABLE "order items" ("select" TEXT)', 'SELECT "select" FROM "order items"'),
        ("CREATE TABLE Items (Name TEXT)", "SELECT Name FROM ITEMS"),
        ('CREATE TABLE "Ite""ms" (Name TEXT)', 'SELECT Name FROM "Ite""ms"'),
    ],
)
def test_run_finds_tables_however_their_names_are_written(
    engine: Engine, schema_sql: str, sql: str
) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(schema_sql)
        table = sql.split("FROM ")[1]
        connection.execute(f"INSERT INTO {table} VALUES ('one')")
        connection.commit()
        database = connection.serialize()
    assert engine.run(sql, database).rows == [("one",)]


def test_insert_sql_takes_quoted_names(engine: Engine) -> None:
    tables = {'"order items"': [("one",)]}
    schema_sql = 'CREATE TABLE "order items" ( "select" TEXT )'
    sql = 'SELECT "select" FROM "order items"'
    assert engine.answer(schema_sql, tables, sql) == [("one",)]


def test_answer_is_refused_when_it_takes_too_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MAX_SECONDS", 0.3)
    if engine.name == "postgresql":
        engine._connection.execute("SET statement_timeout = 300")  # noqa: SLF001
    sql = (
        "WITH RECURSIVE r AS ( SELECT 1 AS x UNION ALL SELECT x + 1 FROM r ) "
        "SELECT COUNT(*) FROM r WHERE x < 0"
    )
    began = time.monotonic()
    with pytest.raises(EngineError) as caught:
        engine.answer(SCHEMA, TABLES, sql)
    assert caught.value.part == "query"
    assert time.monotonic() - began < 5
    assert engine.answer(SCHEMA, TABLES, "SELECT COUNT(*) FROM sales") == [(3,)]


def test_duckdb_reaches_neither_files_nor_settings(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with open_engine("duckdb") as engine:
        for sql in (f"SELECT * FROM read_csv('{secret}')", f"SELECT * FROM '{secret}'"):
            with pytest.raises(EngineError, match=r"[Pp]ermission|disabled"):
                engine.answer(SCHEMA, {}, sql)
        for schema_sql in (
            f"COPY (SELECT 1) TO '{tmp_path}/written.csv'",
            f"ATTACH '{tmp_path}/written.db' AS other",
            "SET enable_external_access = true",
            "SET threads = 4",
            "INSTALL httpfs",
        ):
            with pytest.raises(EngineError) as caught:
                engine.answer(schema_sql, {}, "SELECT 1")
            assert caught.value.part == "schema"
    assert os.listdir(tmp_path) == ["secret.csv"]


def test_sqlite_schema_reaches_no_file(tmp_path: Path) -> None:
    with open_engine("sqlite") as engine, pytest.raises(EngineError):
        engine.answer(f"ATTACH '{tmp_path}/written.db' AS other", {}, "SELECT 1")
    assert os.listdir(tmp_path) == []


def test_postgresql_leaves_nothing_behind(postgres_url: str) -> None:
    with open_engine("postgresql", postgres_url) as engine:
        engine.answer(SCHEMA, TABLES, "SELECT city FROM shops")
    with psycopg.connect(postgres_url) as connection:
        count = "SELECT COUNT(*) FROM pg_class WHERE relname IN ('shops', 'sales')"
        assert connection.execute(count).fetchall() == [(0,)]


def test_postgresql_does_not_change_data_by_a_query(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.kept ( a INTEGER )")
        with open_engine("postgresql", postgres_url) as engine:
            for sql in (
                "DROP TABLE public.kept",
                "WITH gone AS ( DELETE FROM public.kept RETURNING 1 ) SELECT * FROM gone",
                "SELECT 1; COMMIT; DROP TABLE public.kept",
            ):
                with pytest.raises(EngineError):
                    engine.answer(SCHEMA, TABLES, sql)
        assert connection.execute("SELECT COUNT(*) FROM public.kept").fetchall() == [(0,)]
        connection.execute("DROP TABLE public.kept")


def test_broken_connection_is_no_refusal(postgres_url: str) -> None:
    with open_engine("postgresql", postgres_url) as engine:
        with psycopg.connect(postgres_url, autocommit=True) as other:
            pid = engine._connection.info.backend_pid  # noqa: SLF001
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        with pytest.raises(psycopg.OperationalError):
            engine.answer(SCHEMA, TABLES, "SELECT city FROM shops")


def test_connection_broken_by_the_query_is_no_refusal(postgres_url: str) -> None:
    with (
        open_engine("postgresql", postgres_url) as engine,
        pytest.raises(psycopg.OperationalError),
    ):
        engine.answer(SCHEMA, TABLES, "SELECT pg_terminate_backend(pg_backend_pid())")


def test_closed_duckdb_is_no_refusal() -> None:
    with open_engine("duckdb") as engine:
        pass
    with pytest.raises(duckdb.Error):
        engine.answer(SCHEMA, TABLES, "SELECT city FROM shops")


@pytest.mark.parametrize(
    ("name", "url", "message"),
    [
        ("mysql", None, "expected one of sqlite, duckdb, postgresql"),
        ("postgresql", None, "no URL"),
        ("postgresql", "postgresql://me:hidden@127.0.0.1:1/nowhere", "refused"),
    ],
)
def test_unusable_engine_is_the_users_mistake(name: str, url: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught, open_engine(name, url):
        pass
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_postgresql_must_sort_by_code_point(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE other TEMPLATE template0 LOCALE_PROVIDER icu "
                           "ICU_LOCALE 'en-US' LOCALE 'C'")  # fmt: skip
    url = postgres_url.replace("/postgres", "/other")
    with pytest.raises(InputError, match="not by code point"), open_engine("postgresql", url):
        pass


def test_insert_sql_writes_literals_that_come_back() -> None:
    rows = [(1, -2.5, "it's", None, True), (2, 1e-7, "", "x", False)]
    sql = insert_sql({"t": rows, "empty": []})
    assert sql == (
        "INSERT INTO t VALUES (1, -2.5, 'it''s', NULL, TRUE), (2, 1e-07, '', 'x', FALSE); "
    )
    connection = sqlite3.connect(":memory:")
    connection.executescript("CREATE TABLE t ( a, b, c, d, e ); " + sql)
    assert connection.execute("SELECT * FROM t").fetchall() == rows


@pytest.mark.parametrize("cell", [float("inf"), float("nan")])
def test_insert_sql_refuses_what_has_no_literal(cell: object) -> None:
    with pytest.raises(ValueError, match="no literal"):
        insert_sql({"t": [(cell,)]})
