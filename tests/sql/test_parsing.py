"""What is exactly one query, and one line for everything that is not."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinysql.sql.components import canonical, components
from tinysql.sql.parsing import MAX_CHARS, Unparsable, parse_query
from tinysql.sql.spider import hardness
from tinysql.sql.taxonomy import command_set

TOKENS = [
    *(
        "SELECT",
        "FROM",
        "WHERE",
        "a",
        "b",
        "t",
        "u",
        "t.a",
        "t.*",
        "main.t",
        "*",
        "(",
        ")",
        ",",
        ";",
    ),
    *(
        "=",
        ">",
        "+",
        "-",
        "||",
        ".",
        "1",
        "1e3",
        "x'00'",
        "'x'",
        '"y"',
        "?",
        ":p",
        "NULL",
        "COUNT(",
    ),
    *("AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "EXISTS", "AS", "JOIN", "LEFT", "NATURAL"),
    *("ON", "USING", "GROUP", "BY", "ORDER", "HAVING", "LIMIT", "OFFSET", "UNION", "ALL", "EXCEPT"),
    *("WITH", "RECURSIVE", "VALUES", "CASE", "WHEN", "THEN", "END", "MAX(", "DISTINCT", "CAST("),
    *("INT", "OVER(", "PARTITION", "FILTER(", "json_each(", "DESC", "GROUP_CONCAT("),
]


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1", "select a from t ;; ", "(SELECT 1)", "SELECT 1 UNION ALL SELECT 2", "SELECT 'é'",
     "WITH c AS (SELECT 1) SELECT * FROM c -- end", "SELECT ';' /* ; */", "SELECT 1;\n-- a comment",
     f"SELECT {'(' * 15}1{')' * 15}", f"SELECT 1 WHERE 1{' AND 1' * 500}"],
)  # fmt: skip
def test_one_query_is_parsed(sql: str) -> None:
    assert parse_query(sql) == parse_query(f"\n{sql}\n")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("", "no statement"),
        (" ; -- nothing", "no statement"),
        ("SELECT", "without columns"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("DROP TABLE t", "Drop"),
        ("EXPLAIN SELECT 1", "Command"),
        ("PRAGMA table_info(t)", "Pragma"),
        ("INSERT INTO t SELECT 1", "Insert"),
        ("VALUES (1)", "Values"),
        ("SELECT 'a", "Error tokenizing"),
        ("SELECT a FROM t WHERE", "Required"),
        ("SELECT 1 FROM t LIMIT 1 SELECT 2", "Unexpected token at column 30"),
        ("SELECT \0", "NUL"),
        ("SELECT '\ud800'", "surrogate"),
        ("x" * (MAX_CHARS + 1), f"{MAX_CHARS + 1} characters, at most {MAX_CHARS}"),
        (f"SELECT {'(' * 300}1{')' * 300}", "brackets inside each other"),
        (f"SELECT {'CASE WHEN 1 THEN ' * 300}1{' END' * 300}", "brackets inside each other"),
        (f"SELECT {'NOT ' * 2000}1", "nested too deeply"),
        (f"SELECT {'- ' * 200}1", "nested too deeply"),
        (f"SELECT 1{' + 1' * 500}", "nested too deeply"),
        ("SELECT 1" + " UNION SELECT 1" * 500, "nested too deeply"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(sql: str, said: str) -> None:
    with pytest.raises(Unparsable) as refused:
        parse_query(sql)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_dialect_is_no_fault_of_the_text() -> None:
    with pytest.raises(ValueError, match="Unknown dialect") as refused:
        parse_query("SELECT 1", "nosql")
    assert not isinstance(refused.value, Unparsable)


@settings(deadline=None, max_examples=150)
@given(words=st.lists(st.sampled_from(TOKENS), max_size=25), raw=st.text(max_size=15))
@example(words=["1 UNION VALUES (2)"], raw="")
@example(words=["a FROM (t JOIN u) UNION SELECT * FROM (VALUES (1))"], raw="")
@example(words=["a FROM json_each('[1]'), main.t"], raw="")
@example(words=["EXISTS(SELECT 1) = EXISTS(SELECT 2)"], raw="")
@example(words=["x FROM (SELECT * FROM (SELECT a AS x))"], raw="")
@example(words=["COUNT() FROM t ORDER BY 99999999999999999999, 0, COUNT(DISTINCT)"], raw="")
def test_whatever_is_parsed_can_be_walked(words: list[str], raw: str) -> None:
    """Noise either is refused or goes through everything that reads trees."""
    try:
        query = parse_query(f"SELECT {' '.join(words)}{raw}")
    except Unparsable:
        return
    for schema in (None, {"t": ["a", "b"], "u": ["b"]}):
        assert canonical(query, schema) == canonical(query.copy(), schema)
        assert components(query, schema)["select"]
    assert hardness(query) in ("easy", "medium", "hard", "extra")
    assert command_set(query) in range(1, 9)
