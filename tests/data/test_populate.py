import sqlite3
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from dataset_rows import REFUNDS, SALES, SCHEMA, SHOPS, make_row
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysql.data import words
from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows
from tinysql.data.verify.populate import populate
from tinysql.sql.engine import insert_sql

SEEDS = range(5)


def answer(row: dict[str, Any], sql: str | None = None, *, seed: int = 0) -> list[tuple]:
    """The answer of the row's SQL, or of another one, in SQLite."""
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.executescript(row["schema_sql"])
    connection.executescript(insert_sql(populate(row, seed=seed)))
    return connection.execute(sql or row["gold_sql"]).fetchall()


def check_keys(row: dict[str, Any], rows: dict[str, list[tuple]]) -> None:
    """Primary keys are there once each, and foreign keys refer to one of them."""
    cells = {}
    names = [table["name"] for table in row["tables"]]
    assert list(rows) == names
    for number, name in enumerate(names):
        own = [column for column in row["columns"] if column["table"] == number]
        for column, values in zip(own, zip(*rows[name], strict=True), strict=True):
            cells[number, column["name"]] = values
            if column["key"] == "primary":
                assert None not in values
                assert len(set(values)) == len(values)
    for key in row["foreign_keys"]:
        parents = set(cells[key["parent"], key["parent_column"]])
        assert set(cells[key["table"], key["column"]]) - {None} <= parents


@pytest.mark.parametrize(
    ("column", "operator", "values"),
    [
        ("rent", "=", ["120.5"]),
        ("rent", "<>", ["120.5"]),
        ("rent", "<", ["2"]),
        ("rent", ">", ["398"]),
        ("rent", "<=", ["1"]),
        ("rent", ">=", ["400"]),
        ("rent", "NOT >", ["120"]),
        ("rent", "NOT <", ["120"]),
        ("rent", "BETWEEN", ["120", "120.05"]),
        ("rent", "NOT BETWEEN", ["3", "397"]),
        ("rent", "IN", ["7.25", "120"]),
        ("rent", "NOT IN", ["7.25", "120"]),
        ("rent", "IS NULL", []),
        ("rent", "IS NOT NULL", []),
        ("city", "=", ["'Gotham'"]),
        ("city", "NOT IN", ["'Gotham'", "'Oslo'"]),
        ("city", "IS NULL", []),
        ("opened", "=", ["'2001-02-03'"]),
        ("opened", ">", ["'2024-12-01'"]),
        ("opened", "BETWEEN", ["'2001-02-03'", "'2001-02-04'"]),
        ("is_open", "=", ["TRUE"]),
        ("is_open", "=", ["FALSE"]),
    ],
)
def test_some_rows_meet_a_condition_and_some_do_not(
    column: str, operator: str, values: list[str]
) -> None:
    operand = {0: "", 1: f" {values[0]}" if values else ""}.get(len(values))
    if operator.endswith("BETWEEN"):
        operand = f" {values[0]} AND {values[1]}"
    elif operand is None or operator.endswith("IN"):
        operand = f" ( {', '.join(values)} )"
    condition = f"{column} {operator}{operand}"
    if operator in ("NOT <", "NOT >"):
        condition = f"NOT {column} {operator[-1]}{operand}"
    row = make_row(
        f"SELECT COUNT(*), COUNT(CASE WHEN {condition} THEN 1 END) FROM shops",
        filters=[(0, SHOPS, column, operator, values, "")],
    )
    for seed in SEEDS:
        ((rows, meeting),) = answer(row, seed=seed)
        assert 3 <= meeting <= rows - 3


def test_patterns_are_met_by_whole_values() -> None:
    value = next(value for value in words.kinds()["city"].values if " " in value)
    for pattern in (f"%{value.split()[0]}%", f"{value[:3]}%", f"%{value[-4:]}"):
        for operator in ("LIKE", "NOT LIKE"):
            sql = f"SELECT city FROM shops WHERE city {operator} '{pattern}'"
            row = make_row(sql, filters=[(0, SHOPS, "city", operator, [f"'{pattern}'"], "")])
            for seed in SEEDS:
                found = {city for (city,) in answer(row, seed=seed)}
                assert found
                assert found <= set(words.kinds()["city"].values)
                assert found != {city for (city,) in answer(row, "SELECT city FROM shops")}


