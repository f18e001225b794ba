"""Dataset rows written by hand: shops, their sales, and the sales' refunds."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

SCHEMA = (
    "CREATE TABLE shops ( shop_id INTEGER PRIMARY KEY, city TEXT, rent DECIMAL(10,2), "
    "opened DATE, is_open BOOLEAN ); "
    "CREATE TABLE sales ( sale_id INTEGER PRIMARY KEY, amount INTEGER, sold TIMESTAMP, "
    "clerk VARCHAR(30), shop_id INTEGER REFERENCES shops ( shop_id ) ); "
    "CREATE TABLE refunds ( refund_code VARCHAR(20) PRIMARY KEY, share REAL, "
    "sale_id INTEGER REFERENCES sales ( sale_id ) )"
)
_COLUMNS = [
    (0, "shop_id", "INTEGER", "", "primary"),
    (0, "city", "TEXT", "city", ""),
    (0, "rent", "DECIMAL(10,2)", "price", ""),
    (0, "opened", "DATE", "past_date", ""),
    (0, "is_open", "BOOLEAN", "flag", ""),
    (1, "sale_id", "INTEGER", "", "primary"),
    (1, "amount", "INTEGER", "tally", ""),
    (1, "sold", "TIMESTAMP", "moment", ""),
    (1, "clerk", "VARCHAR(30)", "first_name", ""),
    (1, "shop_id", "INTEGER", "", "foreign"),
    (2, "refund_code", "VARCHAR(20)", "", "primary"),
    (2, "share", "REAL", "score", ""),
    (2, "sale_id", "INTEGER", "", "foreign"),
]
SHOPS, SALES, REFUNDS = range(3)

Filter = tuple[int, int, str, str, Sequence[str], str]


def make_row(
    sql: str,
    *,
    row_id: int = 1,
    from_tables: Sequence[int] = (SHOPS,),
    select: Sequence[tuple[int, str, str]] = ((SHOPS, "city", ""),),
    where_form: str = "A",
    filters: Sequence[Filter] = (),
    having: Sequence[tuple[int, str, str, str, str]] = (),
    group_by: Sequence[tuple[int, str]] = (),
    order_by: Sequence[tuple[int, str, str, str]] = (),
    set_operation: str = "",
    limit: int = 0,
) -> dict[str, Any]:
    """A row whose records are given in short and whose SQL must say the same."""
    links = {(SHOPS, SALES): "shop_id", (SALES, REFUNDS): "sale_id"}
    joins = [
        {"left": left, "left_column": column, "right": right, "right_column": column}
        for left, right in pairwise(from_tables)
        for column in (links.get((left, right)) or links[right, left],)
    ]
    return {
        "id": row_id,
        "command_set": 4,
        "split": "train",
        "variant": "default",
        "question": f"What does row {row_id} ask?",
        "schema_sql": SCHEMA,
        "gold_sql": sql,
        "tables": [{"name": name, "phrase": name} for name in ("shops", "sales", "refunds")],
        "columns": [
            dict(zip(("table", "name", "type", "kind", "key"), column, strict=True))
            for column in _COLUMNS
        ],
        "foreign_keys": [
            {"table": SALES, "column": "shop_id", "parent": SHOPS, "parent_column": "shop_id"},
            {"table": REFUNDS, "column": "sale_id", "parent": SALES, "parent_column": "sale_id"},
        ],
        "from_tables": list(from_tables),
        "joins": joins,
        "select": [
            {"table": table, "column": column, "aggregate": aggregate,
             "alias": f"{aggregate}_{column}" if aggregate else "", "phrase": column,
             "aggregate_phrase": ""}
            for table, column, aggregate in select
        ],
        "distinct": False,
        "outer_aggregate": "",
        "where_form": where_form if filters else "",
        "filters": [
            {"scope": scope, "table": table, "column": column, "operator": operator,
             "values": list(values), "aggregate": aggregate, "phrase": column,
             "operator_phrase": ""}
            for scope, table, column, operator, values, aggregate in filters
        ],
        "set_operation": set_operation,
        "group_by": [{"table": table, "column": column} for table, column in group_by],
        "having": [
            {"table": table, "column": column, "aggregate": aggregate, "operator": operator,
             "values": [value], "phrase": column, "aggregate_phrase": "", "operator_phrase": ""}
            for table, column, aggregate, operator, value in having
        ],
        "order_by": [
            {"table": table, "column": column, "aggregate": aggregate, "direction": direction,
             "phrase": column, "direction_phrase": ""}
            for table, column, aggregate, direction in order_by
        ],
        "limit": limit,
        "template_id": 0,
        "hardness": "easy",
        "mentions": [],
    }  # fmt: skip
