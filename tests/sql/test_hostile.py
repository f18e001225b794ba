"""Predictions made to do harm, each against a worker process in which writing a byte is deadly.

`hostile.jsonl` has one prediction a line: its text as `sql`, or a `build` of it, which is a text, a
list of builds in a row, or {"repeat": build, "times": n, "join": text between}, where {i} is the
number of the repetition, from 1, and {before} the one before it.
"""

import hashlib
import json
import os
import resource
import signal
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysql.evaluate.config import ScoreConfig
from tinysql.evaluate.scoring import score_all
from tinysql.sql.compare import Answer, Verdict, judge
from tinysql.sql.execute import run
from tinysql.sql.gold import answer, read_gold
from tinysql.sql.result import DEFAULT_LIMITS, Result
from tinysql.sql.sample import fill
from tinysql.sql.worker import Worker, WorkerDied

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sql" / "hostile.jsonl"
SCHEMA = (
    "CREATE TABLE shops ( id INTEGER PRIMARY KEY, city VARCHAR(20), rent DECIMAL(8,2), "
    "opened DATE, is_open BOOLEAN ); "
    "CREATE TABLE sales ( sale_id INTEGER PRIMARY KEY, amount INTEGER, "
    "shop_id INTEGER REFERENCES shops ( id ) )"
)
GOLDS = (
    "SELECT city, rent FROM shops ORDER BY rent DESC",
    "SELECT COUNT(*) FROM sales WHERE amount > 3",
    "SELECT AVG(amount) FROM sales",
    "SELECT DISTINCT amount FROM sales WHERE NOT amount IS NULL ORDER BY amount LIMIT 3",
    "SELECT t1.city, SUM(t2.amount) FROM shops AS t1 JOIN sales AS t2 ON t1.id = t2.shop_id "
    "GROUP BY t1.city",
)
# The wall clock of a query, and room for a machine that does much else.
SECONDS = DEFAULT_LIMITS.max_seconds + 20


def written(build: Any) -> str:
    """The text of a build."""
    if isinstance(build, str):
        return build
    if isinstance(build, list):
        return "".join(map(written, build))
    text, times = written(build["repeat"]), build["times"]
    parts = [text] * times
    if "{" in text:
        parts = [
            text.replace("{i}", str(number)).replace("{before}", str(number - 1))
            for number in range(1, times + 1)
        ]
    return str(build.get("join", "")).join(parts)


with FIXTURES.open(encoding="utf-8") as lines:
    CASES = [json.loads(line) for line in lines]


def sql_of(case: Any) -> str:
    return str(case["sql"]) if "sql" in case else written(case["build"])


@cache
def databases() -> list[bytes]:
    return [fill(SCHEMA, seed=seed) for seed in range(3)]


@cache
def golds() -> list[list[Answer]]:
    return [[answer(read_gold(sql), each) for each in databases()] for sql in GOLDS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database and another file, which every path in the corpus starts from."""
    folder = tmp_path_factory.mktemp("disk")
    (folder / "shops.db").write_bytes(databases()[0])
    (folder / "notes.txt").write_text("nothing to see")
    return folder


@pytest.fixture(scope="module")
def worker(folder: Path) -> Iterator[Worker]:
    """A process in that folder that dies when it writes to a file, or takes too much memory."""
    with Worker(max_memory=2**30) as worker:
        worker.call(os.chdir, folder, timeout=SECONDS)
        worker.call(signal.signal, signal.SIGXFSZ, signal.SIG_DFL, timeout=SECONDS)
        worker.call(resource.setrlimit, resource.RLIMIT_FSIZE, (0, 0), timeout=SECONDS)
        yield worker


def disk(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        file.name: (file.stat().st_mtime_ns, hashlib.sha256(file.read_bytes()).hexdigest())
        for file in folder.iterdir()
    }


def judged(worker: Worker, sql: str) -> set[Verdict]:
    return {worker.call(judge, sql, gold, timeout=SECONDS).verdict for gold in golds()}


def test_the_whole_scorer_survives_every_fifth(worker: Worker) -> None:
    config = ScoreConfig(num_databases=2, spider=True)
    row = {"id": 1, "schema_sql": SCHEMA, "gold_sql": GOLDS[0]}
    for case in CASES[::5]:
        asked = [{**row, "pred_sql": sql_of(case)}]
        (found,) = worker.call(score_all, asked, config, timeout=SECONDS)
        assert not found.subset, case["name"]


def test_corpus_has_over_two_hundred_different_predictions() -> None:
    assert len(CASES) >= 220
    assert len({case["name"] for case in CASES}) == len(CASES)
    assert len({sql_of(case) for case in CASES}) == len(CASES)


def test_golds_answer_differently_on_every_database(worker: Worker) -> None:
    for sql, gold in zip(GOLDS, golds(), strict=True):
        assert all(each.gold.rows for each in gold)
        assert len({repr(each.gold.rows) for each in gold}) > 1
        assert worker.call(judge, sql, gold, timeout=SECONDS).verdict is Verdict.STRICT


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_hostile_prediction_does_no_harm_and_does_not_score(
    case: Any, worker: Worker, folder: Path
) -> None:
    sql, before, process = sql_of(case), disk(folder), worker.call(os.getpid, timeout=SECONDS)
    result = worker.call(run, sql, databases()[0], timeout=SECONDS)
    assert isinstance(result, Result)
    if result.error is None:
        assert judged(worker, sql) <= {Verdict.WRONG, Verdict.ERROR}
    assert worker.call(os.getpid, timeout=SECONDS) == process
    assert disk(folder) == before


def test_the_worker_answers_as_before_after_all_of_them(worker: Worker) -> None:
    test_golds_answer_differently_on_every_database(worker)


def test_the_worker_would_have_died_of_a_written_byte(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(WorkerDied, match="SIGXFSZ"):
        worker.call(Path.write_bytes, tmp_path / "loot", b"x", timeout=SECONDS)


WORDS = """
    SELECT FROM WHERE shops sales city rent amount id * ( ) , ; ' " = < || + - 1 0 x'ff' NULL AND
    OR NOT IN LIKE GLOB BETWEEN CASE WHEN THEN END AS JOIN ON USING GROUP BY HAVING ORDER LIMIT
    OFFSET UNION EXCEPT ALL DISTINCT WITH RECURSIVE VALUES OVER PARTITION CAST INTEGER COLLATE
    DELETE UPDATE INSERT INTO SET DROP TABLE ATTACH PRAGMA VACUUM random() load_extension( count(
    hex( zeroblob( -- /* */ ? [ ] `
"""
TOKENS = st.sampled_from([*WORDS.split(), "\n", "\u20ac", "\x00", "\ud800"])


@given(st.one_of(st.text(), st.lists(TOKENS, max_size=30).map(" ".join)))
@settings(max_examples=400, deadline=None)
def test_run_of_any_text_is_a_result(sql: str) -> None:
    result = run(sql, databases()[0])
    assert result.error is None or not (result.columns or result.rows)


def test_run_after_memory_ran_out_has_memory_again() -> None:
    bomb = next(sql_of(case) for case in CASES if case["name"] == "exponential ctes 40")
    for _ in range(3):
        assert run(bomb, databases()[0]).error is not None
        assert run(GOLDS[-1], databases()[0]).error is None


def test_run_never_opens_the_database_it_came_from(folder: Path) -> None:
    with sqlite3.connect(folder / "shops.db") as connection:
        snapshot = connection.serialize()
    before = disk(folder)
    assert run("DELETE FROM shops", snapshot).error is not None
    assert disk(folder) == before