def test_text_that_matches_only_in_another_case_is_left_out() -> None:
    lower = words.kinds()["city"].values[0].lower()[1:3]
    pattern = f"'%{lower.upper()}%'"
    row = make_row("", filters=[(0, SHOPS, "city", "NOT LIKE", [pattern], "")])
    for seed in SEEDS:
        texts = [city for (city,) in answer(row, "SELECT city FROM shops", seed=seed) if city]
        assert texts
        assert not [text for text in texts if lower in text.lower() and lower.upper() not in text]


A, B = "rent > 300", "city = 'Gotham'"
C = "opened IS NULL"
THREE = [
    (0, SHOPS, "rent", ">", ["300"], ""),
    (0, SHOPS, "city", "=", ["'Gotham'"], ""),
    (0, SHOPS, "opened", "IS NULL", [], ""),
]


@pytest.mark.parametrize(
    ("form", "where"),
    [
        ("A", A),
        ("A AND B", f"{A} AND {B}"),
        ("A OR B", f"{A} OR {B}"),
        ("A AND B AND C", f"{A} AND {B} AND {C}"),
        ("A OR B OR C", f"{A} OR {B} OR {C}"),
        ("( A OR B ) AND C", f"( {A} OR {B} ) AND {C}"),
        ("NOT ( A OR B )", f"NOT ( {A} OR {B} )"),
    ],
)
def test_conditions_are_met_jointly(form: str, where: str) -> None:
    count = sum(letter in form.replace("AND", "").replace("OR", "") for letter in "ABC")
    row = make_row(
        f"SELECT city FROM shops WHERE {where}", where_form=form, filters=THREE[:count]
    )
    for seed in SEEDS:
        found = len(answer(row, seed=seed))
        assert 3 <= found < len(answer(row, "SELECT city FROM shops", seed=seed)) - 2


def test_conditions_on_one_column_are_met_together() -> None:
    row = make_row(
        "SELECT city FROM shops WHERE rent > 100 AND rent < 100.03",
        where_form="A AND B",
        filters=[
            (0, SHOPS, "rent", ">", ["100"], ""),
            (0, SHOPS, "rent", "<", ["100.03"], ""),
        ],
    )
    assert all(answer(row, seed=seed) for seed in SEEDS)


def test_conditions_on_joined_tables_are_met_jointly() -> None:
    row = make_row(
        "SELECT t1.city FROM shops AS t1 JOIN sales AS t2 ON t1.shop_id = t2.shop_id "
        "JOIN refunds AS t3 ON t2.sale_id = t3.sale_id "
        "WHERE t1.rent = 77 AND t2.amount = 33 AND t3.share = 11",
        from_tables=(SHOPS, SALES, REFUNDS),
        where_form="A AND B AND C",
        filters=[
            (0, SHOPS, "rent", "=", ["77"], ""),
            (0, SALES, "amount", "=", ["33"], ""),
            (0, REFUNDS, "share", "=", ["11"], ""),
        ],
    )
    for seed in SEEDS:
        found = answer(row, seed=seed)
        assert found
        assert len(set(found)) < len(found), "no parent has two children"


def test_some_parents_have_no_children_and_some_children_no_parent() -> None:
    row = make_row("")
    childless = "SELECT 1 FROM shops WHERE shop_id NOT IN ( SELECT shop_id FROM sales WHERE shop_id"
    assert all(answer(row, f"{childless} IS NOT NULL )", seed=seed) for seed in SEEDS)
    orphans = "SELECT 1 FROM sales WHERE shop_id IS NULL"
    assert any(answer(row, orphans, seed=seed) for seed in SEEDS)


