"""Files of clean and corrupted prompt pairs: one Parquet file, or one per feature."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tinysql.data.writing import whole_file
from tinysql.errors import InputError

PAIR_SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "feature": pa.string(),
        "clean_text": pa.string(),
        "corrupted_text": pa.string(),
        "clean_ids": pa.list_(pa.int32()),
        "corrupted_ids": pa.list_(pa.int32()),
        "clean_answer": pa.string(),
        "corrupted_answer": pa.string(),
        "clean_answer_id": pa.int32(),
        "corrupted_answer_id": pa.int32(),
        "answer_position": pa.int32(),
        "foil": pa.bool_(),
        "roles": pa.list_(pa.string()),
        "changed_positions": pa.list_(pa.int32()),
    }
)
"""`answer_position` is the number of tokens of either prompt; `foil` see corruptions.py."""


def write_pairs(path: Path, pairs: list[dict[str, Any]]) -> None:
    """Write pairs in order; the same pairs give the same bytes. The file appears whole."""
    with whole_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(pairs, PAIR_SCHEMA), temporary)


def read_pairs(directory: Path) -> list[dict[str, Any]]:
    """Every pair of a directory, in order of its files' names.

    Raises InputError when it has none.
    """
    files = sorted(directory.glob("pairs*.parquet"))
    if not files:
        raise InputError(f"{directory} has no pairs: expected pairs.parquet; run the pairs step")
    return [pair for file in files for pair in pq.read_table(file).to_pylist()]
