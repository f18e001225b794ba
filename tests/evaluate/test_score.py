import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain_rows import plain_row

from tinysql.errors import InputError
from tinysql.evaluate.score import (
    EvaluationConfig,
    count,
    read_rows,
    score,
    summarize,
    write_predictions,
)

CONFIG = EvaluationConfig()


COLUMNS = {"price": "REAL", "name": "VARCHAR(20)", "made": "DATE"}


def make_row(number: int) -> dict[str, Any]:
    select = list(COLUMNS)[: 1 + number % 3]
    order_by = {"made": "ASC", "name": "DESC"} if number % 2 else {}
    return plain_row(100 + number, f"show {number}", "car", COLUMNS, select, order_by)


ROWS = [make_row(number) for number in range(12)]
GOLDS = [row["gold_sql"] for row in ROWS]


def metrics(rows: list[dict[str, Any]], pred_sqls: list[str]) -> dict[str, Any]:
    counted = count(score(rows, pred_sqls, CONFIG))
    return json.loads(json.dumps({**counted, "truncated": 1}))


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
    parts = [score(ROWS[i : i + 1], pred_sqls[i : i + 1], CONFIG)[0] for i in range(len(ROWS))]
    assert parts == whole


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gold_sql": "SELECT cost FROM car"}, "no such column"),
        ({"gold_sql": "DROP TABLE car"}, "expected a query"),
        ({"gold_sql": "SELECT price FROM bus"}, "no such table"),
    ],
)
def test_score_broken_row_raises_instead_of_scoring(change: dict[str, str], words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        score([{**ROWS[0], **change}], [GOLDS[0]], CONFIG)


def test_score_gold_that_is_a_constant_is_weak() -> None:
    (found,) = score([{**ROWS[0], "gold_sql": "SELECT 1"}], ["SELECT 1"], CONFIG)
    assert (found.strict, found.weak) == (True, True)


def test_write_predictions_round_trip(tmp_path: Path) -> None:
    pred_sqls = ["SELECT '\ud800'", *GOLDS[1:]]
    predictions = score(ROWS, pred_sqls, CONFIG)
    for name in ("a.parquet", "b.parquet"):
        write_predictions(tmp_path / name, predictions)
    table = pq.read_table(tmp_path / "a.parquet")
    assert {"id", "question", "schema_sql", "gold_sql", "pred_sql"} < set(table.column_names)
    assert table["gold_sql"].to_pylist() == GOLDS
    assert table["strict"].to_pylist() == [False] + [True] * 11
    assert table["component_f1"].to_pylist()[1:] == [1.0] * 11
    assert table["error"].null_count == 11
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_summarize_does_not_depend_on_the_shards() -> None:
    pred_sqls = [GOLDS[0], "SELECT 1", "", *GOLDS[3:-1], "SELECT cost FROM car"]
    whole = summarize([metrics(ROWS, pred_sqls)])
    parts = summarize([metrics(ROWS[i : i + 4], pred_sqls[i : i + 4]) for i in (0, 4, 8)])
    times = {"truncated"}
    assert {k: v for k, v in whole.items() if k not in times} == {
        k: v for k, v in parts.items() if k not in times
    }
    assert parts["truncated"] == 3
    assert whole["n"] == 12
    assert (whole["execution"]["k"], whole["execution"]["n"]) == (9, 12)
    assert 0 < whole["execution"]["low"] < 0.75 < whole["execution"]["high"] < 1
    counts = {verdict: n for verdict, n in whole["verdicts"].items() if n}
    assert counts == {"strict": 9, "wrong_join": 1, "no_sql": 1, "unknown_column": 1}
    assert whole["by_command_set"]["2"]["n"] == 6
    assert {w: each["n"] for w, each in whole["by_num_selected"].items()} == dict.fromkeys("123", 4)
    assert [each["id"] for each in whole["wrong"]] == [101, 102, 111]


def test_summarize_nothing_raises() -> None:
    with pytest.raises(ValueError, match="no shards"):
        summarize([])


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
