"""Two queries told apart: by their rows, or by an order that only one of them has."""

from pathlib import Path

import pytest

from cluster.errors import UserError
from jobs.equivalent import equivalent
from tinysql.sql.equivalence import find_difference
from tinysql.sql.gold import GoldError, read_gold

SCHEMA = "CREATE TABLE t ( id INTEGER PRIMARY KEY, city TEXT, qty INTEGER )"
GROUPED = "SELECT city, COUNT(*) FROM t GROUP BY city"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (GROUPED, GROUPED),
        (f"{GROUPED} ORDER BY city", f"{GROUPED} ORDER BY 1"),
        (GROUPED, f"{GROUPED} ORDER BY NULL"),
        ("SELECT DISTINCT city FROM t ORDER BY NULL", "SELECT DISTINCT city FROM t"),
    ],
)
def test_the_same_answers_are_no_difference(one: str, other: str) -> None:
    assert find_difference(SCHEMA, read_gold(one), read_gold(other), num_databases=10) is None


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("order", ["", " ORDER BY NULL"])
def test_an_order_that_one_query_lacks_is_a_difference(order: str, turned: bool) -> None:
    golds = [read_gold(f"{GROUPED} ORDER BY city"), read_gold(GROUPED + order)]
    one, other = reversed(golds) if turned else golds
    found = find_difference(SCHEMA, one, other, num_databases=10)
    assert found is not None
    assert found.lacks_order
    assert [len(result.rows) for result in found.results] == [2, 2]


def test_other_rows_are_a_difference_without_words_about_order() -> None:
    one, other = read_gold("SELECT city FROM t WHERE qty > 5"), read_gold("SELECT city FROM t")
    found = find_difference(SCHEMA, one, other, num_databases=10)
    assert found is not None
    assert not found.lacks_order


@pytest.mark.parametrize(("place", "word"), [(0, "first"), (1, "second")])
def test_the_query_that_does_not_run_is_named(place: int, word: str) -> None:
    golds = [read_gold(GROUPED), read_gold(GROUPED)]
    golds[place] = read_gold("SELECT cost FROM t")
    with pytest.raises(GoldError, match=f"the {word} query .*no such column: cost"):
        find_difference(SCHEMA, *golds, num_databases=10)


@pytest.mark.parametrize(
    ("queries", "words"),
    [
        (("DROP TABLE t", GROUPED), "the first query cannot be parsed"),
        ((GROUPED, "SELECT cost FROM t"), "the second query .*no such column: cost"),
    ],
)
def test_the_verb_names_the_query_that_is_none(
    tmp_path: Path, queries: tuple[str, str], words: str
) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text(SCHEMA)
    with pytest.raises(UserError, match=words):
        equivalent(*queries, schema)
