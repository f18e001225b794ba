import itertools
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tinysql.errors import InputError
from tinysql.sql.compare import Verdict, judge
from tinysql.sql.execute import run
from tinysql.sql.gold import answer, read_gold
from tinysql.sql.result import Cell
from tinysql.sql.sample import fill

TYPES = [
    "INTEGER",
    "BIGINT",
    "REAL",
    "FLOAT",
    "TEXT",
    "VARCHAR(20)",
    "CHAR(2)",
    "DATE",
    "DATETIME",
    "TIMESTAMP",
    "TIME",
    "BOOLEAN",
    "DECIMAL(10, 2)",
    "NUMERIC(12, 2)",
    "BLOB",
    "UUID",
]


def schema_of(types: list[str]) -> str:
    columns = ", ".join(f"c{i} {declared}" for i, declared in enumerate(types))
    return f"CREATE TABLE t ( {columns} )"


def test_fill_same_seed_same_bytes() -> None:
    schema = schema_of(TYPES)
    assert fill(schema, seed="a/1") == fill(schema, seed="a/1")
    assert fill(schema, seed="a/1") != fill(schema, seed="a/2")


@pytest.mark.parametrize(
    ("declared", "storage"),
    [
        ("INTEGER", {"integer"}),
        ("TINYINT(1)", {"integer"}),
        ("REAL", {"real"}),
        ("DOUBLE PRECISION", {"real"}),
        ("VARCHAR(9)", {"text"}),
        ("DATE", {"text"}),
        ("TIMESTAMP", {"text"}),
        ("BOOLEAN", {"integer"}),
        ("DECIMAL(8, 3)", {"integer", "real"}),
        ("BLOB", {"blob"}),
        ("", {"blob"}),
    ],
)
def test_fill_stores_the_declared_type(declared: str, storage: set[str]) -> None:
    result = run("SELECT DISTINCT typeof(c0) FROM t", fill(schema_of([declared]), seed=0))
    found = {row[0] for row in result.rows}
    assert found - {"null"} <= storage
    assert len(found - {"null"}) >= 1


def test_fill_dates_are_dates_to_sqlite_and_words_fit() -> None:
    database = fill(schema_of(["DATE", "DATETIME", "VARCHAR(3)"]), seed=1)
    sql = "SELECT count(*) FROM t WHERE date(c0) IS NOT c0 OR datetime(c1) IS NOT c1"
    assert run(sql + " OR length(c2) > 3", database).rows == [(0,)]


@pytest.mark.parametrize("num_columns", [1, 3, 8])
def test_fill_has_duplicates_nulls_and_rows_that_differ_in_each_column_alone(
    num_columns: int,
) -> None:
    schema = schema_of([TYPES[i % len(TYPES)] for i in range(num_columns)])
    rows = [
        row for seed in range(4) for row in run("SELECT * FROM t", fill(schema, seed=seed)).rows
    ]
    assert len(rows) == 4 * 32
    assert len(set(rows)) < len(rows)
    for column in range(num_columns):
        assert any(row[column] is None for row in rows)
        assert any(
            left[column] != right[column]
            and left[:column] + left[column + 1 :] == right[:column] + right[column + 1 :]
            for left, right in itertools.combinations(rows, 2)
        )


def test_fill_all_tables_and_names_that_need_quotes() -> None:
    schema = 'CREATE TABLE "odd ""name" ( "a b" INTEGER ); CREATE TABLE other ( x TEXT )'
    database = fill(schema, seed=0)
    assert len(run('SELECT "a b" FROM "odd ""name"', database).rows) == 32
    assert len(run("SELECT x FROM other", database).rows) == 32


def test_fill_keeps_constraints() -> None:
    schema = "CREATE TABLE t ( id INTEGER PRIMARY KEY, a TEXT NOT NULL, b INTEGER UNIQUE )"
    result = run("SELECT id, a, b FROM t", fill(schema, seed=0))
    assert result.rows
    assert all(row[1] is not None for row in result.rows)


