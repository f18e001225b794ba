"""What verdicts add up to, however they are split."""

import json
from typing import Any

import pytest

from tinysql.evaluate.config import ScoreConfig
from tinysql.evaluate.scoring import score_all
from tinysql.evaluate.tally import Tally, merged
from tinysql.evaluate.verdicts import Scored

SCHEMA = "CREATE TABLE cars ( name TEXT, price INTEGER )"
GOLDS = ("SELECT name FROM cars", "SELECT name, price FROM cars ORDER BY price", "SELEC")
PREDICTIONS = (*GOLDS, "SELECT price FROM cars", "", "SELECT price, name FROM cars", "SELECT 1")


@pytest.fixture(scope="module")
def scored() -> list[Scored]:
    asked = [
        {"id": number, "schema_sql": SCHEMA, "gold_sql": gold, "pred_sql": pred, "category": pred}
        for number, (gold, pred) in enumerate((g, p) for g in GOLDS for p in PREDICTIONS)
    ]
    return score_all(asked, ScoreConfig(num_databases=2))


def tally_of(scored: list[Scored]) -> Tally:
    tally = Tally()
    for each in scored:
        tally.add(each, truncated=each.pred_sql == "SELECT 1")
    return tally


def test_tally_counts_what_the_verdicts_say(scored: list[Scored]) -> None:
    summary = tally_of(scored).summary()
    valid = [each for each in scored if each.verdict != "gold_invalid"]
    assert (summary["n"], summary["gold_invalid"]) == (14, 7)
    assert summary["execution"]["k"] == sum(each.strict for each in valid) == 2
    assert summary["subset"]["k"] == sum(each.subset for each in valid)
    assert sum(summary["verdicts"].values()) == 14
    assert summary["verdicts"]["no_sql"] == 2
    assert summary["truncated"] == 2
    assert [each["id"] for each in summary["wrong"]] == [
        each.id for each in valid if not each.strict
    ]
    columns = {bucket: each["n"] for bucket, each in summary["by"]["num_selected"].items()}
    assert columns == {"1": 7, "2": 7}
    for buckets in summary["by"].values():
        assert sum(each["n"] for each in buckets.values()) == 14
        assert sum(each["execution"]["k"] for each in buckets.values()) == 2


@pytest.mark.parametrize("size", [1, 4, 21])
def test_summary_does_not_depend_on_the_shards(scored: list[Scored], size: int) -> None:
    parts: list[dict[str, Any]] = [
        json.loads(json.dumps(tally_of(scored[start : start + size]).counts()))
        for start in range(0, len(scored), size)
    ]
    assert merged(parts).summary() == tally_of(scored).summary()


def test_summary_of_nothing_has_no_rates() -> None:
    assert Tally().summary()["execution"] is None
