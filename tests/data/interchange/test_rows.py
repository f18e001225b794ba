"""Our rows in the formats of others."""

import json
from typing import Any

import pytest

from tinysql.data.interchange.rows import NEEDS, TINYSQL_SCHEMA, convert, left_out
from tinysql.errors import InputError


def test_tinysql_row_has_the_ten_columns_and_loads_through_json(rows: list[Any]) -> None:
    row = convert(rows[1], "tinysql-rows")
    assert list(row) == TINYSQL_SCHEMA.names
    assert (row["command_set"], row["table_name"]) == (2, "trips")
    assert row["create_statement"] == rows[1]["schema_sql"]
    assert row["english_prompt"] == rows[1]["question"]
    assert row["sql_statement"] == rows[1]["gold_sql"]
    assert json.loads(row["table_fields"]) == [
        {"name": "city", "type": "TEXT", "synonym": "city", "use_synonym": False},
        {"name": "price", "type": "INTEGER", "synonym": "cost", "use_synonym": True},
        {"name": "started_on", "type": "DATE", "synonym": "started_on", "use_synonym": False},
    ]
    assert json.loads(row["select"]) == [
        {"name": "city", "aggregate": None, "synonym": "city", "use_synonym": False},
        {"name": "price", "aggregate": None, "synonym": "cost", "use_synonym": True},
    ]
    assert json.loads(row["order_by"]) == [{"name": "price", "asc": False}]


def test_tinysql_row_tells_no_order_from_no_such_clause(rows: list[Any]) -> None:
    assert convert(rows[0], "tinysql-rows")["order_by"] is None
    unordered = rows[1] | {"order_by": []}
    assert convert(unordered, "tinysql-rows")["order_by"] == "[]"


def test_tinysql_row_names_the_table_by_its_synonym_only_when_it_is_one(rows: list[Any]) -> None:
    renamed, named = (convert(row, "tinysql-rows") for row in rows[:2])
    assert (renamed["table_name_synonym"], renamed["table_name_use_synonym"]) == ("journeys", True)
    assert (named["table_name_synonym"], named["table_name_use_synonym"]) == ("trips", False)


def test_tinysql_row_names_an_aggregate_sort_key_by_its_alias(rows: list[Any]) -> None:
    row = convert(rows[2], "tinysql-rows")
    assert json.loads(row["order_by"]) == [{"name": "SUM_price", "asc": False}]
    assert json.loads(row["select"])[0]["aggregate"] == "SUM"


def test_tinysql_row_of_a_join_is_about_the_first_table_of_from(rows: list[Any]) -> None:
    row = convert(rows[4], "tinysql-rows")
    assert row["table_name"] == "tours"
    assert [field["name"] for field in json.loads(row["table_fields"])] == [
        "tour_id", "price", "guide_id"
    ]  # fmt: skip
    assert "CREATE TABLE guides" in row["create_statement"]


def test_left_out_says_why(rows: list[Any]) -> None:
    assert left_out(rows[2], "tinysql-rows") is None
    assert left_out(rows[3], "tinysql-rows") == "command set 6"
    assert left_out(rows[0] | {"select": None}, "tinysql-rows") == "no records of the query"
    assert left_out(rows[3], "jsonl") is None


def test_other_formats_hold_the_texts(rows: list[Any]) -> None:
    question, schema_sql, gold_sql = (rows[0][n] for n in ("question", "schema_sql", "gold_sql"))
    assert convert(rows[0], "sql-create-context") == {
        "question": question, "context": schema_sql, "answer": gold_sql
    }  # fmt: skip
    line = convert(rows[0], "jsonl")
    assert set(NEEDS["jsonl"]) == set(line) >= {
        "id", "command_set", "question", "schema_sql", "gold_sql", "split", "hardness"
    }  # fmt: skip
    with pytest.raises(InputError, match="unknown format 'x'"):
        convert(rows[0], "x")
