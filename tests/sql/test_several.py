"""Several right queries in one text."""

import pytest

from tinysql.sql.several import queries_in


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("SELECT a FROM t", ["SELECT a FROM t"]),
        ("SELECT a FROM t;", ["SELECT a FROM t"]),
        ("SELECT a FROM t; SELECT b FROM t ;", ["SELECT a FROM t", "SELECT b FROM t"]),
        ("SELECT {a, b} FROM t", ["SELECT a, b FROM t", "SELECT a FROM t", "SELECT b FROM t"]),
        ("SELECT {a, f(b, c)} FROM t GROUP BY {}", [
            "SELECT a, f(b, c) FROM t GROUP BY a, f(b, c)", "SELECT a FROM t GROUP BY a",
            "SELECT f(b, c) FROM t GROUP BY f(b, c)",
        ]),
        ("SELECT {a}, {b} FROM t", ["SELECT a, b FROM t"]),
        ("SELECT ';{a}' FROM t", ["SELECT ';{a}' FROM t"]),
        ("SELECT a FROM t -- ; {b}", ["SELECT a FROM t"]),
        (";", [";"]),
        ("SELECT 'open", ["SELECT 'open"]),
    ],
)  # fmt: skip
def test_queries_in(text: str, queries: list[str]) -> None:
    assert queries_in(text) == queries


@pytest.mark.parametrize("text", ["SELECT {a FROM t", "SELECT a} FROM t", "SELECT {{a}} FROM t"])
def test_a_brace_without_its_partner_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="brace"):
        queries_in(text)


def test_too_many_choices_are_refused_soon() -> None:
    columns = ", ".join(f"c{number}" for number in range(30))
    with pytest.raises(ValueError, match="more than 255"):
        queries_in(f"SELECT {{{columns}}} FROM t")
