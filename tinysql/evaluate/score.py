"""An evaluation of a dataset's rows: which rows, and their verdicts.

Execution match: the answer of the gold query, in its columns and order, on several seeded databases
(the strict tier of tinysql/sql/compare.py). Exact match: the same text after blanks are folded and
one closing ";" is dropped. A row's verdict depends on the seed and the row alone, so any split into
shards gives the same.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tinysql.data.files import split_files
from tinysql.errors import InputError
from tinysql.evaluate.config import ScoreConfig
from tinysql.evaluate.scoring import score_rows
from tinysql.evaluate.verdicts import Scored

DatasetRow = Mapping[str, Any]
"""One row of a dataset, by column name."""


def read_rows(dataset: Path, split: str, start: int, stop: int) -> list[dict[str, Any]]:
    """Rows start to stop - 1 of a split, counted through its files in order of name.

    Raises InputError when the split has no such rows.
    """
    rows: list[dict[str, Any]] = []
    first = 0
    for path in split_files(dataset, split):
        num_rows = pq.read_metadata(path).num_rows
        low, high = max(start - first, 0), min(stop - first, num_rows)
        if low < high:
            rows += pq.read_table(path).slice(low, high - low).to_pylist()
        first += num_rows
    if not 0 <= start < stop or len(rows) != stop - start:
        raise InputError(
            f"rows {start} to {stop} of split {split!r}: it has {first}; ask for rows inside it"
        )
    return rows


def score(
    rows: Sequence[DatasetRow],
    pred_sqls: Sequence[str],
    config: ScoreConfig,
) -> list[Scored]:
    """The scored prediction of each row, after the scorer has passed its own proof.

    Raises RuntimeError: the scorer fails its proof.
    """
    asked = [
        {**row, "pred_sql": pred_sql} for row, pred_sql in zip(rows, pred_sqls, strict=True)
    ]
    return list(score_rows(asked, config))
