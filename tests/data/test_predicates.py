import sqlite3

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysql.data.verify.predicates import fits, holds, like, value_of

CONNECTION = sqlite3.connect(":memory:")
CONNECTION.execute("PRAGMA case_sensitive_like = ON")

NUMBERS = st.one_of(st.integers(-5, 5), st.sampled_from([-1.5, 0.5, 2.25]))
TEXTS = st.text("ab%_ .", max_size=4)


def in_sqlite(condition: str, *values: object) -> bool:
    (answer,) = CONNECTION.execute(f"SELECT {condition}", values).fetchone()
    return answer == 1


@settings(max_examples=300, deadline=None)
@given(
    value=st.one_of(st.none(), NUMBERS),
    operator=st.sampled_from(["=", "<>", "<", ">", "<=", ">=", "BETWEEN", "IN", "IS NULL"]),
    operands=st.tuples(NUMBERS, NUMBERS),
    negations=st.integers(0, 2),
)
def test_holds_as_in_sqlite(
    value: float | None, operator: str, operands: tuple[float, float], negations: int
) -> None:
    written = {"BETWEEN": "? BETWEEN ? AND ?", "IN": "? IN ( ?, ? )", "IS NULL": "? IS NULL"}
    condition = written.get(operator, f"? {operator} ?")
    for _ in range(negations):
        condition = f"NOT ( {condition} )"
    given_operands = operands[: condition.count("?") - 1]
    expected = in_sqlite(condition, value, *given_operands)
    assert holds(value, "NOT " * negations + operator, given_operands) == expected


@settings(max_examples=200, deadline=None)
@given(value=TEXTS, pattern=TEXTS)
def test_like_as_in_sqlite(value: str, pattern: str) -> None:
    assert holds(value, "LIKE", [pattern]) == in_sqlite("? LIKE ?", value, pattern)
    assert holds(value, "NOT LIKE", [pattern]) == in_sqlite("? NOT LIKE ?", value, pattern)


def test_is_not_null_and_its_negation() -> None:
    assert holds(0, "IS NOT NULL", [])
    assert not holds(None, "IS NOT NULL", [])
    assert holds(None, "NOT IS NOT NULL", [])
    assert not holds(0, "NOT IS NOT NULL", [])
    assert like("a%", any_case=True).fullmatch("Ab")
    assert not like("a%").fullmatch("Ab")


def test_unknown_operator_is_no_verdict() -> None:
    with pytest.raises(ValueError, match="unknown operator '=='"):
        holds(1, "==", [1])


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("5", 5), ("-5", -5), ("3.50", 3.5), ("1e3", 1000.0), ("'Paris'", "Paris"),
        ("'it''s'", "it's"), ("'5'", "5"), ("TRUE", True), ("FALSE", False), ("NULL", None),
    ],
)  # fmt: skip
def test_value_of_a_literal(literal: str, value: object) -> None:
    assert value_of(literal) == value
    assert type(value_of(literal)) is type(value)


@pytest.mark.parametrize("sql_type", [
    "INTEGER", "SMALLINT", "BIGINT", "REAL", "DOUBLE PRECISION", "DECIMAL(4,1)", "NUMERIC(6,2)",
    "VARCHAR(3)", "TEXT", "DATE", "TIMESTAMP", "BOOLEAN",
])  # fmt: skip
def test_what_fits_comes_back_from_an_engine(sql_type: str) -> None:
    values = {
        "DATE": ["2020-01-31"], "TIMESTAMP": ["2020-01-31 10:20:30"], "BOOLEAN": [True, False],
        "TEXT": ["", "abcd"], "VARCHAR(3)": ["", "abc", "abcd"],
    }.get(sql_type, [0, -7, 1.5, 0.25, 99.9, 1000, 40_000, 2**31, 2**40, 10**15])  # fmt: skip
    connection = duckdb.connect(":memory:")
    for value in values:
        literal = f"'{value}'" if isinstance(value, str) else repr(value)
        if fits(sql_type, value):
            back = connection.execute(f"SELECT CAST({literal} AS {sql_type})").fetchone()
            assert back is not None
            assert str(back[0]) == value if isinstance(value, str) else float(back[0]) == value
    assert fits(sql_type, values[0])
    assert not fits(sql_type, None)
    assert [value for value in values if not fits(sql_type, value)] == {
        "INTEGER": [1.5, 0.25, 99.9, 2**31, 2**40, 10**15],
        "SMALLINT": [1.5, 0.25, 99.9, 40_000, 2**31, 2**40, 10**15],
        "BIGINT": [1.5, 0.25, 99.9],
        "REAL": [99.9, 10**15],
        "DECIMAL(4,1)": [0.25, 1000, 40_000, 2**31, 2**40, 10**15],
        "NUMERIC(6,2)": [40_000, 2**31, 2**40, 10**15],
        "VARCHAR(3)": ["abcd"],
    }.get(sql_type, [])
