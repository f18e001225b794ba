import ctypes
import importlib
import itertools
import operator
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinysql.sql.execute import run
from tinysql.sql.sample import fill
from tinysql.sql.worker import Worker, WorkerDied, WorkerTimeout

SECONDS = 20.0
ENDLESS = [
    pytest.param(re.fullmatch, ("(a+)+b", "a" * 60), id="regular expression"),
    pytest.param(sum, (itertools.repeat(1),), id="iterator"),
    pytest.param(pow, (7, 10**9), id="big number"),
    pytest.param(time.sleep, (3600,), id="sleep"),
]


def is_alive(process: int) -> bool:
    """Whether it runs; one that ended and waits for its parent does not."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def wait_until_gone(process: int) -> None:
    deadline = time.monotonic() + SECONDS
    while is_alive(process):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_call_answers_from_another_process() -> None:
    with Worker() as worker:
        first, second = (worker.call(os.getpid, timeout=SECONDS) for _ in range(2))
    assert first == second != os.getpid()


def test_call_scores_a_query_as_this_process_does() -> None:
    schema, sql = "CREATE TABLE t ( a INTEGER, b TEXT )", "SELECT b, COUNT(*) FROM t GROUP BY b"
    database = fill(schema, seed=0)
    with Worker() as worker:
        assert worker.call(run, sql, database, timeout=SECONDS) == run(sql, database)


@pytest.mark.parametrize(("function", "args"), ENDLESS)
def test_call_endless_inside_c_times_out_and_the_next_answers(function, args) -> None:  # type: ignore[no-untyped-def]
    with Worker() as worker:
        process = worker.call(os.getpid, timeout=SECONDS)
        began = time.monotonic()
        with pytest.raises(WorkerTimeout):
            worker.call(function, *args, timeout=0.3)
        assert time.monotonic() - began < SECONDS
        assert not is_alive(process)
        assert worker.call(operator.add, 2, 3, timeout=SECONDS) == 5


@pytest.mark.parametrize(
    ("function", "args", "words"),
    [
        (ctypes.string_at, (0,), "SIGSEGV"),
        (os.abort, (), "SIGABRT"),
        (os._exit, (3,), "exit code 3"),
        (exec, ("raise SystemExit(4)",), "exit code 4"),
        (signal.raise_signal, (signal.SIGKILL,), "SIGKILL"),
    ],
)
def test_call_that_ends_the_process_dies_and_the_next_answers(  # type: ignore[no-untyped-def]
    function, args, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Worker() as worker:
        with pytest.raises(WorkerDied, match=words):
            worker.call(function, *args, timeout=SECONDS)
        assert worker.call(operator.add, 2, 3, timeout=SECONDS) == 5
    assert list(tmp_path.iterdir()) == [], "no core file"


def test_worker_killed_from_outside_between_calls_starts_again() -> None:
    with Worker() as worker:
        process = worker.call(os.getpid, timeout=SECONDS)
        os.kill(process, signal.SIGKILL)
        wait_until_gone(process)
        assert worker.call(os.getpid, timeout=SECONDS) != process


def test_call_over_the_memory_is_an_error_and_the_process_goes_on() -> None:
    with Worker(max_memory=2**30) as worker:
        process = worker.call(os.getpid, timeout=SECONDS)
        with pytest.raises(MemoryError):
            worker.call(bytes, 2**31, timeout=SECONDS)
        assert worker.call(os.getpid, timeout=SECONDS) == process


def test_call_raises_what_the_function_raises() -> None:
    with Worker() as worker:
        with pytest.raises(ZeroDivisionError) as caught:
            worker.call(operator.truediv, 1, 0, timeout=SECONDS)
        assert "In the worker process" in "".join(caught.value.__notes__)
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            worker.call(sqlite3.connect, "/nowhere/at all", timeout=SECONDS)


def test_call_does_not_time_the_import_of_the_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import time\ntime.sleep(1)\ndef answer(): return 42\n"
    (tmp_path / "slow_to_import.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    answer = importlib.import_module("slow_to_import").answer
    with Worker() as worker:
        assert worker.call(answer, timeout=0.5) == 42
        with pytest.raises(WorkerTimeout):
            worker.call(time.sleep, 3600, timeout=0.05)
        assert worker.call(answer, timeout=0.5) == 42


def test_call_returns_what_does_not_pickle_as_an_error() -> None:
    with Worker() as worker, pytest.raises(TypeError, match="pickle"):
        worker.call(sqlite3.connect, ":memory:", timeout=SECONDS)


def test_call_carries_megabytes_both_ways() -> None:
    text = "x" * 5_000_000
    with Worker() as worker:
        assert worker.call(operator.concat, text, text, timeout=SECONDS) == text + text


def test_close_ends_the_child_and_a_second_close_does_nothing() -> None:
    worker = Worker()
    worker.close()
    process = worker.call(os.getpid, timeout=SECONDS)
    worker.close()
    worker.close()
    assert not is_alive(process)


def test_worker_leaves_no_descriptors_and_no_processes() -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with Worker() as worker, pytest.raises(WorkerTimeout):
            worker.call(time.sleep, 3600, timeout=0.05)
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_child_of_a_killed_parent_ends_even_inside_c() -> None:
    program = (
        "import os, itertools; from tinysql.sql.worker import Worker; worker = Worker(); "
        "print(worker.call(os.getpid, timeout=60), flush=True); "
        "worker.call(sum, itertools.repeat(1), timeout=1)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until_gone(child)


def test_importing_the_module_is_cheap() -> None:
    program = "import tinysql.sql.worker, sys; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert not {"numpy", "sqlglot", "pyarrow", "torch", "duckdb"} & set(modules)
