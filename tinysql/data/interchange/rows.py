"""Our rows in the formats of others, one row at a time.

- tinysql-rows: the ten columns of the datasets that the TinySQL project (withmartian/TinySQL)
  published; `table_fields`, `select` and `order_by` are JSON texts. Its WHERE, JOIN and GROUP BY
  are in the SQL only. Where a row goes beyond the format's own generator: `create_statement` has
  every table, so that joins run; a sort key that is an aggregate is named by its alias.
- sql-create-context: question, context, answer (b-mc2/sql-create-context).
- jsonl: the columns of ours that need no other.
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tinysql.errors import InputError

Row = Mapping[str, Any]

TINYSQL_SCHEMA = pa.schema(
    [
        ("command_set", pa.int64()),
        ("table_name", pa.string()),
        ("table_name_synonym", pa.string()),
        ("table_name_use_synonym", pa.bool_()),
        ("create_statement", pa.string()),
        ("english_prompt", pa.string()),
        ("sql_statement", pa.string()),
        ("table_fields", pa.string()),
        ("select", pa.string()),
        ("order_by", pa.string()),
    ]
)
TINYSQL_SETS = range(1, 6)
"""Command sets that the ten columns can hold."""

TEXTS = ("question", "schema_sql", "gold_sql")
_RECORDS = ("tables", "columns", "from_tables", "select", "order_by")
NEEDS = {
    "tinysql-rows": ("command_set", *TEXTS, *_RECORDS),
    "sql-create-context": TEXTS,
    "jsonl": ("id", "command_set", "variant", "split", *TEXTS, "hardness"),
}
"""The columns of ours that a format is made from."""


def left_out(row: Row, row_format: str) -> str | None:
    """Why a row cannot be written in the format, or None."""
    if row_format != "tinysql-rows":
        return None
    if row.get("command_set") not in TINYSQL_SETS:
        return f"command set {row.get('command_set')}"
    if any(row.get(name) is None for name in _RECORDS) or not row["from_tables"]:
        return "no records of the query"
    return None


def convert(row: Row, row_format: str) -> Row:
    """The row as the format has it."""
    if row_format == "tinysql-rows":
        return _tinysql_row(row)
    if row_format == "sql-create-context":
        question, context, answer = (row[name] for name in TEXTS)
        return {"question": question, "context": context, "answer": answer}
    if row_format == "jsonl":
        return {name: row.get(name) for name in NEEDS["jsonl"]}
    raise InputError(f"unknown format {row_format!r}; expected one of {', '.join(NEEDS)}")


def _tinysql_row(row: Row) -> Row:
    main = row["from_tables"][0]
    table = row["tables"][main]
    phrases = {(item["table"], item["column"]): item["phrase"] for item in row["select"]}
    fields = [
        {
            "name": column["name"],
            "type": column["type"],
            **_synonym(column["name"], phrases.get((main, column["name"]))),
        }
        for column in row["columns"]
        if column["table"] == main
    ]
    select = [
        {
            "name": item["column"],
            "aggregate": item["aggregate"] or None,
            **_synonym(item["column"], item["phrase"]),
        }
        for item in row["select"]
    ]
    order_by = [
        {"name": _sort_key(key, row["select"]), "asc": key["direction"] == "ASC"}
        for key in row["order_by"]
    ]
    renamed = _synonym(table["name"], table["phrase"])
    return {
        "command_set": row["command_set"],
        "table_name": table["name"],
        "table_name_synonym": renamed["synonym"],
        "table_name_use_synonym": renamed["use_synonym"],
        "create_statement": row["schema_sql"],
        "english_prompt": row["question"],
        "sql_statement": row["gold_sql"],
        "table_fields": json.dumps(fields),
        "select": json.dumps(select),
        # Command set 1 has no such clause at all, which the format tells from an empty one.
        "order_by": None if row["command_set"] == 1 else json.dumps(order_by),
    }


def _synonym(name: str, phrase: str | None) -> dict[str, Any]:
    """The word that the question uses, and whether it is another than the name."""
    used = phrase is not None and phrase.replace(" ", "_") != name
    return {"synonym": phrase if used else name, "use_synonym": used}


def _sort_key(key: Row, select: list[Row]) -> str:
    if not key["aggregate"]:
        return key["column"]
    same = ("table", "column", "aggregate")
    aliases = (item["alias"] for item in select if all(item[name] == key[name] for name in same))
    return next(aliases, None) or f"{key['aggregate']}_{key['column']}"
