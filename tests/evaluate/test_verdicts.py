"""Verdict rows: tiers, reasons, and what is read off the queries' trees."""

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysql.errors import InputError
from tinysql.evaluate.config import ScoreConfig
from tinysql.evaluate.golds import runner
from tinysql.evaluate.items import item_of
from tinysql.evaluate.verdicts import Scored, fold, score_item
from tinysql.sql.compare import Verdict
from tinysql.sql.sample import fill

SCHEMA = (
    "CREATE TABLE cars ( id INTEGER PRIMARY KEY, name TEXT, price INTEGER, made DATE ); "
    "CREATE TABLE sales ( id INTEGER PRIMARY KEY, amount INTEGER, "
    "car_id INTEGER REFERENCES cars ( id ) )"
)
GOLD = (
    "SELECT name, AVG(price) AS AVG_price FROM cars WHERE price > 40 AND name <> 'kit' "
    "GROUP BY name ORDER BY AVG(price) DESC"
)
CONFIG = ScoreConfig(num_databases=6)


def scored(
    pred_sql: str, gold_sql: Any = GOLD, config: ScoreConfig = CONFIG, **more: Any
) -> Scored:
    item = item_of({"id": 1, "schema_sql": SCHEMA, "gold_sql": gold_sql} | more)
    return score_item(item, pred_sql, config, runner(config))


@pytest.mark.parametrize(
    ("pred_sql", "verdict", "error_class"),
    [
        (GOLD, "strict", None),
        (GOLD + " ;", "strict", None),
        (GOLD.replace(" ", "\n "), "strict", None),
        (GOLD.replace("SELECT", "select").replace("FROM", "from"), "strict", None),
        (GOLD.replace("price > 40 AND name <> 'kit'", "name <> 'kit' AND 40 < price"),
         "strict", None),
        (GOLD.replace("FROM cars", "FROM cars AS c"), "strict", None),
        (GOLD.replace("name, AVG(price) AS AVG_price", "AVG(price), name"), "equivalent", None),
        (GOLD.replace("name, AVG", "MAX(made), name, AVG"), "subset", None),
        (GOLD.replace(" DESC", ""), "wrong", "wrong_order"),
        (GOLD.split(" ORDER")[0], "wrong", "wrong_order"),
        (GOLD.replace("AVG(price) AS", "MAX(price) AS"), "wrong", "wrong_aggregate"),
        (GOLD.replace("40", "41"), "wrong", "wrong_filter"),
        (GOLD.replace("AND", "OR"), "wrong", "wrong_filter"),
        (GOLD.replace("name, AVG(price) AS AVG_price", "name"), "wrong", "wrong_columns"),
        ("SELECT name, price FROM cars JOIN sales ON car_id = cars.id", "wrong", "wrong_join"),
        (GOLD.replace("price", "cost"), "error", "unknown_column"),
        (GOLD.replace("cars", "bikes"), "error", "unknown_table"),
        (GOLD + " please", "error", "syntax"),
        (GOLD + "; DROP TABLE cars", "error", "forbidden"),
        ("DROP TABLE cars", "error", "forbidden"),
        ("", "error", "no_sql"),
        ("WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT max(x) FROM r",
         "error", "timeout"),
    ],
)  # fmt: skip
def test_verdict_and_why(pred_sql: str, verdict: str, error_class: str | None) -> None:
    found = scored(pred_sql)
    assert (found.verdict, found.error_class) == (verdict, error_class)
    tiers = [found.strict, found.equivalent, found.subset]
    assert tiers == sorted(tiers)
    assert found.subset == (verdict in ("strict", "equivalent", "subset"))
    assert (found.precision is not None) == found.subset
    assert (found.error is not None) == (verdict == "error")


def test_what_is_read_off_the_trees() -> None:
    found = scored(GOLD.replace("40", "41"), category="grouping")
    assert (found.hardness, found.command_set, found.category) == ("extra", 4, "grouping")
    assert (found.num_tables, found.databases, found.weak) == (2, 6, False)
    assert found.mutation_score is not None
    assert found.mutation_score > 0.8
    assert found.components["select"]["f1"] == 1.0
    assert 0 < found.components["where"]["f1"] < 1
    assert not found.canonical_match
    commuted = GOLD.replace("price > 40 AND name <> 'kit'", "name <> 'kit' AND price > 40")
    assert scored(commuted).canonical_match
    assert not scored(commuted).exact_match
    assert scored(f" {GOLD};").exact_match
    assert scored(GOLD.replace("'kit'", '"kit"')).canonical_match