@pytest.mark.parametrize("form", ["A", "NOT ( A OR B )"])
@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        ([(0, SHOPS, "rent", "> SELECT", [], "AVG")], "rent > ( SELECT AVG(rent) FROM shops )"),
        ([(0, SHOPS, "rent", "< SELECT", [], "AVG")], "rent < ( SELECT AVG(rent) FROM shops )"),
        ([(0, SHOPS, "rent", "= SELECT", [], "MAX")], "rent = ( SELECT MAX(rent) FROM shops )"),
        ([(0, SHOPS, "rent", "= SELECT", [], "MIN")], "rent = ( SELECT MIN(rent) FROM shops )"),
        (
            [(0, SALES, "shop_id", "EXISTS", [], "")],
            "EXISTS ( SELECT * FROM sales WHERE sales.shop_id = shops.shop_id )",
        ),
        (
            [(0, SALES, "shop_id", "NOT EXISTS", [], "")],
            "NOT EXISTS ( SELECT * FROM sales WHERE sales.shop_id = shops.shop_id )",
        ),
    ],
)
def test_sub_queries_pick_some_rows(
    form: str, filters: list[tuple], condition: str
) -> None:
    filters = [(0, SHOPS, "opened", "=", ["'2001-02-03'"], ""), *filters]
    where = {"A": f"opened = '2001-02-03' AND {condition}"}.get(
        form, f"NOT ( opened = '2001-02-03' OR {condition} )"
    )
    form = "A AND B" if form == "A" else form
    row = make_row(
        f"SELECT city FROM shops WHERE {where}", where_form=form, filters=filters
    )
    for seed in SEEDS:
        assert 1 <= len(answer(row, seed=seed)) < len(
            answer(row, "SELECT city FROM shops", seed=seed)
        )


@pytest.mark.parametrize("operator", ["IN SELECT", "NOT IN SELECT"])
def test_sub_queries_on_the_parent_pick_some_rows(operator: str) -> None:
    row = make_row(
        f"SELECT amount FROM sales WHERE amount = 33 AND shop_id {operator.removesuffix(' SELECT')}"
        " ( SELECT shop_id FROM shops WHERE rent = 77 )",
        from_tables=(SALES,),
        select=[(SALES, "amount", "")],
        where_form="A AND B",
        filters=[
            (0, SALES, "amount", "=", ["33"], ""),
            (0, SALES, "shop_id", operator, [], ""),
            (1, SHOPS, "rent", "=", ["77"], ""),
        ],
    )
    for seed in SEEDS:
        all_33 = answer(row, "SELECT 1 FROM sales WHERE amount = 33", seed=seed)
        assert 1 <= len(answer(row, seed=seed)) <= len(all_33)
        assert answer(row, "SELECT 1 FROM shops WHERE rent = 77", seed=seed)