CHAIN = (
    "CREATE TABLE shops ( shop_code VARCHAR(20) PRIMARY KEY, city TEXT ); "
    "CREATE TABLE sales ( id INTEGER PRIMARY KEY, amount INTEGER, "
    "shop_code VARCHAR(20) REFERENCES shops ( shop_code ) ); "
    "CREATE TABLE refunds ( share REAL, sale_id INTEGER REFERENCES sales )"
)
BACKWARDS = "; ".join(reversed(CHAIN.split("; ")))


@pytest.mark.parametrize("schema", [CHAIN, BACKWARDS])
def test_fill_foreign_keys_refer_to_rows_some_of_them_to_one_and_none_to_others(
    schema: str,
) -> None:
    orphans = 0
    for seed, (child, column, parent, key) in itertools.product(
        range(4),
        [("sales", "shop_code", "shops", "shop_code"), ("refunds", "sale_id", "sales", "id")],
    ):
        database = fill(schema, seed=seed)
        assert len(run(f"SELECT * FROM {child}", database).rows) == 32
        keys = [row[0] for row in run(f"SELECT {key} FROM {parent}", database).rows]
        used = [row[0] for row in run(f"SELECT {column} FROM {child}", database).rows]
        assert len(set(keys)) == len(keys) == 32
        assert set(used) <= {*keys, None}
        assert set(keys) - set(used)
        assert max(used.count(each) for each in keys) > 1
        orphans += used.count(None)
    assert orphans > 0


def test_fill_survives_references_in_a_circle_and_to_tables_that_are_not_there() -> None:
    schema = (
        "CREATE TABLE a ( id INTEGER PRIMARY KEY, b_id INTEGER REFERENCES b ); "
        "CREATE TABLE b ( id INTEGER PRIMARY KEY, a_id INTEGER REFERENCES a ( ID ), "
        "own INTEGER REFERENCES b, c_id INTEGER REFERENCES c )"
    )
    database = fill(schema, seed=0)
    assert len(run("SELECT * FROM a JOIN b ON a.id = b.a_id", database).rows) > 8
    assert len(run("SELECT * FROM b", database).rows) == 32


def test_fill_hints_hold_together_across_a_join() -> None:
    hints = {"shops": {"city": ["Oslo"]}, "refunds": {"share": [0.25]}}
    sql = (
        "SELECT 1 FROM shops JOIN sales USING ( shop_code ) JOIN refunds ON sale_id = id "
        "WHERE city = 'Oslo' AND share = 0.25"
    )
    found = [len(run(sql, fill(CHAIN, seed=seed, hints=hints)).rows) for seed in range(10)]
    assert sum(count > 0 for count in found) >= 9
    assert not any(run(sql, fill(CHAIN, seed=seed)).rows for seed in range(10))


