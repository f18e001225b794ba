"""Dataset rows of one table, written by hand: select, and perhaps sort."""

from collections.abc import Mapping, Sequence
from typing import Any


def plain_row(
    row_id: int,
    question: str,
    table: str,
    columns: Mapping[str, str],
    select: Sequence[str],
    order_by: Mapping[str, str],
) -> dict[str, Any]:
    """A row that selects columns by name, sorted by columns with their directions.

    columns: SQL types by name.
    """
    declared = ", ".join(map(" ".join, columns.items()))
    keys = ", ".join(map(" ".join, order_by.items()))
    return {
        "id": row_id,
        "variant": "default",
        "question": question,
        "schema_sql": f"CREATE TABLE {table} ( {declared} )",
        "gold_sql": f"SELECT {', '.join(select)} FROM {table}"
        + (f" ORDER BY {keys}" if keys else ""),
        "tables": [{"name": table, "phrase": table}],
        "columns": [
            {"table": 0, "name": name, "type": declared, "kind": "", "key": ""}
            for name, declared in columns.items()
        ],
        "foreign_keys": [],
        "from_tables": [0],
        "joins": [],
        "select": [{"table": 0, "column": name, "aggregate": ""} for name in select],
        "distinct": False,
        "outer_aggregate": "",
        "where_form": "",
        "filters": [],
        "set_operation": "",
        "group_by": [],
        "having": [],
        "order_by": [
            {"table": 0, "column": name, "aggregate": "", "direction": direction}
            for name, direction in order_by.items()
        ],
        "limit": 0,
    }