@pytest.mark.parametrize(
    ("operator", "bound", "aggregate", "column"),
    [
        ("=", "5", "COUNT", "*"),
        (">", "9", "COUNT", "*"),
        ("<", "2", "COUNT", "*"),
        (">=", "3", "COUNT", "*"),
        ("<=", "2", "COUNT", "*"),
        (">", "450", "AVG", "amount"),
        ("=", "123", "AVG", "amount"),
        ("<", "20", "MAX", "amount"),
        ("=", "7", "MIN", "amount"),
        (">", "900", "SUM", "amount"),
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_some_groups_meet_having_and_some_do_not(
    operator: str, bound: str, aggregate: str, column: str, joined: bool
) -> None:
    source = "sales AS t2 JOIN shops AS t1 ON t1.shop_id = t2.shop_id" if joined else "sales AS t2"
    key = (SHOPS, "city") if joined else (SALES, "clerk")
    groups = f"SELECT {key[1]} FROM {source} WHERE t2.sold IS NOT NULL GROUP BY {key[1]}"
    row = make_row(
        f"{groups} HAVING {aggregate}({column}) {operator} {bound}",
        from_tables=(SALES, SHOPS) if joined else (SALES,),
        select=[(*key, "")],
        filters=[(0, SALES, "sold", "IS NOT NULL", [], "")],
        group_by=[key],
        having=[(-1 if column == "*" else SALES, column, aggregate, operator, bound)],
    )
    for seed in SEEDS:
        found = answer(row, seed=seed)
        assert found
        assert len(found) < len(answer(row, groups, seed=seed))


@pytest.mark.parametrize("operation", ["UNION", "INTERSECT", "EXCEPT"])
@pytest.mark.parametrize("other", ["opened IS NULL", "rent = 21"])
def test_set_operations_have_rows_of_both_halves_and_in_common(operation: str, other: str) -> None:
    column = other.split()[0]
    operator, values = ("=", ["21"]) if column == "rent" else ("IS NULL", [])
    one, two = "SELECT city FROM shops WHERE rent > 300", f"SELECT city FROM shops WHERE {other}"
    row = make_row(
        f"{one} {operation} {two}",
        filters=[(0, SHOPS, "rent", ">", ["300"], ""), (2, SHOPS, column, operator, values, "")],
        set_operation=operation,
    )
    for seed in SEEDS:
        found = set(answer(row, seed=seed))
        assert found
        halves = set(answer(row, one, seed=seed)), set(answer(row, two, seed=seed))
        assert halves[0] & halves[1]
        assert found != halves[0] or operation == "INTERSECT"


def test_sort_keys_under_a_limit_are_never_null() -> None:
    sql = "SELECT city FROM shops ORDER BY rent ASC"
    for limit in (0, 3):
        row = make_row(sql, order_by=[(SHOPS, "rent", "", "ASC")], limit=limit)
        nulls = [answer(row, "SELECT 1 FROM shops WHERE rent IS NULL", seed=seed) for seed in SEEDS]
        assert any(nulls) == (limit == 0)


def test_data_have_nulls_ties_and_repeated_rows() -> None:
    row = make_row("")
    cities = answer(row, "SELECT city, rent, opened, is_open FROM shops")
    assert any(None in cells for cells in cities)
    assert any(len(set(cities)) < len(cities) for cities in (
        answer(row, "SELECT city, rent, opened, is_open FROM shops", seed=seed) for seed in SEEDS
    ))  # fmt: skip


def test_rows_are_a_function_of_id_size_and_seed() -> None:
    row = make_row("")
    assert populate(row) == populate(row)
    assert populate(row) != populate(row, seed=1)
    assert populate(row) != populate(make_row("", row_id=2))
    assert all(len(rows) >= 50 for rows in populate(row, num_rows=50).values())


@settings(max_examples=25, deadline=None)
@given(
    command_set=st.integers(1, 8),
    number=st.integers(0, 10**6),
    seed=st.integers(0, 99),
    num_rows=st.integers(8, 40),
)
def test_generated_schemas_take_their_rows(
    command_set: int, number: int, seed: int, num_rows: int
) -> None:
    (row,) = _generated(command_set, [number])
    rows = populate(row, seed=seed, num_rows=num_rows)
    check_keys(row, rows)
    _check_ranges(row, rows)
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.executescript(row["schema_sql"])
    connection.executescript(insert_sql(rows))


@pytest.mark.parametrize("command_set", range(1, 9))
def test_generated_queries_have_answers(command_set: int) -> None:
    rows = _generated(command_set, range(100))
    empty = [row["gold_sql"] for row in rows if not any(answer(row, seed=seed) for seed in (0, 1))]
    assert len(empty) <= 8, empty


def test_columns_of_an_unknown_kind_are_filled_by_their_type() -> None:
    row = make_row("")
    for column in row["columns"]:
        column["kind"] = ""
    check_keys(row, populate(row))
    assert "REAL" in SCHEMA
    assert all(isinstance(share, int | float | None)
               for _, share, _ in populate(row)["refunds"])  # fmt: skip


def _generated(command_set: int, numbers: Sequence[int]) -> list[dict[str, Any]]:
    config = DatasetConfig(command_sets=(command_set,), train_rows=2 * 10**6)
    return generate_rows(config, "train", np.array(numbers)).to_pylist()


def _check_ranges(row: dict[str, Any], rows: dict[str, list[tuple]]) -> None:
    """Numbers and texts are those of the column's kind, where no condition names others."""
    named = {value.strip("'") for each in row["filters"] for value in each["values"]}
    for number, table in enumerate(row["tables"]):
        own = [column for column in row["columns"] if column["table"] == number]
        for column, values in zip(own, zip(*rows[table["name"]], strict=True), strict=True):
            kind = words.kinds().get(column["kind"])
            if kind is None:
                continue
            for value in set(values) - {None}:
                if kind.family == "number":
                    assert float(kind.low) <= value <= float(kind.high)
                    assert isinstance(value, int) or "INT" not in column["type"]
                elif kind.family == "text":
                    assert value in kind.values or value in named
                elif kind.family == "boolean":
                    assert isinstance(value, bool)
