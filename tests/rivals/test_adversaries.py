import sqlite3
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from rivals.adversaries import Adversary, Effect, adversaries
from rivals.oracle import Database, databases_for, differs, tells

from tinysql.data.dataset import COMMAND_SETS, DatasetConfig
from tinysql.data.generate import generate_rows

SCHEMA = (
    "CREATE TABLE shops ( id INTEGER PRIMARY KEY, city VARCHAR(20), rent DECIMAL(8,2) ); "
    "CREATE TABLE sales ( sale_id INTEGER PRIMARY KEY, amount INTEGER, "
    "shop_id INTEGER REFERENCES shops ( id ) )"
)
NUM_ROWS = 16
CONFIG = DatasetConfig(
    command_sets=tuple(COMMAND_SETS), max_columns=8, train_rows=NUM_ROWS, validation_rows=1,
    test_rows=1,
)  # fmt: skip
# What no gold can have more than one answer to.
SURE = {
    "garbage appended", "column dropped", "empty", "SELECT 1", "NULL", "SELECT 1 WHERE 0",
    "DROP TABLE", "DELETE", "endless",
}  # fmt: skip


@cache
def rows() -> list[Mapping[str, Any]]:
    return generate_rows(CONFIG, "train", np.arange(NUM_ROWS)).to_pylist()


@cache
def databases(number: int) -> list[Database]:
    row = rows()[number]
    return databases_for(row["gold_sql"], row["schema_sql"], num_databases=16)


def made_of(number: int, effect: Effect) -> list[Adversary]:
    row = rows()[number]
    made = adversaries(row["gold_sql"], row["schema_sql"])
    return [each for each in made if each.effect is effect]


@pytest.mark.parametrize("number", range(NUM_ROWS))
def test_kept_meaning_never_differs(number: int) -> None:
    gold_sql = rows()[number]["gold_sql"]
    assert tells(gold_sql, databases(number))
    for each in made_of(number, Effect.KEPT):
        assert not differs(gold_sql, each.sql, databases(number)), each


@pytest.mark.parametrize("number", range(NUM_ROWS))
def test_sure_changes_differ(number: int) -> None:
    gold_sql = rows()[number]["gold_sql"]
    for each in made_of(number, Effect.CHANGED):
        if each.name in SURE:
            assert differs(gold_sql, each.sql, databases(number)), each


def test_most_changes_differ_and_every_kind_does_somewhere() -> None:
    total, different = Counter[str](), Counter[str]()
    for number, row in enumerate(rows()):
        for each in made_of(number, Effect.CHANGED):
            total[each.name] += 1
            different[each.name] += differs(row["gold_sql"], each.sql, databases(number))
    assert set(total) == {name for name, count in different.items() if count}
    assert different.total() > 0.8 * total.total()


def names(gold_sql: str, effect: Effect) -> set[str]:
    return {each.name for each in adversaries(gold_sql, SCHEMA) if each.effect is effect}


def test_adversaries_are_different_texts_and_never_the_gold() -> None:
    for row in rows():
        made = adversaries(row["gold_sql"], row["schema_sql"])
        texts = [each.sql for each in made]
        assert len(set(texts)) == len(texts)
        assert row["gold_sql"] not in texts
        assert max(Counter(each.name for each in made).values()) <= 3


def test_adversaries_apply_where_the_gold_has_the_clause() -> None:
    simple = names("SELECT city FROM shops", Effect.CHANGED)
    ordered = names("SELECT city FROM shops ORDER BY rent ASC, city DESC LIMIT 3", Effect.CHANGED)
    assert ordered - simple >= {"ORDER BY dropped", "sort keys rotated", "all directions flipped"}
    assert "column order" in {
        each.name for each in adversaries("SELECT city, rent FROM shops", SCHEMA)
    }


def test_flipped_directions_are_all_that_changes() -> None:
    gold_sql = "SELECT city, rent FROM shops ORDER BY city DESC, rent ASC"
    made = {each.name: each.sql for each in adversaries(gold_sql, SCHEMA)}
    flipped = "SELECT city, rent FROM shops ORDER BY city ASC, rent DESC"
    assert made["all directions flipped"] == flipped
    assert made["last direction flipped"] == gold_sql.replace("ASC", "DESC")
    assert made["sort keys rotated"].endswith("ORDER BY rent ASC, city DESC")


def test_rewordings_leave_literals_alone() -> None:
    gold_sql = "SELECT city FROM shops WHERE city = 'Sao Paulo  T1' AND rent > 3"
    kept = [each for each in adversaries(gold_sql, SCHEMA) if each.effect is Effect.KEPT]
    assert {each.name for each in kept} >= {"case", "blanks", "AND or OR commuted"}
    assert all("'Sao Paulo  T1'" in each.sql for each in kept)


@pytest.mark.parametrize(
    ("gold_sql", "pred_sql", "expected"),
    [
        ("SELECT city FROM shops", "SELECT city FROM shops ORDER BY rent", False),
        ("SELECT city FROM shops", "SELECT DISTINCT city FROM shops", True),
        ("SELECT city FROM shops ORDER BY city", "SELECT city FROM shops", True),
        ("SELECT city FROM shops ORDER BY city", "SELECT city FROM shops ORDER BY 1", False),
        ("SELECT city FROM shops ORDER BY rent", "SELECT city FROM shops ORDER BY rent, id", False),
        ("SELECT city, rent FROM shops", "SELECT rent, city FROM shops", True),
        ("SELECT COUNT(*) FROM shops", "SELECT COUNT(id) FROM shops", False),
        ("SELECT COUNT(*) FROM shops", "SELECT COUNT(city) FROM shops", True),
        ("SELECT rent FROM shops WHERE rent > 7", "SELECT rent FROM shops WHERE rent >= 7", True),
        ("SELECT city FROM shops WHERE city LIKE 'Os%'", "SELECT 'Os'", True),
        ("SELECT amount FROM sales JOIN shops ON shop_id = id", "SELECT amount FROM sales", True),
        ("SELECT city FROM shops", "DELETE FROM shops", True),
        ("SELECT city FROM shops", "SELECT city FROM shops; SELECT 1", True),
        ("SELECT city FROM shops", "", True),
    ],
)
def test_oracle_tells_what_a_person_would(gold_sql: str, pred_sql: str, expected: bool) -> None:
    assert differs(gold_sql, pred_sql, databases_for(gold_sql, SCHEMA)) is expected


def test_oracle_says_nothing_about_ties() -> None:
    constant = "SELECT city FROM shops ORDER BY 'x'"
    databases = databases_for(constant, SCHEMA)
    assert not tells(constant, [each for each in databases if _has_many_cities(each)])


def _has_many_cities(database: Database) -> bool:
    connection = sqlite3.connect(":memory:")
    connection.deserialize(database.forward)
    return bool(connection.execute("SELECT COUNT(DISTINCT city) > 4 FROM shops").fetchone()[0])