def test_spider_scores_are_there_where_asked_for() -> None:
    config = CONFIG.model_copy(update={"spider": True})
    assert scored(GOLD).spider == {}
    assert scored(GOLD.replace("40", "41"), config=config).spider["exact_set_match"] == 1.0
    assert scored(GOLD.replace("AND", "OR"), config=config).spider["exact_set_match"] == 0.0


@pytest.mark.parametrize(
    "gold_sql",
    [
        ["SELECT name FROM cars", "SELECT price FROM cars"],
        "SELECT name FROM cars; SELECT price FROM cars",
        "SELECT {name, price} FROM cars",
    ],
)
def test_any_of_several_golds_is_right(gold_sql: Any) -> None:
    assert scored("SELECT name FROM cars", gold_sql).strict
    assert scored("SELECT price FROM cars", gold_sql).strict
    assert scored("SELECT made FROM cars", gold_sql).verdict == "wrong"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gold_sql": "SELECT cost FROM cars"}, "no such column"),
        ({"gold_sql": "SELECT name FROM cars WHERE"}, "cannot be parsed"),
        ({"gold_sql": "DELETE FROM cars"}, "expected a query"),
        ({"gold_sql": "SELECT {name FROM cars"}, "brace"),
        ({"schema_sql": "CREATE cars"}, "fails in SQLite"),
        ({"database": __file__}, "cannot be read"),
    ],
)
def test_what_cannot_be_judged_counts_for_nobody(change: dict[str, str], words: str) -> None:
    row = {"id": 1, "schema_sql": SCHEMA, "gold_sql": GOLD, **change}
    found = score_item(item_of(row), GOLD, CONFIG, runner(CONFIG))
    assert (found.verdict, found.error_class, found.subset) == ("gold_invalid",) * 2 + (False,)
    assert words in (found.error or "")


def test_a_given_database_is_read_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "cars.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(SCHEMA + "; INSERT INTO cars VALUES (1, 'a', 50, NULL)")
    before = file.read_bytes()
    assert scored("SELECT 'a', 50.0", database=str(file)).verdict == "strict"
    found = scored("SELECT 'a', 51.0", database=str(file))
    assert (found.verdict, found.databases, found.mutation_score) == ("wrong", 1, None)
    assert scored("DELETE FROM cars", database=str(file)).error_class == "forbidden"
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["cars.db"]


@pytest.mark.parametrize("engine", ["duckdb"])
def test_other_engines_give_the_same_verdicts(engine: str) -> None:
    config = ScoreConfig(num_databases=3, engine=engine)
    for pred_sql in (GOLD, GOLD.replace("DESC", "ASC"), "SELEC", "SELECT 1", "DROP TABLE cars"):
        usual = scored(pred_sql, config=config.model_copy(update={"engine": "sqlite"}))
        other = scored(pred_sql, config=config)
        assert (other.verdict, other.error_class) == (usual.verdict, usual.error_class), pred_sql
        assert other.mutation_score == usual.mutation_score


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"id": 1, "schema_sql": SCHEMA}, "gold_sql"),
        ({"id": 1, "schema_sql": SCHEMA, "gold_sql": []}, "gold_sql"),
        ({"id": 1, "schema_sql": SCHEMA, "gold_sql": [3]}, "gold_sql"),
        ({"id": 1, "schema_sql": SCHEMA, "gold_sql": 5}, "gold_sql"),
        ({"id": 1, "schema_sql": SCHEMA, "gold_sql": {GOLD: 1}}, "gold_sql"),
        ({"id": 1, "schema_sql": SCHEMA + "\ud800", "gold_sql": GOLD}, "surrogate"),
        ({"schema_sql": SCHEMA, "gold_sql": GOLD}, "id"),
        ({"id": 1, "gold_sql": GOLD}, "schema_sql nor database"),
        ({"id": 1, "schema_sql": 3, "gold_sql": GOLD}, "schema_sql"),
    ],
)
def test_rows_that_are_none_are_refused(row: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        item_of(row)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("SELECT a FROM t", " SELECT  a\nFROM t ; ", True),
        ("SELECT a FROM t", "SELECT a FROM t;;", False),
        ("SELECT a FROM t", "select a from t", False),
        ("SELECT a, b FROM t", "SELECT a,b FROM t", False),
    ],
)
def test_fold_is_what_exact_match_compares(left: str, right: str, same: bool) -> None:
    assert (fold(left) == fold(right)) is same


