"""One owner at a time, whatever dies, stalls or disagrees about the time."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.errors import IntegrityError, LeaseLost
from cluster.lease import hold, is_claimed
from cluster.store import Store, open_store

KEY = "model/x-0123456789ab/lease.json"
HOLDER = """
import sys, time
from cluster.lease import hold
from cluster.store import open_store
with hold(open_store(sys.argv[1]), sys.argv[2], beat=0.2) as lease:
    print(lease.fence, flush=True)
    time.sleep(600)
"""


def record(store: Store) -> dict[str, object]:
    return json.loads(store.read(KEY))


def write_record(store: Store, **changes: object) -> None:
    """Puts a lease there as another owner would, in spite of whoever holds it."""
    base = {
        "owner": "other", "fence": 7, "machine": "elsewhere boot pid:[1]", "pid": 1,
        "process_start": 1, "ttl": 0.6, "beat": 0, "released": False,
    }  # fmt: skip
    store.write(KEY, json.dumps({**base, **changes}).encode())


def test_hold_gives_rising_fences_and_keeps_the_released_lease(store: Store) -> None:
    for fence in (1, 2, 3):
        with hold(store, KEY) as lease:
            assert lease is not None
            assert lease.fence == fence
            lease.check()
            assert is_claimed(store, KEY)
        assert record(store)["released"] is True
        assert not is_claimed(store, KEY)


def test_holders_in_many_threads_exclude_each_other(store: Store) -> None:
    inside, fences = [], []

    def work(_: int) -> None:
        with hold(store, KEY, poll=0.01) as lease:
            assert lease is not None
            inside.append(1)
            fences.append(lease.fence)
            time.sleep(0.02)
            assert len(inside) == 1
            inside.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert sorted(fences) == list(range(1, 9))


def test_killed_holder_on_this_machine_is_replaced_at_once(
    store: Store, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    process = spawn(HOLDER, store.uri, KEY)
    assert process.stdout and process.stdout.readline() == "1\n"
    waited: list[str] = []
    timer = threading.Timer(0.5, process.send_signal, [signal.SIGKILL])
    timer.start()
    started = time.monotonic()
    with hold(store, KEY, on_wait=waited.append, poll=0.1) as lease:
        assert lease is not None
        assert lease.fence == 2
    assert 0.4 < time.monotonic() - started < 5
    assert len(waited) == 1
    assert f"pid {process.pid}" in waited[0]


def test_reused_pid_does_not_keep_a_lease_alive(local_store: Store) -> None:
    with hold(local_store, KEY) as lease:
        assert lease is not None
        mine = record(local_store)
    write_record(local_store, machine=mine["machine"], pid=os.getpid(), process_start=1, ttl=60.0)
    started = time.monotonic()
    with hold(local_store, KEY) as lease:
        assert lease is not None
        assert lease.fence == 8
    assert time.monotonic() - started < 1


def test_silent_holder_elsewhere_is_replaced_after_its_ttl_whatever_the_clocks_say(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(store)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    started = time.monotonic()
    with hold(store, KEY, ttl=0.3, poll=0.05) as lease:
        assert lease is not None
        assert lease.fence == 8
    assert 0.6 < time.monotonic() - started < 5


def test_beating_holder_keeps_a_waiter_out_longer_than_ttl(local_store: Store) -> None:
    with hold(local_store, KEY, beat=0.05, ttl=0.5) as lease:
        assert lease is not None
        deadline = time.monotonic() + 1.5
        with hold(
            local_store, KEY, ttl=0.5, poll=0.05, until=lambda: time.monotonic() > deadline
        ) as second:
            assert second is None
        lease.check()


def test_waiter_stops_when_the_lease_is_not_needed_any_more(local_store: Store) -> None:
    with (
        hold(local_store, KEY) as lease,
        hold(local_store, KEY, until=lambda: True) as second,
    ):
        assert lease is not None
        assert second is None


def test_lease_won_after_the_work_was_done_is_given_back(local_store: Store) -> None:
    answers = iter([False, True])
    with hold(local_store, KEY, until=lambda: next(answers)) as lease:
        assert lease is None
    assert not is_claimed(local_store, KEY)


def test_stolen_lease_interrupts_a_blocking_call(store: Store) -> None:
    started = time.monotonic()
    with pytest.raises(LeaseLost), hold(store, KEY, beat=0.1):
        write_record(store)
        time.sleep(60)
    assert time.monotonic() - started < 10
    assert record(store)["owner"] == "other"


def test_stolen_lease_turns_a_failure_of_the_work_into_lease_lost(local_store: Store) -> None:
    with pytest.raises(LeaseLost), hold(local_store, KEY, beat=0.05):
        write_record(local_store)
        try:
            time.sleep(60)
        except KeyboardInterrupt as error:
            raise RuntimeError("training stopped") from error


def test_check_in_a_worker_thread_raises_when_the_lease_is_stolen(local_store: Store) -> None:
    def work() -> None:
        with hold(local_store, KEY, beat=0.05) as lease:
            assert lease is not None
            write_record(local_store)
            time.sleep(0.5)
            lease.check()

    with ThreadPoolExecutor(1) as pool, pytest.raises(LeaseLost, match="taken over by elsewhere"):
        pool.submit(work).result()


def test_short_outage_is_survived_and_a_long_one_loses_the_lease(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    away = tmp_path / "away"

    def cut() -> None:
        (tmp_path / "store").rename(away)
        (tmp_path / "store").write_text("not a directory")

    def mend() -> None:
        (tmp_path / "store").unlink()
        away.rename(tmp_path / "store")

    with pytest.raises(LeaseLost), hold(store, KEY, beat=0.1, ttl=1.0) as lease:
        assert lease is not None
        cut()
        time.sleep(0.5)
        mend()
        time.sleep(0.8)
        lease.check()
        cut()
        time.sleep(60)


def test_failure_of_the_work_is_raised_and_frees_the_lease(local_store: Store) -> None:
    with pytest.raises(ZeroDivisionError), hold(local_store, KEY):
        _ = 1 / 0
    assert not is_claimed(local_store, KEY)


def test_ctrl_c_stays_ctrl_c(local_store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), hold(local_store, KEY):
        raise KeyboardInterrupt
    assert not is_claimed(local_store, KEY)


def test_unreadable_lease_raises(local_store: Store) -> None:
    local_store.write(KEY, b"{}")
    with pytest.raises(IntegrityError, match=KEY), hold(local_store, KEY):
        pass
