"""A date has one outcome, whoever works on it and however often."""

import threading

import pytest

from cluster.errors import IntegrityError
from cluster.nights import Night, claim, finished, key_of, read, record
from cluster.store import Store


def night(date: str, version: int = 1) -> Night:
    return Night(
        date=date, verdict="promoted", challenger="model/a-000000000000",
        champion="model/a-000000000000", version=version, gate="gate/b-000000000000",
        accuracy={"challenger-frozen": 0.98}, finished="2026-11-22T01:00:00+00:00",
        cpu_seconds=1.5, gpu_seconds=0.0,
    )  # fmt: skip


def test_first_outcome_of_a_date_stays(store: Store) -> None:
    assert read(store, "2026-11-21") is None
    first = record(store, night("2026-11-21"))
    assert record(store, night("2026-11-21", version=2)) == first == read(store, "2026-11-21")


def test_nights_are_listed_by_date(store: Store) -> None:
    for date in ("2026-11-22", "2026-11-20", "2026-11-21"):
        record(store, night(date))
    with claim(store, "2026-11-23", lambda _: None):
        assert [each.date for each in finished(store)] == ["2026-11-20", "2026-11-21", "2026-11-22"]


def test_a_second_tick_waits_for_the_outcome(store: Store) -> None:
    waited = threading.Event()
    outcome: list[bool] = []

    def tick() -> None:
        with claim(store, "2026-11-21", lambda _: waited.set()) as lease:
            outcome.append(lease is None)

    with claim(store, "2026-11-21", lambda _: None) as lease:
        assert lease is not None
        second = threading.Thread(target=tick)
        second.start()
        assert waited.wait(10)
        record(store, night("2026-11-21"))
        second.join(10)
    assert outcome == [True]


def test_a_damaged_record_is_no_outcome(store: Store) -> None:
    store.create(key_of("2026-11-21"), b"{}")
    with pytest.raises(IntegrityError, match="is not a night"):
        read(store, "2026-11-21")
