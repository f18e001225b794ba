"""CREATE TABLE texts as records, and records as text."""

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysql.data.interchange.ddl import render_schema
from tinysql.data.interchange.problems import Problem, Refused
from tinysql.data.interchange.sandbox import schema_error
from tinysql.data.interchange.schema import ForeignKey, Table, read_schema, schema_records

OURS = (
    "CREATE TABLE guides ( guide_id INTEGER PRIMARY KEY, full_name VARCHAR(40) ); "
    "CREATE TABLE tours ( price DECIMAL(10,2), guide_id INTEGER REFERENCES guides ( guide_id ) )"
)
TYPES = ("INTEGER", "DECIMAL(10,2)", "VARCHAR(40)", "DOUBLE PRECISION", "TEXT", "")
NAMES = st.text(string.ascii_letters + string.digits + '_ "', min_size=1, max_size=8)


def problems(text: str) -> list[str]:
    try:
        return [str(finding.problem) for finding in read_schema(text).findings]
    except Refused as refused:
        return [str(refused.finding.problem)]


def test_our_own_schema_is_read_as_it_is() -> None:
    schema = read_schema(OURS)
    assert schema.text == OURS
    assert (schema.findings, schema.left_out) == ((), 0)
    assert schema_records(schema.tables) == {
        "tables": [{"name": "guides", "phrase": None}, {"name": "tours", "phrase": None}],
        "columns": [
            {"table": 0, "name": "guide_id", "type": "INTEGER", "kind": "", "key": "primary"},
            {"table": 0, "name": "full_name", "type": "VARCHAR(40)", "kind": "", "key": ""},
            {"table": 1, "name": "price", "type": "DECIMAL(10,2)", "kind": "", "key": ""},
            {"table": 1, "name": "guide_id", "type": "INTEGER", "kind": "", "key": "foreign"},
        ],
        "foreign_keys": [
            {"table": 1, "column": "guide_id", "parent": 0, "parent_column": "guide_id"}
        ],
    }


def test_keys_of_the_table_and_parents_without_columns_are_read() -> None:
    text = (
        "CREATE TABLE a (x INT, y INT, PRIMARY KEY (x, y)); "
        "CREATE TABLE b (u INT, v INT, CONSTRAINT c FOREIGN KEY (u, v) REFERENCES A)"
    )
    records = schema_records(read_schema(text).tables)
    assert [column["key"] for column in records["columns"]] == ["primary"] * 2 + ["foreign"] * 2
    assert records["foreign_keys"] == [
        {"table": 1, "column": "u", "parent": 0, "parent_column": "x"},
        {"table": 1, "column": "v", "parent": 0, "parent_column": "y"},
    ]


def test_comments_and_other_statements_are_left_out() -> None:
    text = (
        "-- the table; of trips\nCREATE TABLE t (\n  a INT NOT NULL, -- one; two\n"
        "  b TEXT DEFAULT 'x; y'\n);\nINSERT INTO t VALUES (1, 'CREATE TABLE u (c INT);');"
    )
    schema = read_schema(text)
    assert schema.statements == ("CREATE TABLE t ( a INT NOT NULL, b TEXT DEFAULT 'x; y' )",)
    assert schema.left_out == 1
    assert schema.tables[0].columns == (("a", "INT"), ("b", "TEXT"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Problem.NO_SCHEMA),
        ("SELECT 1", Problem.NO_SCHEMA),
        ("CREATE VIEW v AS SELECT 1", Problem.NO_SCHEMA),
        ("CREATE TABLE t (a INT", Problem.SCHEMA_UNPARSABLE),
        ("CREATE TABLE t AS SELECT 1", Problem.SCHEMA_UNPARSABLE),
        ("CREATE TABLE t (a TEXT DEFAULT 'x)", Problem.SCHEMA_UNPARSABLE),
        ("CREATE TABLE other.t (a INT)", Problem.SCHEMA_FAILS),
        ("CREATE TABLE t (a INT REFERENCES u(b))", Problem.DANGLING_FOREIGN_KEY),
        ("CREATE TABLE t (a INT PRIMARY KEY, b INT REFERENCES t(c))", Problem.DANGLING_FOREIGN_KEY),
        ("CREATE TABLE values (a INT)", Problem.RESERVED_NAME),
        ("CREATE TABLE t (a INT, order INT)", Problem.RESERVED_NAME),
        ("CREATE TABLE t (user TEXT)", Problem.RESERVED_NAME),
        ("CREATE TABLE IF NOT EXISTS end (a INT)", Problem.RESERVED_NAME),
        (" ".join(f"CREATE TABLE t{n} (a INT);" for n in range(128)), Problem.TOO_LARGE),
    ],
)
def test_what_is_wrong_with_a_schema_is_told(text: str, expected: Problem) -> None:
    assert expected in problems(text)


@pytest.mark.parametrize(
    "text",
    [
        'CREATE TABLE "order" ("user" TEXT, `end` INT, [group] INT)',
        "CREATE TABLE t (year INT, name TEXT, date DATE, PRIMARY KEY (year), CHECK (year > 1))",
        "CREATE TABLE t (a INT DEFAULT 1, b TEXT CHECK (b IN ('user', 'order')))",
    ],
)
def test_quoted_and_harmless_names_are_no_problem(text: str) -> None:
    assert problems(text) == []


def test_a_schema_nested_without_end_is_a_finding() -> None:
    assert problems("CREATE TABLE t (a INT CHECK (" + "(" * 30_000) == [Problem.SCHEMA_UNPARSABLE]


@st.composite
def schemas(draw: st.DrawFn) -> list[Table]:
    """Tables with any names and with foreign keys to tables before them."""
    unique: Any = {"unique_by": str.lower}
    names = draw(st.lists(NAMES, min_size=1, max_size=4, **unique))
    tables: list[Table] = []
    for name in names:
        columns = draw(st.lists(NAMES, min_size=1, max_size=4, **unique))
        declared = draw(
            st.lists(st.sampled_from(TYPES), min_size=len(columns), max_size=len(columns))
        )
        primary = draw(st.lists(st.sampled_from(columns), max_size=2, unique=True))
        foreign = ()
        if tables and draw(st.booleans()):
            parent = draw(st.sampled_from(tables))
            target = draw(st.sampled_from(parent.columns))[0]
            foreign = (ForeignKey((draw(st.sampled_from(columns)),), parent.name, (target,)),)
        listed = tuple(zip(columns, declared, strict=True))
        tables.append(Table(name, listed, tuple(primary), foreign))
    return tables


@given(schemas())
@settings(deadline=None, max_examples=100)
def test_rendered_tables_are_read_again_and_run(tables: list[Table]) -> None:
    schema = read_schema(render_schema(tables))
    assert schema.tables == tuple(tables)
    refused = [name for table in tables for name in (table.name,) if name.startswith("sqlite_")]
    assert refused or schema_error(schema.statements) is None


def test_parents_stand_first_even_beside_a_circle() -> None:
    def table(name: str, *parents: str) -> Table:
        foreign = tuple(ForeignKey(("a",), parent, ("a",)) for parent in parents)
        return Table(name, (("a", "INTEGER"),), (), foreign)

    text = render_schema([table("c", "b"), table("b", "a"), table("a"), table("x", "y"),
                          table("y", "x"), table("s", "s")])  # fmt: skip
    names = [one.name for one in read_schema(text).tables]
    assert sorted(names) == ["a", "b", "c", "s", "x", "y"]
    assert names.index("a") < names.index("b") < names.index("c")
