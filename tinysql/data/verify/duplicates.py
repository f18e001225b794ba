"""Rows of a dataset that are there twice: ids, questions and queries, over all its files at once.

Questions and queries are compared together with their schema, by hashes of 64 bits. What is kept is
25 bytes per row, so 100 million rows take 2.5 GB; texts are read batch by batch.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

_BATCH_ROWS = 10_000
_MOST_EXAMPLES = 5
_COLUMNS = ["id", "split", "question", "gold_sql", "schema_sql"]


def find_duplicates(files: Sequence[Path]) -> dict[str, Any]:
    """How many rows share an id, a question or a query, in the form of verify_files's result.

    The counts: rows whose id an earlier row has (`repeated.id`); rows that say the same as another
    one in the same split (`repeated.question`, `repeated.query`) and in another split
    (`leaked.question`, `leaked.query`).
    """
    ids, splits, questions, queries = _read(files)
    counts: dict[str, int] = {"duplicates.rows": len(ids)}
    examples: dict[str, list[dict[str, Any]]] = {}
    no_split = np.zeros_like(splits)
    for name, keys, owner in (
        ("id", ids.view(np.uint64), no_split),
        ("question", questions, splits),
        ("query", queries, splits),
    ):
        order = np.lexsort((owner, keys))
        same = keys[order][1:] == keys[order][:-1]
        same_split = owner[order][1:] == owner[order][:-1]
        for what, found in (("repeated", same & same_split), ("leaked", same & ~same_split)):
            if what == "leaked" and name == "id":
                continue
            counts[f"{what}.{name}"] = int(found.sum())
            examples[f"{what}.{name}"] = [
                {"id": int(ids[order[at + 1]]), "message": f"as row {ids[order[at]]}"}
                for at in np.flatnonzero(found)[:_MOST_EXAMPLES]
            ]
    return {"counts": counts, "examples": {key: rows for key, rows in examples.items() if rows}}


def _read(
    files: Iterable[Path],
) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.uint64], NDArray[np.uint64]]:
    """Ids, split numbers, and hashes of question and of query, of all rows."""
    number_of: dict[str, int] = {}
    ids, splits, questions, queries = [], [], [], []
    for file in files:
        with pq.ParquetFile(file) as source:
            for batch in source.iter_batches(_BATCH_ROWS, columns=_COLUMNS):
                columns = [batch.column(name).to_pylist() for name in _COLUMNS]
                ids.append(np.array(columns[0], np.int64))
                numbers = [number_of.setdefault(name, len(number_of)) for name in columns[1]]
                splits.append(np.array(numbers, np.int8))
                questions.append(_hashes(columns[2], columns[4]))
                queries.append(_hashes(columns[3], columns[4]))
    return (
        np.concatenate([np.empty(0, np.int64), *ids]),
        np.concatenate([np.empty(0, np.int8), *splits]),
        np.concatenate([np.empty(0, np.uint64), *questions]),
        np.concatenate([np.empty(0, np.uint64), *queries]),
    )


def _hashes(texts: Sequence[str], schemas: Sequence[str]) -> NDArray[np.uint64]:
    joined = (f"{text}\0{schema}".encode() for text, schema in zip(texts, schemas, strict=True))
    digests = b"".join(hashlib.blake2b(data, digest_size=8).digest() for data in joined)
    return np.frombuffer(digests, np.uint64)
