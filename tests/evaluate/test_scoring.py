"""Many predictions: in order, the same in any split, and none can take another's verdict along."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tinysql.errors import InputError
from tinysql.evaluate import scoring
from tinysql.evaluate.config import ScoreConfig
from tinysql.evaluate.scoring import check_proof, score_all, score_rows

CONFIG = ScoreConfig(num_databases=2)
SCHEMA = "CREATE TABLE cars ( name TEXT, price INTEGER )"
PREDICTIONS = (
    "SELECT name FROM cars", "SELECT name FROM cars;", "SELECT price FROM cars", "", "SELEC",
    "SELECT name, price FROM cars", "SELECT 1",
)  # fmt: skip


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": number, "schema_sql": SCHEMA, "gold_sql": "SELECT name FROM cars",
            "pred_sql": PREDICTIONS[number % len(PREDICTIONS)],
        }
        for number in range(count)
    ]  # fmt: skip


def test_verdicts_do_not_depend_on_workers_or_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = rows(30)
    alone = [score_all([row], CONFIG)[0] for row in asked]
    assert list(score_rows(asked, CONFIG)) == alone
    monkeypatch.setattr(scoring, "_CHUNK", 4)
    assert list(score_rows(iter(asked), CONFIG, workers=2)) == alone
    assert list(score_rows(asked[::-1], CONFIG)) == alone[::-1]


def test_rows_are_read_only_as_far_as_they_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_CHUNK", 2)
    read = []

    def endless() -> Iterator[dict[str, Any]]:
        number = 0
        while True:
            read.append(number)
            yield rows(1)[0] | {"id": number}
            number += 1

    found = score_rows(endless(), CONFIG)
    assert [next(found).id for _ in range(5)] == [0, 1, 2, 3, 4]
    found.close()
    assert len(read) < 20


def test_a_prediction_that_kills_its_process_costs_its_own_verdict_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoring, "score_all", deadly_score_all)
    asked = rows(10)
    asked[4]["pred_sql"] = "KILL"
    asked[6] |= {"pred_sql": "SELECT 1", "gold_sql": "KILL"}
    found = list(score_rows(asked, CONFIG))
    assert (found[4].verdict, found[4].error_class, found[4].pred_sql) == (
        "error", "too_large", "KILL"
    )  # fmt: skip
    assert "SIGKILL" in (found[4].error or "")
    assert (found[4].strict, found[4].databases, found[4].gold_sql) == (
        False, 2, ("SELECT name FROM cars",)
    )  # fmt: skip
    assert (found[6].verdict, found[6].gold_sql) == ("gold_invalid", ("KILL",))
    others = [number for number in range(10) if number not in (4, 6)]
    expected = [score_all([row], CONFIG)[0] for row in rows(10)]
    assert [found[number] for number in others] == [expected[number] for number in others]


def deadly_score_all(
    asked: list[dict[str, Any]], config: ScoreConfig, url: str | None = None
) -> Any:
    """What a crash inside C looks like from outside."""
    if any("KILL" in (row["pred_sql"], row["gold_sql"]) for row in asked):
        os.kill(os.getpid(), signal.SIGKILL)
    return score_all(asked, config, url)


def test_a_row_that_is_none_is_the_users_mistake() -> None:
    with pytest.raises(InputError, match="gold_sql"):
        list(score_rows([{"id": 1, "schema_sql": SCHEMA, "pred_sql": ""}], CONFIG))


def test_the_proof_finds_a_scorer_that_accepts_constants_or_refuses_golds() -> None:
    gold, constant = score_all(rows(7)[:1] + rows(7)[6:], CONFIG)
    check_proof([gold, constant])
    with pytest.raises(RuntimeError, match="is not right"):
        check_proof([constant, constant])
    with pytest.raises(RuntimeError, match="constant answer"):
        check_proof([gold, gold])


def test_the_proof_takes_no_chance_for_a_fault(tmp_path: Path) -> None:
    """One database may answer with a constant, and a random number is never the same."""
    with closing(sqlite3.connect(tmp_path / "one.db")) as connection:
        connection.executescript("CREATE TABLE t ( a INTEGER ); INSERT INTO t VALUES (1)")
    counted = {"id": 1, "database": str(tmp_path / "one.db"), "gold_sql": "SELECT COUNT(*) FROM t"}
    (found,) = score_rows([counted | {"pred_sql": counted["gold_sql"]}], CONFIG)
    assert found.strict
    drawn = {"id": 1, "schema_sql": SCHEMA, "gold_sql": "SELECT random() FROM cars"}
    (found,) = score_rows([drawn | {"pred_sql": "SELECT 1"}], ScoreConfig(engine="duckdb"))
    assert (found.varies, found.subset) == (True, False)


def test_fields_that_happen_to_have_the_names_of_records_are_ignored() -> None:
    extra = {"tables": ["t"], "filters": [], "having": None, "where_form": "none"}
    (found,) = score_rows([rows(1)[0] | extra], CONFIG)
    assert found.strict
    (found,) = score_rows([rows(1)[0] | extra | {"tables": [{"x": 1}], "having": []}], CONFIG)
    assert (found.verdict, "no records" in (found.error or "")) == ("gold_invalid", True)


@pytest.mark.parametrize(
    "changed", [{"PYTHONHASHSEED": "7"}, {"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Tokyo"}]
)
def test_verdicts_do_not_depend_on_hash_seed_or_locale(changed: dict[str, str]) -> None:
    program = (
        "import json, sys; from tinysql.evaluate.scoring import score_all; "
        "from tinysql.evaluate.config import ScoreConfig; "
        "print(score_all(json.load(sys.stdin), ScoreConfig(num_databases=3)))"
    )
    asked = rows(7) + [
        {"id": 9, "schema_sql": SCHEMA + "; CREATE TABLE bikes ( name TEXT, price INTEGER )",
         "gold_sql": "SELECT a.name FROM cars AS a JOIN bikes AS b ON a.name = b.name "
         "WHERE a.price > 7 ORDER BY b.price LIMIT 2",
         "pred_sql": "SELECT name FROM cars WHERE price > 7 ORDER BY price"},
    ]  # fmt: skip
    printed = [
        subprocess.run(
            [sys.executable, "-c", program], input=json.dumps(asked), text=True, check=True,
            capture_output=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env},
        ).stdout
        for env in ({"PYTHONHASHSEED": "1"}, changed)
    ]  # fmt: skip
    assert printed[0] == printed[1]