@pytest.mark.parametrize(
    "schema",
    ["", "CREATE TABLE t ( ", "SELECT nope", "CREATE TABLE t ( a INT NOT NULL CHECK (a > 5000) )"],
)
def test_fill_bad_schema_is_one_clear_line(schema: str) -> None:
    with pytest.raises(InputError) as caught:
        fill(schema, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sql", ["ATTACH 'made.db' AS m", "VACUUM INTO 'made.db'"])
def test_fill_schema_cannot_reach_files(
    sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        fill(f"CREATE TABLE t ( a INTEGER ); {sql}", seed=0)
    assert not list(tmp_path.iterdir())


def mutants(select: list[str], order_by: list[str], directions: list[str]) -> set[str]:
    """Queries one slip away: flipped, dropped or swapped keys, dropped or swapped columns."""

    def text(columns: list[str], keys: list[tuple[str, str]]) -> str:
        order = " ORDER BY " + ", ".join(map(" ".join, keys)) if keys else ""
        return f"SELECT {', '.join(columns)} FROM t{order}"

    keys = list(zip(order_by, directions, strict=True))
    flip = {"ASC": "DESC", "DESC": "ASC"}
    made = {text(select, [])} if keys else set()
    for i, (key, direction) in enumerate(keys):
        made.add(text(select, [*keys[:i], (key, flip[direction]), *keys[i + 1 :]]))
        made.add(text(select, keys[:i] + keys[i + 1 :]))
    if len(keys) > 1:
        made.add(text(select, [*keys[1:], keys[0]]))
    if len(select) > 1:
        made.add(text(select[1:], keys))
        made.add(text([*select[1:], select[0]], keys))
    return made - {text(select, keys)}


def equivalent(gold: str, mutant: str, schema: str) -> bool:
    """Whether even many large databases do not tell the two apart."""
    databases = [fill(schema, seed=s, num_rows=200) for s in range(10)]
    answers = [answer(read_gold(gold), each) for each in databases]
    return judge(mutant, answers).verdict is Verdict.STRICT


def test_four_databases_tell_every_mutant_from_its_gold() -> None:
    rng = random.Random(0)
    num_mutants, missed = 0, []
    for case in range(120):
        schema = schema_of(rng.choices(TYPES, k=rng.randint(1, 12)))
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute(schema)
            names = [row[1] for row in connection.execute("PRAGMA table_info(t)")]
        select = rng.sample(names, rng.randint(1, min(6, len(names))))
        order_by = rng.sample(names, rng.randint(0, min(4, len(names))))
        directions = [rng.choice(["ASC", "DESC"]) for _ in order_by]
        keys = ", ".join(map(" ".join, zip(order_by, directions, strict=True)))
        gold = f"SELECT {', '.join(select)} FROM t" + (f" ORDER BY {keys}" if keys else "")
        databases = [fill(schema, seed=f"{case}/{i}") for i in range(4)]
        answers = [answer(read_gold(gold), each) for each in databases]
        assert judge(gold, answers).verdict is Verdict.STRICT
        for mutant in mutants(select, order_by, directions):
            num_mutants += 1
            if judge(mutant, answers).verdict is Verdict.STRICT:
                missed.append((gold, mutant, schema))
    assert num_mutants > 500
    assert [each for each in missed if not equivalent(*each)] == []


@pytest.mark.parametrize(
    ("declared", "values", "others"),
    [
        ("INTEGER", [500, -3], ["x", 0.5, None]),
        ("TEXT", ["FR", "DE"], [7, None]),
        ("REAL", [0.25, 8], ["x"]),
    ],
)
def test_fill_hints_become_keys_of_the_columns_type_and_keys_stay_unique(
    declared: str, values: list[Cell], others: list[Cell]
) -> None:
    schema = f"CREATE TABLE t ( k {declared} PRIMARY KEY, v INTEGER )"
    for seed in range(10):
        database = fill(schema, seed=seed, hints={"t": {"k": [*others, *values, *values]}})
        keys = [row[0] for row in run("SELECT k FROM t", database).rows]
        assert set(values) <= set(keys)
        assert not set(others) & set(keys)
        assert len(set(keys)) == len(keys) == 32


def test_fill_many_hints_leave_room_for_other_keys() -> None:
    hints = {"shops": {"shop_code": [f"shop {number}" for number in range(100)]}}
    sql = "SELECT shop_code LIKE 'shop %', COUNT(*) FROM shops GROUP BY 1"
    assert run(sql, fill(CHAIN, seed=0, hints=hints)).rows == [(0, 16), (1, 16)]


@pytest.mark.parametrize("schema", [CHAIN, BACKWARDS])
@pytest.mark.parametrize("column", [("sales", "id"), ("refunds", "sale_id")])
def test_fill_hints_of_foreign_keys_and_their_parents_are_the_same(
    schema: str, column: tuple[str, str]
) -> None:
    table, name = column
    sql = "SELECT 1 FROM sales JOIN refunds ON sale_id = id WHERE id = 5000"
    hints = {table: {name: [5000]}}
    found = [run(sql, fill(schema, seed=seed, hints=hints)).rows for seed in range(10)]
    assert sum(map(bool, found)) >= 7


def test_fill_one_row_has_no_nulls_and_none_has_no_rows() -> None:
    tables = ("shops", "sales", "refunds")
    for seed in range(20):
        one, none = (fill(CHAIN, seed=seed, sizes=sizes) for sizes in ("one", "none"))
        for table in tables:
            [row] = run(f"SELECT * FROM {table}", one).rows
            assert None not in row
            assert run(f"SELECT * FROM {table}", none).rows == []
