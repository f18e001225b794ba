"""Several writers of one store: one does the work, whatever their clocks say and whoever stalls."""

import json
import signal
import threading
import time

import pytest
from laboratory import ROWS, Laboratory, Outcome, call, gc_command
from processes import ROOT, Start
from s3_proxy import Request, passes

pytestmark = [pytest.mark.ray, pytest.mark.failure, pytest.mark.timeout(600)]

HOUR = 3600
WRONG_CLOCK = f"""
import os, time
_right = time.time
time.time = lambda: _right() + {HOUR} * float(os.environ["HOURS_AHEAD"])
"""


def attempts(lab: Laboratory) -> set[str]:
    """Who wrote anything of the dataset."""
    data = (key for key in lab.all_keys() if key.startswith("dataset/") and "/data/" in key)
    return {key.split("/")[3] for key in data}


def reused(stdout: str) -> list[bool]:
    return [step["reused"] for step in json.loads(stdout)["steps"]]


def with_clock(lab: Laboratory, hours_ahead: int) -> dict[str, str]:
    """Settings of processes whose clock is wrong."""
    folder = lab.folder / "clock"
    folder.mkdir(exist_ok=True)
    # What Python imports at every start, if there is one.
    (folder / "sitecustomize.py").write_text(WRONG_CLOCK, encoding="utf-8")
    own = {"PYTHONPATH": f"{folder}:{ROOT}", "HOURS_AHEAD": str(hours_ahead)}
    return lab.settings | own


def test_clocks_that_differ_by_hours_steal_no_lease_and_collect_nothing(
    lab: Laboratory, start: Start, rows: Outcome
) -> None:
    first = lab.catch_at_work(start, *lab.run(ROWS), environment=with_clock(lab, -3), receipts=1)
    second = start(*lab.run(ROWS), environment=with_clock(lab, 3))
    late = with_clock(lab, 48)
    now = call(["python", "-c", "import time; print(time.time())"], late, lab.folder)
    assert float(now.stdout) > time.time() + 47 * HOUR
    call(gc_command(lab.store), late, lab.folder)
    lab.front.choose = passes
    said = [first.finish(), second.finish()]
    assert [reused(each)[0] for each in said] == [False, True]
    assert len(attempts(lab)) == 1
    for each in said:
        lab.assert_as(rows, each)


def test_two_ticks_at_once_do_the_work_once(lab: Laboratory, start: Start, rows: Outcome) -> None:
    ticks = [start(*lab.run(ROWS), environment=lab.settings) for _ in range(2)]
    said = [tick.finish() for tick in ticks]
    for step in zip(*map(reused, said), strict=True):
        assert sorted(step) == [False, True]
    assert len(attempts(lab)) == 1
    for each in said:
        lab.assert_as(rows, each)


def test_old_pods_that_still_write_change_nothing(
    lab: Laboratory, start: Start, rows: Outcome
) -> None:
    released = threading.Event()

    def hold_uploads(request: Request) -> None:
        """The old workers write only after everything is over."""
        if request.method == "PUT" and "/data/" in request.path and lab.receipts() >= 2:
            released.wait()

    lab.front.choose = hold_uploads
    old = start(*lab.run(ROWS), environment=lab.settings)
    lab.wait_for_receipts(old)
    # Not even a stopped process is gone: the new one has to wait until its lease is stale.
    old.process.send_signal(signal.SIGSTOP)
    try:
        new = start(*lab.run(ROWS), environment=lab.direct).finish()
        done = lab.objects()
    finally:
        released.set()
        old.process.send_signal(signal.SIGCONT)
    said = old.finish()
    assert (reused(new), reused(said)) == ([False, False], [True, True])
    after = lab.objects()
    assert {key: after[key] for key in done if not key.endswith("/lease.json")} == {
        key: data for key, data in done.items() if not key.endswith("/lease.json")
    }
    assert len(attempts(lab)) == 2
    for each in (new, said):
        lab.assert_as(rows, each)