@pytest.mark.parametrize(
    ("gold", "wrong"),
    [
        ("SELECT name FROM cars WHERE name = 'Oslo'",
         "SELECT name FROM cars WHERE name LIKE 'Oslo%'"),
        ("SELECT name FROM cars WHERE name = 'Oslo'",
         "SELECT name FROM cars WHERE name IN ('Oslo', 'Bergen')"),
        ("SELECT name FROM cars WHERE price > 5",
         "SELECT name FROM cars WHERE price > 5 LIMIT 100"),
        ("SELECT name FROM cars WHERE price > 5",
         "SELECT name FROM cars WHERE price > 5 AND price < 2000"),
        ("SELECT name FROM cars WHERE price > 5",
         "SELECT name FROM cars WHERE price > 5 OR name = 'Zzz'"),
        ("SELECT name FROM cars", "SELECT name FROM cars WHERE name IS NULL OR name <> 'Paris'"),
        ("SELECT name FROM cars", "SELECT name FROM cars LIMIT 50"),
        ("SELECT COUNT(*) FROM cars", "SELECT 32"),
        ("SELECT COUNT(*) FROM cars", "SELECT COUNT(*) FROM sales"),
        ("SELECT name FROM cars ORDER BY id", "SELECT name FROM cars"),
        ("SELECT name, COUNT(*) FROM cars GROUP BY name ORDER BY name",
         "SELECT name, COUNT(*) FROM cars GROUP BY name"),
        ("SELECT name FROM cars UNION SELECT made FROM cars ORDER BY 1",
         "SELECT name FROM cars UNION SELECT made FROM cars"),
        ("SELECT name, CAST(price AS REAL) / 9 FROM cars ORDER BY made",
         "SELECT name, CAST(price AS REAL) / 9 FROM cars ORDER BY 2"),
        ("SELECT 'price', name FROM cars ORDER BY price", "SELECT 'price', name FROM cars"),
        ("SELECT name FROM cars ORDER BY (1)", "SELECT name FROM cars ORDER BY id"),
    ],
)  # fmt: skip
def test_no_tier_for_what_a_lucky_database_would_pass(gold: str, wrong: str) -> None:
    assert scored(gold, gold).verdict == "strict"
    assert scored(wrong, gold, ScoreConfig()).verdict == "wrong"


@pytest.mark.parametrize(
    "gold_sql", ["SELECT name FROM cars WHERE price > 5", "SELECT name FROM cars ORDER BY id"]
)
def test_no_tier_for_what_runs_and_cannot_be_parsed(gold_sql: str) -> None:
    constant = "(" * 21 + "5.5" + ")" * 21
    pred_sql = gold_sql.replace("5", constant).replace("ORDER BY id", f"WHERE {constant}")
    found = scored(pred_sql, gold_sql, ScoreConfig())
    assert (found.verdict, found.error_class) == ("wrong", "unparsable")


@pytest.mark.parametrize(
    ("order", "verdict"),
    [
        ("NULL", "wrong"),
        ("'x'", "wrong"),
        ("1 + 1", "wrong"),
        ("name", "strict"),
        ("1", "strict"),
        ("NULL, name", "strict"),
    ],
)
def test_a_constant_is_no_order(order: str, verdict: str) -> None:
    gold = "SELECT name, COUNT(*) FROM cars GROUP BY name ORDER BY name"
    found = scored(gold.replace("ORDER BY name", f"ORDER BY {order}"), gold, ScoreConfig())
    assert found.verdict == verdict
    assert found.error_class == (None if verdict == "strict" else "wrong_order")


def test_a_gold_ordered_by_a_constant_asks_for_no_order() -> None:
    gold = "SELECT DISTINCT name FROM cars ORDER BY NULL"
    assert scored("SELECT DISTINCT name FROM cars WHERE 1 = 1", gold).verdict == "strict"


def test_an_order_is_asked_for_where_every_gold_does() -> None:
    golds = ["SELECT name FROM cars ORDER BY id", "SELECT name FROM cars"]
    pred_sql = "SELECT name FROM cars WHERE 1 = 1"
    for gold_sql in (golds, golds[::-1]):
        assert scored(pred_sql, gold_sql).verdict == "strict"
    found = scored(pred_sql, golds[0])
    assert (found.verdict, found.error_class) == ("wrong", "wrong_order")


def test_a_lower_tier_is_left_where_the_gold_of_the_higher_one_asks_for_an_order() -> None:
    golds = ["SELECT name, price FROM cars ORDER BY id", "SELECT price, name FROM cars"]
    assert scored("SELECT name, price FROM cars WHERE 1 = 1", golds).verdict == "equivalent"


