"""The paper variant keeps the published grammar, format and, under the published rules, scores."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from textual_scorers import score

from tinysql.data.dataset import PAPER_COMMAND_SETS, DatasetConfig
from tinysql.data.generate import generate_shard
from tinysql.data.interchange.config import ExportConfig
from tinysql.data.interchange.export import export_dataset

NUM_ROWS = 2_000
SCORED = (1, 2, 3)
"""Command sets that the published scorers know."""
LISTS = {
    "table_fields": {"name", "type", "synonym", "use_synonym"},
    "select": {"name", "aggregate", "synonym", "use_synonym"},
    "order_by": {"name", "asc"},
}

Row = dict[str, Any]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Row]]:
    """Rows in the ten-column format by command set."""
    return {
        command_set: export(command_set, tmp_path_factory.mktemp("dataset"))
        for command_set in PAPER_COMMAND_SETS
    }


def export(command_set: int, folder: Path) -> list[Row]:
    config = DatasetConfig(
        command_sets=(command_set,), variant="paper", max_columns=12,
        table_synonym_rate=0.8, column_synonym_rate=0.5,
    )
    generate_shard(
        folder, config=config, split="train", start=0, stop=NUM_ROWS,
        file_name="train-00000.parquet",
    )
    export_dataset(folder, folder / "out", ExportConfig(format="tinysql-rows"))
    (file,) = (folder / "out").iterdir()
    rows = pq.read_table(file).to_pylist()
    assert len(rows) == NUM_ROWS
    return rows


@pytest.mark.parametrize("command_set", SCORED)
def test_gold_scores_exactly_one(
    exported: dict[int, list[Row]], command_set: int
) -> None:
    rows = exported[command_set]
    wrong = [row for row in rows if score(command_set, row, row["sql_statement"]) != 1.0]
    assert wrong == []


@pytest.mark.parametrize("command_set", SCORED)
def test_gold_of_another_row_scores_less(
    exported: dict[int, list[Row]], command_set: int
) -> None:
    rows = exported[command_set]
    for row, other in zip(rows, rows[1:], strict=False):
        if row["sql_statement"] != other["sql_statement"]:
            assert score(command_set, row, other["sql_statement"]) < 1.0


@pytest.mark.parametrize("command_set", PAPER_COMMAND_SETS)
def test_lists_load_with_the_published_keys(
    exported: dict[int, list[Row]], command_set: int
) -> None:
    rows = exported[command_set]
    assert {row["command_set"] for row in rows} == {command_set}
    for row in rows:
        assert (row["order_by"] is None) == (command_set == 1)
        loaded = {name: json.loads(row[name] or "[]") for name in LISTS}
        assert all(set(each) == LISTS[name] for name, found in loaded.items() for each in found)
        fields = [each["name"] for each in loaded["table_fields"]]
        assert 2 <= len(fields) == len(set(fields)) <= 12
        selected = [each["name"] for each in loaded["select"]]
        assert selected
        assert {*selected, *(each["name"] for each in loaded["order_by"])} <= {*fields}


@pytest.mark.parametrize("command_set", PAPER_COMMAND_SETS)
def test_clauses_are_written_as_published(
    exported: dict[int, list[Row]], command_set: int
) -> None:
    rows = exported[command_set]
    for row in rows:
        sql = row["sql_statement"]
        select = ", ".join(map(select_item, json.loads(row["select"])))
        assert sql.startswith(f"SELECT {select} FROM {row['table_name']}")
        assert f"CREATE TABLE {row['table_name']} ( " in row["create_statement"]
        assert row["create_statement"].count("CREATE TABLE") == 1 + (" JOIN " in sql)
        assert ";" not in sql
        assert not {"GROUP", "HAVING", "LIMIT", "DISTINCT", "OR", "NOT"} & set(sql.split())
        assert (" WHERE " in sql) <= (command_set >= 4)
        assert (" JOIN " in sql) <= (command_set == 5)
        keys = json.loads(row["order_by"] or "[]")
        if keys:
            assert sql.endswith(f" ORDER BY {', '.join(map(sort_key, keys))}")
            assert len({key["asc"] for key in keys}) == 1
        else:
            assert "ORDER BY" not in sql


def select_item(item: Row) -> str:
    name, aggregate = item["name"], item["aggregate"]
    return f"{aggregate}({name}) AS {aggregate}_{name}" if aggregate else name


def sort_key(key: Row) -> str:
    return f"{key['name']} {'ASC' if key['asc'] else 'DESC'}"


@pytest.mark.parametrize("command_set", PAPER_COMMAND_SETS)
def test_aggregates_stand_beside_bare_columns_in_command_set_3_only(
    exported: dict[int, list[Row]], command_set: int
) -> None:
    rows = exported[command_set]
    aggregates = Counter(
        item["aggregate"] for row in rows for item in json.loads(row["select"])
    )
    if command_set == 3:
        assert set(aggregates) == {None, "COUNT", "SUM", "AVG", "MIN", "MAX"}
    else:
        assert set(aggregates) == {None}


@pytest.mark.parametrize("command_set", PAPER_COMMAND_SETS)
def test_clauses_come_as_often_as_published(
    exported: dict[int, list[Row]], command_set: int
) -> None:
    rows = exported[command_set]
    shares = {
        clause: sum(clause in row["sql_statement"] for row in rows) / NUM_ROWS
        for clause in (" ORDER BY ", " WHERE ", " JOIN ")
    }
    assert shares[" ORDER BY "] == pytest.approx(0.9 if command_set >= 2 else 0, abs=0.03)
    assert shares[" WHERE "] == pytest.approx(0.8 if command_set >= 4 else 0, abs=0.04)
    if command_set == 5:
        assert shares[" JOIN "] == pytest.approx(0.73, abs=0.15)  # it hangs on the columns' types
