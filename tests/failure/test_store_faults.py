"""S3 is away, refuses, damages or delays: every command ends in one line, the last one well."""

import time

import pytest
from laboratory import ROWS, Laboratory, Outcome, failure_of
from processes import Start
from s3_proxy import Choose, Fault, Request, always, in_turn, passes

pytestmark = [pytest.mark.ray, pytest.mark.failure, pytest.mark.timeout(600)]

# Longer than a lease lasts without a heartbeat (20 s) and than all tries of one request (4 s).
OUTAGE_SECONDS = 60


def last_line(said: str) -> str:
    """The error that a command ended with, which is not a traceback."""
    assert "Traceback" not in said
    return said.splitlines()[-1]


def test_outage_stops_the_run_and_the_same_command_goes_on(
    lab: Laboratory, start: Start, rows: Outcome
) -> None:
    started = lab.catch_at_work(start, *lab.run(ROWS), environment=lab.settings)
    kept, began = lab.receipts(), time.monotonic()
    lab.front.choose = always(Fault.RESET_BEFORE)
    assert "does not answer" in last_line(failure_of(started))
    during = start(*lab.run(ROWS), environment=lab.settings)
    assert "does not answer" in last_line(failure_of(during))
    time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - began)))
    lab.front.choose = passes
    lab.assert_as(rows, start(*lab.run(ROWS), environment=lab.settings).finish())
    assert kept >= 2


def test_credentials_that_expire_are_named_and_new_ones_go_on(
    lab: Laboratory, start: Start, rows: Outcome
) -> None:
    started = lab.catch_at_work(start, *lab.run(ROWS), environment=lab.settings)
    lab.front.choose = always(Fault.EXPIRED_TOKEN)
    assert "renew the credentials" in last_line(failure_of(started))
    again = start(*lab.run(ROWS), environment=lab.settings)
    said = failure_of(again)
    assert len(said.splitlines()) == 1
    assert "renew the credentials" in said
    lab.front.choose = passes
    lab.assert_as(rows, start(*lab.run(ROWS), environment=lab.settings).finish())


def burst_of_500s(request: Request) -> Fault | None:
    """Six requests in a row out of forty: more than one try fails."""
    return Fault.INTERNAL_ERROR if request.number % 40 >= 34 else None


@pytest.mark.parametrize(
    ("choose", "faults"),
    [
        (in_turn(6, Fault.TRUNCATED, Fault.SLOW), {Fault.TRUNCATED, Fault.SLOW}),
        (burst_of_500s, {Fault.INTERNAL_ERROR}),
    ],
    ids=["truncated-and-slow", "bursts-of-500s"],
)
def test_requests_that_fail_now_and_then_do_not_end_the_run(
    lab: Laboratory, start: Start, rows: Outcome, choose: Choose, faults: set[Fault]
) -> None:
    lab.front.choose = choose
    ended = start(*lab.run(ROWS), environment=lab.settings).finish()
    assert set(lab.front.happened) == faults
    lab.assert_as(rows, ended)


def test_damaged_object_is_named_and_made_anew_once_deleted(
    lab: Laboratory, start: Start, rows: Outcome
) -> None:
    start(*lab.run(ROWS, verb="dataset"), environment=lab.settings).finish()
    damaged = next(key for key in lab.all_keys() if key.endswith("train-00003.parquet"))
    lab.put(damaged, lab.objects()[damaged].replace(b"a", b"b"))
    said = last_line(failure_of(start(*lab.run(ROWS), environment=lab.settings)))
    artifact = damaged.partition("/data/")[0]
    assert damaged in said
    assert f"delete {lab.store}/{artifact}/" in said
    lab.delete(f"{artifact}/")
    lab.assert_as(rows, start(*lab.run(ROWS), environment=lab.settings).finish())
