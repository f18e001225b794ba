"""Mutants: which places of a gold are changed, and into what."""

import pytest

from tinysql.sql.mutants import mutants
from tinysql.sql.snapshot import prepare

TABLES = prepare("CREATE TABLE t ( city TEXT, x INTEGER )")[1]


@pytest.mark.parametrize(
    ("sql", "changed"),
    [
        ("SELECT x FROM t WHERE city = 'Oslo'", ["city = 'Oslox'", "city = 'Osl'"]),
        ('SELECT x FROM t WHERE city = "Oslo"', ['city = "Oslox"', 'city = "Osl"']),
        ('SELECT x FROM t WHERE city IN ("A", "B")', ['IN ("Ax", "B")', 'IN ("A", "Bx")']),
        ("SELECT x FROM t WHERE LOWER(city) = 'oslo'", ["WHERE (city) = 'oslo'"]),
    ],
)
def test_texts_and_functions_are_changed(sql: str, changed: list[str]) -> None:
    found = [mutant.sql for mutant in mutants(sql, TABLES)]
    assert all(any(each in mutant for mutant in found) for each in changed), found


def test_names_in_double_quotes_are_no_texts() -> None:
    sql = 'SELECT "x" AS "total" FROM "t" WHERE "x" > 5 AND t."city" = \'a\' ORDER BY "total"'
    assert not any('x"' in mutant.sql.replace('"x"', "") for mutant in mutants(sql, TABLES))
