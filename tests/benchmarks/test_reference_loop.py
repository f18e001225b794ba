"""The loop we measure against does the work it stands for."""

import json
import sqlite3
from contextlib import closing

import pytest
from reference_loop import ReferenceLoop
from reference_records import BatchItem, batchitem_to_dict


def items(command_set: int, num_rows: int = 300) -> list[BatchItem]:
    return list(ReferenceLoop(command_set).items(num_rows))


@pytest.mark.parametrize("command_set", [1, 2, 3, 4])
def test_queries_over_one_table_run(command_set: int) -> None:
    for item in items(command_set):
        with closing(sqlite3.connect(":memory:")) as database:
            database.execute(item.create_statement)
            database.execute(item.sql_statement)


def test_clauses_come_as_often_as_in_the_original() -> None:
    ordered = [bool(item.order_by) for item in items(2)]
    assert ordered == [number < 270 for number in range(300)]
    last = items(5)
    assert sum(bool(item.order_by) for item in last) == pytest.approx(270, abs=25)
    assert sum(bool(item.where) for item in last) == pytest.approx(240, abs=30)
    assert 150 < sum(item.join is not None for item in last) < 290


@pytest.mark.parametrize("command_set", range(1, 6))
def test_question_names_every_selected_column_and_the_table(command_set: int) -> None:
    for item in items(command_set):
        assert item.table_name.english in item.english_prompt
        assert all(each.english in item.english_prompt for each in item.select)


@pytest.mark.parametrize("command_set", range(1, 6))
def test_row_has_the_ten_columns_and_its_lists_load(command_set: int) -> None:
    for item in items(command_set, 20):
        row = batchitem_to_dict(item)
        assert len(row) == 10
        names = [each["name"] for each in json.loads(row["table_fields"])]
        assert all(each["name"] in names for each in json.loads(row["select"]))
        assert (row["order_by"] is None) == (command_set == 1)
