"""Rows checked one after another, or by several processes, always in their order.

Only so many rows are in hand at a time, so memory does not grow with the source. Processes are
started from scratch: a fork of a process with threads, such as Arrow's, may hang.
"""

import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice

from tinysql.data.interchange.check import Checked, check_row
from tinysql.data.interchange.sources import RawRow

_BATCH_ROWS = 2_000
_CHUNK_ROWS = 50


def check_rows(rows: Iterable[RawRow], workers: int = 1) -> Iterator[tuple[RawRow, Checked]]:
    """Every row with what there is to say about it, in order."""
    if workers == 1:
        for row in rows:
            yield row, check_row(row)
        return
    left = iter(rows)
    with ExitStack() as stack:
        pool = None
        while batch := list(islice(left, _BATCH_ROWS)):
            if pool is None and len(batch) < _BATCH_ROWS:
                # A short source is through before another process has even started.
                yield from check_rows(batch)
                return
            pool = pool or stack.enter_context(
                ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
            )
            bare = [replace(row, source={}) for row in batch]
            yield from zip(batch, pool.map(check_row, bare, chunksize=_CHUNK_ROWS), strict=True)
