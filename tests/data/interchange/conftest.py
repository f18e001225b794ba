"""A dataset of ours, written by hand, and the folder of hand-written sources."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SOURCES = Path(__file__).parent / "sources"

_COLUMN = pa.struct(
    [("table", pa.int8()), ("name", pa.string()), ("type", pa.string()),
     ("kind", pa.string()), ("key", pa.string())]
)  # fmt: skip
_SELECT = pa.struct(
    [("table", pa.int8()), ("column", pa.string()), ("aggregate", pa.string()),
     ("alias", pa.string()), ("phrase", pa.string()), ("aggregate_phrase", pa.string())]
)  # fmt: skip
_ORDER = pa.struct(
    [("table", pa.int8()), ("column", pa.string()), ("aggregate", pa.string()),
     ("direction", pa.string()), ("phrase", pa.string()), ("direction_phrase", pa.string())]
)  # fmt: skip
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("command_set", pa.int8()),
        ("split", pa.string()),
        ("variant", pa.string()),
        ("question", pa.string()),
        ("schema_sql", pa.string()),
        ("gold_sql", pa.string()),
        ("tables", pa.list_(pa.struct([("name", pa.string()), ("phrase", pa.string())]))),
        ("columns", pa.list_(_COLUMN)),
        ("from_tables", pa.list_(pa.int8())),
        ("select", pa.list_(_SELECT)),
        ("order_by", pa.list_(_ORDER)),
        ("hardness", pa.string()),
    ]
)
TRIPS = "CREATE TABLE trips ( city TEXT, price INTEGER, started_on DATE )"
TWO_TABLES = (
    "CREATE TABLE guides ( guide_id INTEGER PRIMARY KEY, full_name TEXT ); "
    "CREATE TABLE tours ( tour_id INTEGER PRIMARY KEY, price INTEGER, "
    "guide_id INTEGER REFERENCES guides ( guide_id ) )"
)


def column(table: int, name: str, declared: str, key: str = "") -> dict[str, Any]:
    return {"table": table, "name": name, "type": declared, "kind": "", "key": key}


def item(
    name: str, phrase: str | None = None, aggregate: str = "", table: int = 0
) -> dict[str, Any]:
    alias = f"{aggregate}_{name}" if aggregate else ""
    words = {"phrase": phrase or name, "aggregate_phrase": "total" if aggregate else None}
    return {"table": table, "column": name, "aggregate": aggregate, "alias": alias, **words}


def key(name: str, direction: str, aggregate: str = "", table: int = 0) -> dict[str, Any]:
    words = {"phrase": name, "direction_phrase": "descending"}
    return {"table": table, "column": name, "aggregate": aggregate, "direction": direction, **words}


def trip_row(number: int, command_set: int, question: str, gold_sql: str, **more: Any) -> Any:
    row = {
        "id": number,
        "command_set": command_set,
        "split": "train",
        "variant": "default",
        "question": question,
        "schema_sql": TRIPS,
        "gold_sql": gold_sql,
        "tables": [{"name": "trips", "phrase": "trips"}],
        "columns": [
            column(0, "city", "TEXT"),
            column(0, "price", "INTEGER"),
            column(0, "started_on", "DATE"),
        ],
        "from_tables": [0],
        "select": [item("city")],
        "order_by": [],
        "hardness": "easy",
    }
    return row | more


ROWS = [
    trip_row(0, 1, "List the city of all journeys.", "SELECT city FROM trips",
             tables=[{"name": "trips", "phrase": "journeys"}]),
    trip_row(1, 2, "List city and cost of trips, cost descending.",
             "SELECT city, price FROM trips ORDER BY price DESC",
             select=[item("city"), item("price", "cost")], order_by=[key("price", "DESC")]),
    trip_row(2, 3, "Total price per city of trips, by total price descending.",
             "SELECT SUM(price) AS SUM_price, city FROM trips GROUP BY city "
             "ORDER BY SUM_price DESC",
             select=[item("price", aggregate="SUM"), item("city")],
             order_by=[key("price", "DESC", "SUM")], hardness="medium"),
    trip_row(3, 6, "Which different cities have trips?", "SELECT DISTINCT city FROM trips"),
    trip_row(4, 5, "List the price and the full_name of the guide of every tour.",
             "SELECT t1.price, t2.full_name FROM tours AS t1 JOIN guides AS t2 "
             "ON t1.guide_id = t2.guide_id",
             split="test", schema_sql=TWO_TABLES, hardness="medium",
             tables=[{"name": "guides", "phrase": "guide"}, {"name": "tours", "phrase": "tour"}],
             columns=[column(0, "guide_id", "INTEGER", "primary"), column(0, "full_name", "TEXT"),
                      column(1, "tour_id", "INTEGER", "primary"), column(1, "price", "INTEGER"),
                      column(1, "guide_id", "INTEGER", "foreign")],
             from_tables=[1, 0],
             select=[item("price", table=1), item("full_name", table=0)]),
]  # fmt: skip


def write_dataset(folder: Path, rows: list[Any]) -> Path:
    """Write rows as {split}-00000.parquet below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in {row["split"] for row in rows}:
        table = pa.Table.from_pylist([row for row in rows if row["split"] == split], SCHEMA)
        pq.write_table(table, folder / f"{split}-00000.parquet")
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Five rows of command sets 1, 2, 3, 6 (train) and 5 (test)."""
    return write_dataset(tmp_path / "dataset", ROWS)


@pytest.fixture
def rows() -> list[Any]:
    """The rows of the dataset."""
    return [dict(row) for row in ROWS]


@pytest.fixture
def sources() -> Path:
    """The folder of hand-written files of every format that is imported."""
    return SOURCES
