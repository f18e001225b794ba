"""Spider's metric: hardness worked out by hand from its rules, and scores that the original gives.

tests/fixtures/sql/spider_scores.jsonl holds generated pairs of queries over SCHEMA with what
taoyds/spider's evaluation.py at b7b5b8c says of them: exact-set match, the partial scores that are
0, and the gold's hardness.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysql.sql.parsing import parse_query
from tinysql.sql.spider import (
    HardnessCounts,
    exact_set_match,
    hardness,
    hardness_counts,
    partial_scores,
    same_columns,
)

FIXTURE = Path(__file__).parents[1] / "fixtures" / "sql" / "spider_scores.jsonl"
PAIRS = [json.loads(line) for line in FIXTURE.read_text().splitlines()]
SCHEMA = {
    "singer": ["id", "name", "age", "country"],
    "song": ["sid", "singer_id", "title", "year", "name"],
    "concert": ["cid", "song_id", "year", "place"],
}
FOREIGN_KEYS = [("song.singer_id", "singer.id"), ("concert.song_id", "song.sid")]
SONGS = "SELECT DISTINCT title FROM song WHERE year > 1 AND name LIKE 'x' ORDER BY year LIMIT 3"
JOINED = "SELECT t1.name FROM singer AS t1 JOIN song AS t2 ON t1.id = t2.singer_id GROUP BY t1.id"
NESTED = "SELECT name FROM singer WHERE id IN (SELECT singer_id FROM song WHERE year = 1)"
UNITED = "SELECT name FROM singer EXCEPT SELECT name FROM song WHERE year = 1"


@pytest.mark.parametrize(
    ("sql", "counts", "label"),
    [
        ("SELECT a FROM t", (0, 0, 0), "easy"),
        ("SELECT COUNT(*) FROM t WHERE a = 1", (1, 0, 0), "easy"),
        ("SELECT a, b FROM t", (0, 0, 1), "medium"),
        ("SELECT a FROM t JOIN u ON t.x = u.y WHERE b = 1", (2, 0, 0), "medium"),
        ("SELECT MIN(a), MAX(a) FROM t WHERE b = 1 AND c = 2", (1, 0, 3), "hard"),
        ("SELECT a FROM t, u WHERE b = 1 ORDER BY a", (3, 0, 0), "hard"),
        ("SELECT a FROM t WHERE b = 1 OR c LIKE 'x%'", (3, 0, 1), "hard"),
        ("SELECT a FROM t WHERE b > (SELECT AVG(b) FROM t)", (1, 1, 0), "hard"),
        ("SELECT a FROM t WHERE b IN (SELECT c FROM u WHERE d = 1 OR e = 2)", (1, 1, 0), "hard"),
        ("SELECT a FROM t WHERE NOT EXISTS (SELECT b FROM u)", (1, 1, 0), "hard"),
        ("SELECT a FROM t UNION SELECT b FROM u ORDER BY a LIMIT 3", (0, 1, 0), "hard"),
        ("SELECT a FROM t WHERE b = 1 AND c = 2 EXCEPT SELECT a FROM u", (1, 1, 1), "extra"),
        ("SELECT AVG(n) FROM (SELECT COUNT(*) AS n FROM t GROUP BY a) AS p", (0, 0, 0), "easy"),
        # In HAVING neither the aggregates count nor their values, but AND does.
        ("SELECT a FROM t GROUP BY a HAVING COUNT(*) > 1", (1, 0, 0), "easy"),
        ("SELECT a FROM t GROUP BY a HAVING SUM(b) > 1 AND SUM(c) > 2 AND SUM(d) > 3",
         (1, 0, 1), "medium"),
        ("SELECT a FROM t ORDER BY COUNT(a), SUM(b)", (1, 0, 1), "medium"),
        ("SELECT COUNT(a) AS n FROM t ORDER BY n", (1, 0, 1), "medium"),
        # A NOT before a condition counts as an aggregate, IS NOT NULL does not.
        ("SELECT a FROM t WHERE b NOT IN (1) AND c NOT LIKE 'x'", (2, 0, 2), "extra"),
        ("SELECT a FROM t WHERE b IS NOT NULL AND c IS NOT NULL", (1, 0, 1), "medium"),
        ("SELECT a FROM t WHERE NOT ( b = 1 OR c = 2 )", (2, 0, 1), "medium"),
        ("SELECT a FROM t WHERE b BETWEEN 1 AND 2", (1, 0, 0), "easy"),
        ("SELECT a, b, COUNT(*) FROM t JOIN u ON t.x = u.y WHERE c = 1 OR d = 2 "
         "GROUP BY a, b ORDER BY COUNT(*) LIMIT 1", (6, 0, 4), "extra"),
    ],
)  # fmt: skip
def test_labels_follow_the_rules(sql: str, counts: tuple[int, int, int], label: str) -> None:
    assert hardness_counts(parse_query(sql)) == HardnessCounts(*counts)
    assert hardness(parse_query(sql)) == label


@pytest.mark.parametrize("pair", PAIRS)
def test_scores_are_those_of_the_original(pair: dict[str, object]) -> None:
    gold, pred = parse_query(str(pair["gold_sql"])), parse_query(str(pair["pred_sql"]))
    scores = partial_scores(gold, pred, SCHEMA, FOREIGN_KEYS)
    assert sorted(name for name, score in scores.items() if score == 0.0) == pair["failed"]
    assert exact_set_match(gold, pred, SCHEMA, FOREIGN_KEYS) == pair["exact"]
    assert hardness(gold) == pair["hardness"]


@pytest.mark.parametrize(
    ("gold", "old", "new", "failed"),
    [
        # Quirks: what changes the meaning and still matches.
        (SONGS, "> 1", "> 2", set()),
        (SONGS, "DISTINCT", "", set()),
        (SONGS, "LIMIT 3", "LIMIT 4", set()),
        (JOINED, "t1.id = t2.singer_id", "t1.name = t2.name", set()),
        (JOINED, "GROUP BY t1.id", "GROUP BY t2.singer_id", set()),
        (NESTED, "year = 1", "year = 2", set()),
        (UNITED, "year = 1", "year = 2", set()),
        # What does not match, and the scores that say so.
        (SONGS, "> 1", "< 1", {"where"}),
        (SONGS, " AND ", " OR ", {"and/or", "keywords"}),
        (SONGS, "year LIMIT", "year DESC LIMIT", {"order", "keywords"}),
        (SONGS, "LIMIT 3", "", {"order", "keywords"}),
        (SONGS, "title FROM", "MAX(title) FROM", {"select"}),
        (SONGS, "title FROM", "title, name FROM", {"select", "select(no AGG)"}),
        (SONGS, "name LIKE", "name NOT LIKE", {"where", "keywords"}),
        (NESTED, "SELECT singer_id", "SELECT DISTINCT singer_id", {"where"}),
        (UNITED, "EXCEPT", "UNION", {"IUEN", "keywords"}),
        (UNITED, "SELECT name FROM song", "SELECT title FROM song", {"IUEN"}),
        (JOINED, "GROUP BY t1.id", "GROUP BY t1.id HAVING COUNT(*) > 1", {"group", "keywords"}),
    ],
)  # fmt: skip
def test_partial_scores_fall_together_with_what_spider_looks_at(
    gold: str, old: str, new: str, failed: set[str]
) -> None:
    assert old in gold
    queries = parse_query(gold), parse_query(gold.replace(old, new))
    scores = partial_scores(*queries, SCHEMA, FOREIGN_KEYS)
    assert {name for name, score in scores.items() if score < 1} == failed
    assert exact_set_match(*queries, SCHEMA, FOREIGN_KEYS) == (not failed)


def test_tables_are_compared_apart_from_the_partial_scores() -> None:
    queries = parse_query("SELECT COUNT(*) FROM singer"), parse_query("SELECT COUNT(*) FROM song")
    assert set(partial_scores(*queries, SCHEMA).values()) == {1.0}
    assert not exact_set_match(*queries, SCHEMA)


def test_keys_join_the_first_set_that_has_one_of_their_columns() -> None:
    keys = [("b.x", "a.x"), ("d.x", "c.x"), ("c.x", "b.x")]
    schema = {"a": ["x"], "b": ["x"], "c": ["x"], "d": ["x"]}
    assert same_columns(keys, schema) == {"a.x": "a.x", "b.x": "a.x", "c.x": "c.x", "d.x": "c.x"}


@settings(deadline=None, max_examples=30)
@given(pair=st.sampled_from(PAIRS))
def test_a_query_matches_itself_whatever_is_known_of_the_schema(pair: dict[str, str]) -> None:
    gold, pred = parse_query(pair["gold_sql"]), parse_query(pair["pred_sql"])
    for schema in (SCHEMA, None):
        assert exact_set_match(gold, gold, schema)
        assert exact_set_match(gold, pred, schema) == exact_set_match(pred, gold, schema)
