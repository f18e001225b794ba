"""Suites: databases that tell mistakes from the gold, the same for the same arguments."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows
from tinysql.data.mentions import with_mentions
from tinysql.evaluate.planted import planted_database
from tinysql.sql.compare import Verdict
from tinysql.sql.engines import open_engine
from tinysql.sql.gold import GoldError, read_gold
from tinysql.sql.suite import Suite, challenge, make_suite

Row = dict[str, Any]
SCHEMA = (
    "CREATE TABLE a ( id INTEGER PRIMARY KEY, x TEXT, y INTEGER, z DATE ); "
    "CREATE TABLE b ( id INTEGER PRIMARY KEY, v INTEGER, a_id INTEGER REFERENCES a ( id ) )"
)


def rows_of(count: int, **config: Any) -> list[Row]:
    made = DatasetConfig(train_rows=count, **config)
    return generate_rows(made, "train", np.arange(count)).to_pylist()


def suite_of(row: Row, seed: int = 0) -> Suite:
    planted = [planted_database(row, num_rows=32, seed=0)]
    gold = read_gold(row["gold_sql"])
    return make_suite(row["schema_sql"], [gold], seed=seed, num_databases=4, planted=planted)


@pytest.mark.parametrize("command_set", range(1, 9))
def test_every_gold_is_right_and_hardly_any_says_nothing(command_set: int) -> None:
    suites = []
    for row in rows_of(20, command_sets=(command_set,)):
        suites.append(suite_of(row))
        assert suites[-1].judge(row["gold_sql"]).verdict is Verdict.STRICT, row["gold_sql"]
        assert suites[-1].num_databases == 4
    assert sum(suite.is_weak for suite in suites) <= 3
    scores = [suite.mutation_score for suite in suites if suite.mutation_score is not None]
    assert np.mean(scores) > 0.75


def test_paper_variant_is_right() -> None:
    for row in rows_of(30, command_sets=(2, 3, 5), variant="paper"):
        assert suite_of(row).judge(row["gold_sql"]).verdict is Verdict.STRICT, row["gold_sql"]


OTHER = {
    ">": "<", "<": ">", ">=": "<", "<=": ">", "=": "<>", "<>": "=", "IN": "NOT IN",
    "BETWEEN": "NOT BETWEEN", "LIKE": "NOT LIKE", "IS NULL": "IS NOT NULL", "MIN": "MAX",
    "MAX": "MIN", "SUM": "AVG", "AVG": "SUM", "ASC": "DESC", "DESC": "ASC", "UNION": "EXCEPT",
    "INTERSECT": "UNION", "EXCEPT": "UNION", "EXISTS": "NOT EXISTS",
}  # fmt: skip


def mistakes(row: Row) -> Iterator[tuple[str, str]]:
    """Gold queries with one word exchanged, and which part of the query it is in."""
    sql = row["gold_sql"]
    for mention in row["mentions"]:
        name, part, *_ = mention["key"].split(".")
        start, end = mention["start"], mention["end"]
        word = sql[start:end].strip()
        if name == "sql" and word in OTHER:
            yield part, f"{sql[:start]} {OTHER[word]}{sql[end:]}"


def matters(row: Row, mistake: str) -> bool:
    """Whether a flipped direction can show: in a selected column that no key before it fixes."""
    keys, flipped = (sql.split(" ORDER BY ")[-1].split(", ") for sql in (row["gold_sql"], mistake))
    number = next(
        n for n, pair in enumerate(zip(keys, flipped, strict=True)) if len(set(pair)) > 1
    )
    before = {key["column"] for key in row["order_by"][:number]}
    return bool({item["column"] for item in row["select"]} - before)


@pytest.mark.parametrize(
    ("command_sets", "part", "found_at_least"),
    [
        ((3,), "aggregate", 0.95),
        ((4, 5), "operator", 0.95),
        ((7,), "set_operation", 0.9),
        ((2,), "direction", 1.0),
    ],
)
def test_most_mistakes_are_found(
    command_sets: tuple[int, ...], part: str, found_at_least: float, tmp_path: Any
) -> None:
    config = DatasetConfig(train_rows=60, command_sets=command_sets)
    (tmp_path / "card.json").write_text(f'{{"config": {config.model_dump_json()}}}')
    rows = generate_rows(config, "train", np.arange(60)).to_pylist()
    verdicts = []
    for row in with_mentions(tmp_path, "train", rows):
        wrong = [sql for changed, sql in mistakes(row) if changed == part]
        wrong = [sql for sql in wrong if part != "direction" or matters(row, sql)]
        if wrong:
            suite = suite_of(row)
            verdicts += [suite.judge(sql).verdict for sql in wrong]
    assert len(verdicts) > 20
    found = sum(verdict is not Verdict.STRICT for verdict in verdicts)
    assert found >= found_at_least * len(verdicts)


def test_same_arguments_same_databases() -> None:
    gold = read_gold("SELECT x FROM a WHERE y > 7 ORDER BY z")
    one, again, other = (
        make_suite(SCHEMA, [gold], seed=seed, num_databases=3) for seed in ("s", "s", "t")
    )
    assert one == again != other


@pytest.mark.parametrize(
    ("gold", "mistake"),
    [
        ("SELECT x FROM a WHERE y > 731", "SELECT x FROM a WHERE y >= 731"),
        ("SELECT x FROM a WHERE x LIKE '%oslo%'", "SELECT x FROM a WHERE x LIKE 'oslo%'"),
        ("SELECT x FROM a LIMIT 60", "SELECT x FROM a LIMIT 61"),
        ("SELECT a_id, COUNT(*) FROM b GROUP BY a_id HAVING COUNT(*) > 5",
         "SELECT a_id, COUNT(*) FROM b GROUP BY a_id HAVING COUNT(*) > 8"),
        ("SELECT a.x FROM a JOIN b ON b.a_id = a.id",
         "SELECT a.x FROM a LEFT JOIN b ON b.a_id = a.id"),
        ("SELECT COUNT(x) FROM a", "SELECT COUNT(*) FROM a"),
        ("SELECT COUNT(x) FROM a", "SELECT COUNT(DISTINCT x) FROM a"),
        ("SELECT SUM(y) FROM a", "SELECT TOTAL(y) FROM a"),
        ("SELECT x FROM a WHERE id NOT IN (SELECT a_id FROM b WHERE a_id IS NOT NULL)",
         "SELECT x FROM a WHERE id NOT IN (SELECT a_id FROM b)"),
    ],
)  # fmt: skip
def test_constants_ties_nulls_and_empty_tables_tell_these_apart(gold: str, mistake: str) -> None:
    suite = make_suite(SCHEMA, [read_gold(gold)], seed=0, num_databases=10)
    assert suite.judge(mistake).verdict is Verdict.WRONG
    assert suite.judge(gold).verdict is Verdict.STRICT


def test_any_of_several_golds_is_right_and_the_best_tier_counts() -> None:
    golds = [read_gold("SELECT x FROM a"), read_gold("SELECT x, y FROM a")]
    suite = make_suite(SCHEMA, golds, seed=0, num_databases=3)
    for sql, verdict in (
        ("SELECT x FROM a", Verdict.STRICT),
        ("SELECT x, y FROM a", Verdict.STRICT),
        ("SELECT y, x FROM a", Verdict.EQUIVALENT),
        ("SELECT y, z, x FROM a", Verdict.SUBSET),
        ("SELECT y FROM a", Verdict.WRONG),
    ):
        assert suite.judge(sql).verdict is verdict, sql
    assert suite.judge("SELECT y, z, x FROM a").precision == pytest.approx(2 / 3)


def test_weak_is_what_says_nothing_anywhere() -> None:
    for sql, weak in (
        ("SELECT x FROM a WHERE y > 5 AND y < 5", True),
        ("SELECT MAX(y) FROM a WHERE 0", True),
        ("SELECT COUNT(*) FROM a WHERE 0", True),
        ("SELECT COUNT(*) FROM a", False),
        ("SELECT x FROM a", False),
    ):
        suite = make_suite(SCHEMA, [read_gold(sql)], seed=0, num_databases=3)
        assert suite.is_weak is weak, sql


def test_gold_that_does_not_run_raises() -> None:
    with pytest.raises(GoldError, match="no such column: q"):
        make_suite(SCHEMA, [read_gold("SELECT q FROM a")], seed=0, num_databases=3)


@pytest.mark.parametrize(
    ("sql", "varies"),
    [
        ("SELECT x, COUNT(*) FROM a", True),
        ("SELECT x, z, COUNT(*) FROM a GROUP BY x", True),
        ("SELECT GROUP_CONCAT(x) FROM a", True),
        ("SELECT id, ROW_NUMBER() OVER (ORDER BY y) FROM a", True),
        ("SELECT id, LAG(x) OVER (ORDER BY y) FROM a", True),
        ("SELECT id, RANK() OVER (ORDER BY y) FROM a", False),
        ("SELECT COUNT(*) FROM (SELECT x FROM a LIMIT 3) AS q WHERE x > 'm'", True),
        ("SELECT x FROM a LIMIT 3", False),
        ("SELECT x FROM a ORDER BY y LIMIT 3", False),
        ("SELECT x, MAX(y) FROM a GROUP BY x", False),
        ("SELECT a.x, AVG(v) FROM a JOIN b ON a_id = a.id GROUP BY a.x", False),
        ("SELECT x FROM a", False),
    ],
)
def test_golds_that_leave_their_answer_open_are_told(sql: str, varies: bool) -> None:
    suite = make_suite(SCHEMA, [read_gold(sql)], seed=0, num_databases=6)
    assert suite.varies() is varies


@pytest.mark.parametrize(
    ("sql", "varies"),
    [
        ("SELECT RANDOM() FROM a", True),
        ("SELECT id, ROW_NUMBER() OVER (ORDER BY y) FROM a", True),
        ("SELECT x, FIRST(z) FROM a GROUP BY x", True),
        ("SELECT x, MAX(z) FROM a GROUP BY x", False),
    ],
)
def test_the_engine_that_judges_tells_whether_an_answer_is_open(sql: str, varies: bool) -> None:
    with open_engine("duckdb") as engine:
        suite = make_suite(SCHEMA, [read_gold(sql)], seed=0, num_databases=2, run=engine.run)
        assert suite.varies(engine.run) is varies


def test_mutants_of_every_gold_choose_databases_and_count() -> None:
    easy = read_gold("SELECT x FROM a")
    hard = read_gold("SELECT COUNT(*) FROM a WHERE 1 OR y > 5")
    alone = make_suite(SCHEMA, [easy], seed=0, num_databases=4)
    both = make_suite(SCHEMA, [easy, hard], seed=0, num_databases=4)
    assert alone.mutation_score == 1.0
    assert both.mutation_score is not None
    assert both.mutation_score < 0.9


def test_a_gold_is_no_mutant_of_another() -> None:
    golds = [read_gold("SELECT x FROM a"), read_gold("SELECT DISTINCT x FROM a")]
    suite = make_suite(SCHEMA, golds, seed=0, num_databases=4)
    assert suite.mutation_score == 1.0
    assert all(suite.judge(gold.sql).verdict is Verdict.STRICT for gold in golds)


KEYS_SCHEMA = (
    "CREATE TABLE t ( id INTEGER PRIMARY KEY, city TEXT, price REAL, qty INTEGER, day DATE ); "
    "CREATE TABLE c ( k TEXT PRIMARY KEY, v INTEGER ); "
    "CREATE TABLE u ( id INTEGER PRIMARY KEY, v INTEGER, t_id INTEGER REFERENCES t ( id ) )"
)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("gold", "mistake"),
    [
        ("SELECT city FROM t WHERE id = 500", "SELECT city FROM t WHERE id = 501"),
        ("SELECT city FROM t WHERE id = 500", "SELECT city FROM t WHERE 0"),
        ("SELECT city FROM t WHERE id > 200", "SELECT city FROM t WHERE id > 300"),
        ("SELECT v FROM c WHERE k = 'FR'", "SELECT v FROM c WHERE k = 'DE'"),
        ("SELECT v FROM u WHERE t_id = 500", "SELECT v FROM u WHERE t_id = 501"),
        ("SELECT city FROM t JOIN u ON t.id = t_id WHERE t.id = 500",
         "SELECT city FROM t JOIN u ON t.id = t_id WHERE t.id = 501"),
        ("SELECT city FROM t WHERE qty > 5", "SELECT city FROM t WHERE qty > 5 AND id < 1000"),
        ("SELECT SUM(qty) FROM t", "SELECT TOTAL(qty) FROM t"),
        ("SELECT COALESCE(SUM(qty), 0) FROM t", "SELECT SUM(qty) FROM t"),
        ("SELECT city FROM t WHERE price > (SELECT AVG(price) FROM t)",
         "SELECT city FROM t WHERE price >= (SELECT AVG(price) FROM t)"),
        ("SELECT COUNT(*), MAX(qty) FROM t",
         "SELECT COUNT(*), MAX(qty) FROM t HAVING COUNT(*) > 0"),
        ("SELECT city FROM t WHERE city LIKE 'a_c%'", "SELECT city FROM t WHERE city LIKE 'a%c%'"),
    ],
)  # fmt: skip
def test_a_challenge_meets_keys_wildcards_and_small_tables(
    gold: str, mistake: str, seed: int
) -> None:
    for right, wrong in ((gold, mistake), (mistake, gold)):
        golds, pred = [read_gold(right)], read_gold(wrong)
        suite = challenge(KEYS_SCHEMA, golds, pred, seed=seed, num_databases=4)
        assert suite.judge(wrong).verdict is Verdict.WRONG
        assert suite.judge(right).verdict is Verdict.STRICT


def test_a_challenge_has_an_empty_database_and_one_of_single_rows_on_top() -> None:
    gold = read_gold("SELECT x FROM a")
    challenged = challenge(SCHEMA, [gold], gold, seed=0, num_databases=3)
    sizes = [len(each.gold.rows) for each in challenged.answers[0]]
    assert (len(sizes), sizes[-2:]) == (5, [0, 1])
