"""Many predictions scored in processes that can be killed, in order, after the scorer's own proof.

A prediction that stalls or crashes its process costs its own verdict and no more: its neighbors are
scored again without it. The proof runs on the first items of every run: each gold must be right as
a prediction, and constant answers must be wrong wherever a gold says something.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from queue import SimpleQueue
from typing import Any

from tinysql.evaluate.config import ScoreConfig
from tinysql.evaluate.golds import runner
from tinysql.evaluate.items import item_of
from tinysql.evaluate.verdicts import GOLD_INVALID, Scored, score_item
from tinysql.sql.worker import Worker, WorkerDied, WorkerTimeout

NEVER_RIGHT = (
    "",
    "SELECT 1",
    "SELECT NULL",
    "SELECT 1 WHERE 0",
    "DROP TABLE x",
    "DELETE FROM x",
    "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r",
)
"""Answers to no question at all."""
_PROVED_ITEMS = 8
_CHUNK = 64
_SECONDS_PER_ITEM = 60.0
_SECONDS_PER_CHUNK = 180.0

ScoreRow = Mapping[str, Any]
"""id, schema_sql or database, gold_sql, pred_sql, and perhaps more: see items.item_of."""


def score_rows(
    rows: Iterable[ScoreRow],
    config: ScoreConfig,
    *,
    workers: int = 1,
    postgres_url: str | None = None,
    advance: Callable[[int], object] = lambda _: None,
) -> Iterator[Scored]:
    """The verdict row of every row, in their order.

    Raises:
        InputError: a row is none, or names a database file that is none.
        RuntimeError: the scorer fails its own proof.
    """
    chunks = _chunks(rows)
    idle: SimpleQueue[Worker] = SimpleQueue()
    with ExitStack() as stack:
        for _ in range(workers):
            idle.put(stack.enter_context(Worker()))
        pool = stack.enter_context(ThreadPoolExecutor(workers))

        def score(chunk: Sequence[ScoreRow]) -> list[Scored]:
            worker = idle.get()
            try:
                return _score_chunk(worker, chunk, config, postgres_url)
            finally:
                idle.put(worker)

        first = next(chunks, [])
        if first:
            pool.submit(_prove, idle, first[:_PROVED_ITEMS], config, postgres_url).result()
        waiting: deque[Future[list[Scored]]] = deque()
        for chunk in _chain(first, chunks):
            waiting.append(pool.submit(score, chunk))
            if len(waiting) > 2 * workers:
                yield from _finished(waiting.popleft(), advance)
        while waiting:
            yield from _finished(waiting.popleft(), advance)


def _finished(
    future: "Future[list[Scored]]", advance: Callable[[int], object]
) -> list[Scored]:
    found = future.result()
    advance(len(found))
    return found


def _chain(
    first: Sequence[ScoreRow], chunks: Iterator[list[ScoreRow]]
) -> Iterator[Sequence[ScoreRow]]:
    if first:
        yield first
    yield from chunks


def _chunks(rows: Iterable[ScoreRow]) -> Iterator[list[ScoreRow]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _score_chunk(
    worker: Worker, chunk: Sequence[ScoreRow], config: ScoreConfig, url: str | None
) -> list[Scored]:
    try:
        return worker.call(score_all, chunk, config, url, timeout=_SECONDS_PER_CHUNK)
    except (WorkerTimeout, WorkerDied, MemoryError):
        return [_score_alone(worker, row, config, url) for row in chunk]


def score_all(
    rows: Sequence[ScoreRow], config: ScoreConfig, postgres_url: str | None = None
) -> list[Scored]:
    """The verdict rows, computed here and now."""
    run = runner(config, postgres_url)
    return [score_item(item_of(row), row["pred_sql"] or "", config, run) for row in rows]


def _score_alone(
    worker: Worker, row: ScoreRow, config: ScoreConfig, url: str | None
) -> Scored:
    try:
        return worker.call(score_all, [row], config, url, timeout=_SECONDS_PER_ITEM)[0]
    except (WorkerTimeout, WorkerDied, MemoryError) as error:
        kind = "timeout" if isinstance(error, WorkerTimeout) else "too_large"
        return _lost(worker, row, config, url, kind, f"stopped the scoring process: {error}")


def _lost(
    worker: Worker,
    row: ScoreRow,
    config: ScoreConfig,
    url: str | None,
    kind: str,
    message: str,
) -> Scored:
    """The verdict on what could not be scored: against the prediction, if the gold can be."""
    try:
        asked = [{**row, "pred_sql": ""}]
        blank = worker.call(score_all, asked, config, url, timeout=_SECONDS_PER_ITEM)
        about = {**asdict(blank[0]), "error_class": kind, "error": message}
    except (WorkerTimeout, WorkerDied, MemoryError):
        item = item_of(row)
        about = {
            "id": item.id, "verdict": GOLD_INVALID, "error_class": GOLD_INVALID, "error": message,
            "schema_sql": item.schema_sql, "gold_sql": item.golds,
        }  # fmt: skip
    return Scored(**about | {"pred_sql": str(row["pred_sql"]).encode(errors="replace").decode()})


def _prove(
    idle: "SimpleQueue[Worker]",
    rows: Sequence[ScoreRow],
    config: ScoreConfig,
    url: str | None,
) -> None:
    worker = idle.get()
    try:
        for row in rows:
            item = item_of(row)
            answers = [item.golds[0], *NEVER_RIGHT]
            asked = [{**row, "pred_sql": answer} for answer in answers]
            try:
                seconds = len(asked) * _SECONDS_PER_ITEM
                found = worker.call(score_all, asked, config, url, timeout=seconds)
            except (WorkerTimeout, WorkerDied, MemoryError):
                continue  # a hostile gold; its own verdict will say so
            check_proof(found)
    finally:
        idle.put(worker)


def check_proof(found: Sequence[Scored]) -> None:
    """Raises RuntimeError unless the first verdict is strict and all others hold no tier.

    Where the item lets both be told: see the conditions.
    """
    gold, *constants = found
    # The first gold may be one of those that do not run, be several, or answer as it likes.
    is_one = not gold.golds_invalid and not set(";{") & set(gold.pred_sql)
    if gold.verdict == GOLD_INVALID or not is_one or gold.varies:
        return
    if not gold.strict:
        raise RuntimeError(f"gold query {gold.pred_sql!r} is not right: {gold.verdict}")
    for each in constants:
        # One database may happen to answer with the constant.
        if each.subset and not each.weak and each.databases > 1:
            raise RuntimeError(f"constant answer {each.pred_sql!r} is right: {each.gold_sql[0]!r}")
