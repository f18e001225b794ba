"""The verdict rows of an evaluation as a Parquet file."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from tinysql.evaluate.verdicts import Scored

PREFIX = "predictions-"
"""How the names of the files of an evaluation start; a number follows."""
_TEXTS = (
    "question", "schema_sql", "pred_sql", "verdict", "error_class", "error", "hardness",
    "category", "split",
)  # fmt: skip
_TRUTHS = (
    "strict", "equivalent", "subset", "weak", "varies", "exact_match", "canonical_match"
)  # fmt: skip
_NUMBERS = ("command_set", "num_tables", "num_selected", "databases", "golds_invalid")
_SHARES = ("precision", "mutation_score")
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("gold_sql", pa.list_(pa.string())),
        *((name, pa.string()) for name in _TEXTS),
        *((name, pa.bool_()) for name in _TRUTHS),
        *((name, pa.int32()) for name in _NUMBERS),
        *((name, pa.float64()) for name in _SHARES),
        ("component_f1", pa.map_(pa.string(), pa.float64())),
        ("spider", pa.map_(pa.string(), pa.float64())),
    ]
)


def write_predictions(path: Path, predictions: Sequence[Scored]) -> None:
    """Write verdict rows, in order; the same rows give the same bytes."""
    table = pa.Table.from_pylist([_as_row(each) for each in predictions], SCHEMA)
    pq.write_table(table, path)


def read_predictions(file: Path | BinaryIO) -> list[dict[str, Any]]:
    """The verdict rows in a file, with the F1 of each component only."""
    rows = pq.read_table(file).to_pylist(maps_as_pydicts="strict")
    for row in rows:
        row["components"] = {name: {"f1": f1} for name, f1 in row.pop("component_f1").items()}
    return rows


def read_evaluation(folder: Path) -> list[dict[str, Any]]:
    """The verdict rows of a whole evaluation, in order."""
    files = sorted(folder.glob(f"{PREFIX}*.parquet"))
    return [row for file in files for row in read_predictions(file)]


def _as_row(scored: Scored) -> dict[str, Any]:
    row = {each.name: getattr(scored, each.name) for each in fields(scored)}
    f1s = {name: score["f1"] for name, score in row.pop("components").items()}
    return row | {"component_f1": f1s}
