"""Rows checked one after another, or by several processes, always in their order.

Only so many rows are in hand at a time, so memory does not grow with the source. Processes are
started from scratch: a fork of a process with threads, such as Arrow's, may hang.
"""

import multiprocessing
import signal
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from tinysql.data.interchange.check import Checked, check_row
from tinysql.data.interchange.sources import RawRow

_BATCH_ROWS = 2_000
_CHUNK_ROWS = 50


def check_rows(
    rows: Iterable[RawRow], workers: int = 1
) -> Generator[tuple[RawRow, Checked], None, None]:
    """Every row with what there is to say about it, in order."""
    if workers == 1:
        for row in rows:
            yield row, check_row(row)
        return
    left = iter(rows)
    batch = list(islice(left, _BATCH_ROWS))
    if len(batch) < _BATCH_ROWS:
        # A short source is through before another process has even started.
        yield from check_rows(batch)
        return
    with _pool(workers) as pool:
        while batch:
            bare = [replace(row, source={}) for row in batch]
            with _interrupts_held_back():
                checked = pool.map(check_row, bare, chunksize=_CHUNK_ROWS)
            yield from zip(batch, checked, strict=True)
            batch = list(islice(left, _BATCH_ROWS))


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_ignore_interrupts)
    try:
        yield pool
    except BaseException:
        # Nobody wants the rows in hand any more.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal, and only the one that started it may end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes that start meanwhile inherit this: they are deaf before they can ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
