from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain_rows import plain_row

from tinysql.errors import InputError
from tinysql.evaluate.config import EvaluationConfig
from tinysql.evaluate.predictions import read_predictions, write_predictions
from tinysql.evaluate.score import read_rows, score

CONFIG = EvaluationConfig()


COLUMNS = {"price": "REAL", "name": "VARCHAR(20)", "made": "DATE"}


def make_row(number: int) -> dict[str, Any]:
    select = list(COLUMNS)[: 1 + number % 3]
    order_by = {"made": "ASC", "name": "DESC"} if number % 2 else {}
    return plain_row(100 + number, f"show {number}", "car", COLUMNS, select, order_by)


ROWS = [make_row(number) for number in range(12)]
GOLDS = [row["gold_sql"] for row in ROWS]


def test_score_gold_is_always_right() -> None:
    predictions = score(ROWS, GOLDS, CONFIG)
    assert all(each.strict and each.exact_match for each in predictions)
    assert {each.verdict for each in predictions} == {"strict"}


@pytest.mark.parametrize("text", ["", "SELECT 1", "SELECT 1, 2", "DROP TABLE car", "\ud800"])
def test_score_constant_answers_are_never_right(text: str) -> None:
    predictions = score(ROWS, [text] * len(ROWS), CONFIG)
    assert not any(each.subset or each.exact_match for each in predictions)


def test_score_does_not_depend_on_the_shards() -> None:
    pred_sqls = [sql.replace("ASC", "DESC") for sql in GOLDS]
    whole = score(ROWS, pred_sqls, CONFIG)
    parts = [score(ROWS[i : i + 7], pred_sqls[i : i + 7], CONFIG) for i in (0, 7)]
    assert [each for part in parts for each in part] == whole


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gold_sql": "SELECT cost FROM car"}, "no such column"),
        ({"gold_sql": "DROP TABLE car"}, "expected a query"),
        ({"gold_sql": "SELECT price FROM bus"}, "no such table"),
    ],
)
def test_score_broken_row_counts_for_nobody(change: dict[str, str], words: str) -> None:
    (found,) = score([{**ROWS[0], **change}], [GOLDS[0]], CONFIG)
    assert (found.verdict, found.subset) == ("gold_invalid", False)
    assert words in (found.error or "")


def test_score_gold_that_is_a_constant_is_weak() -> None:
    (found,) = score([{**ROWS[0], "gold_sql": "SELECT 1"}], ["SELECT 1"], CONFIG)
    assert (found.strict, found.weak) == (True, True)


def test_predictions_round_trip(tmp_path: Path) -> None:
    pred_sqls = ["SELECT '\ud800'", *GOLDS[1:]]
    predictions = score(ROWS, pred_sqls, CONFIG)
    for name in ("a.parquet", "b.parquet"):
        write_predictions(tmp_path / name, predictions)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    for row, scored in zip(read_predictions(tmp_path / "a.parquet"), predictions, strict=True):
        f1s = {name: {"f1": each["f1"]} for name, each in scored.components.items()}
        assert row == {**asdict(scored), "gold_sql": [*scored.gold_sql], "components": f1s}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for number, rows in enumerate((ROWS[:5], ROWS[5:6], ROWS[6:])):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"test-{number:05d}.parquet")
    return tmp_path


@pytest.mark.parametrize(("start", "stop"), [(0, 12), (0, 5), (4, 7), (5, 6), (11, 12)])
def test_read_rows_counts_through_the_files(dataset: Path, start: int, stop: int) -> None:
    assert read_rows(dataset, "test", start, stop) == ROWS[start:stop]


@pytest.mark.parametrize(("start", "stop"), [(0, 13), (12, 13), (3, 3), (-1, 2)])
def test_read_rows_outside_the_split_is_refused(dataset: Path, start: int, stop: int) -> None:
    with pytest.raises(InputError, match="it has 12"):
        read_rows(dataset, "test", start, stop)