@pytest.mark.parametrize("end", [";;", ";;; -- x", "; /* ; */ ;\n", ";--;"])
def test_closing_semicolons_and_comments_are_harmless(end: str) -> None:
    assert scored(GOLD + end).verdict == "strict"
    assert scored(f"{GOLD}{end}\n; SELECT 1").error_class == "forbidden"


@pytest.mark.parametrize(
    ("schema_sql", "gold"),
    [
        (SCHEMA, "SELECT name FROM cars WHERE made < '9999-12-31'"),
        (SCHEMA, "SELECT name FROM cars WHERE price < 9999999999999999999"),
        (SCHEMA, "SELECT EXISTS (SELECT 1 FROM cars)"),
        ("CREATE TABLE o ( a INTEGER NOT NULL, b INTEGER NOT NULL, c TEXT NOT NULL, "
         "d DATE NOT NULL, e REAL NOT NULL, f TEXT NOT NULL, g TEXT NOT NULL, h TEXT NOT NULL )",
         "SELECT DISTINCT a FROM o WHERE b > 3 ORDER BY a DESC LIMIT 5"),
        ("CREATE TABLE o ( a, b BLOB )", "SELECT a FROM o"),
    ],
)  # fmt: skip
def test_unusual_golds_are_right_by_themselves(schema_sql: str, gold: str) -> None:
    assert scored(gold, gold, schema_sql=schema_sql).verdict == "strict"


WORDS = st.sampled_from([*GOLD.replace(",", " , ").split(), *"()*1", "NOT", "NULL", "'a'"])


@settings(max_examples=150, deadline=None)
@given(pred_sql=st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=25).map(" ".join)))
def test_no_text_stops_the_scorer(pred_sql: str) -> None:
    found = scored(pred_sql, config=ScoreConfig(num_databases=2))
    assert found.verdict in {verdict.value for verdict in Verdict}
    assert json.loads(json.dumps(asdict(found)))["id"] == 1


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_slip_in_a_gold_stops_the_scorer(data: st.DataObject) -> None:
    words = GOLD.split()
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(words) - 1))
        words[place] = data.draw(WORDS)
    found = scored(" ".join(words), config=ScoreConfig(num_databases=2))
    assert found.strict <= found.equivalent <= found.subset
    assert (found.error_class is None) == found.subset


@pytest.mark.parametrize(
    ("gold_sql", "golds_invalid"),
    [
        (["SELECT cost FROM cars", "SELECT name FROM cars"], 1),
        (["SELECT name FROM cars", "SELECT FROM", "SELECT cost FROM cars"], 2),
        (["SELECT {name FROM cars", "SELECT name FROM cars"], 1),
        ("SELECT name FROM cars; SELECT cost FROM cars", 1),
        (["SELECT name FROM cars", "SELECT price FROM cars"], 0),
    ],
)
@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_golds_that_do_not_run_are_left_out_and_counted(
    gold_sql: Any, golds_invalid: int, engine: Any
) -> None:
    found = scored("SELECT name FROM cars", gold_sql, ScoreConfig(num_databases=2, engine=engine))
    assert (found.verdict, found.golds_invalid) == ("strict", golds_invalid)
    wrong = scored("SELECT made FROM cars", gold_sql, ScoreConfig(num_databases=2, engine=engine))
    assert wrong.verdict == "wrong"


def test_an_item_without_a_gold_that_runs_is_invalid() -> None:
    found = scored("SELECT name FROM cars", ["SELECT cost FROM cars", "SELECT FROM cars"])
    assert found.verdict == "gold_invalid"


def test_a_prediction_that_counts_to_many_rows_leaves_the_gold_its_verdict() -> None:
    gold = "SELECT name FROM cars AS a WHERE price > (SELECT AVG(b.price) FROM cars AS b, sales)"
    assert scored(f"{gold} LIMIT 1200", gold).verdict == "strict"


def test_the_database_of_a_row_is_planted_once_for_all_predictions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    def planted_database(row: Any, **_: Any) -> bytes:
        made.append(row["id"])
        return fill(SCHEMA, seed=0)

    monkeypatch.setattr("tinysql.evaluate.planted.planted_database", planted_database)
    records: dict[str, Any] = {"tables": [], "filters": [], "having": [], "where_form": ""}
    for pred_sql in ("SELECT name FROM cars", "SELECT price FROM cars", "SELECT made FROM cars"):
        scored(pred_sql, "SELECT MIN(name) FROM cars", **records)
    assert made == [1]
    scored("SELECT 1", "SELECT MIN(name) FROM cars", **records, id=2)
    assert made == [1, 2]
