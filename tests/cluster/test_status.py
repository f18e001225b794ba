"""What is unfinished, and whether anybody still works on it."""

import json
import os
import time
from pathlib import Path

import pytest
from artifacts import commit

from cluster.lease import hold
from cluster.status import unfinished
from cluster.store import Store, open_store

PATH = "model/x-0123456789ab"
LEASE = f"{PATH}/lease.json"


def test_who_works_on_what(store: Store) -> None:
    store.create(f"{PATH}/receipts/one.json", b"{}")
    with hold(store, LEASE) as lease:
        assert lease is not None
        (found,) = unfinished(store)
    assert (found.path, found.state, found.attempt, found.shards) == (PATH, "working", 1, 1)
    assert f"pid {os.getpid()}" in found.owner
    assert found.beat_seconds < 30


def test_an_attempt_that_was_given_up(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), hold(store, LEASE):
        raise KeyboardInterrupt
    assert [each.state for each in unfinished(store)] == ["left"]


def test_a_committed_artifact_is_not_unfinished(store: Store) -> None:
    with hold(store, LEASE):
        commit(store, PATH)
        assert unfinished(store) == []


@pytest.fixture
def directory(tmp_path: Path) -> tuple[Store, Path]:
    return open_store(str(tmp_path)), tmp_path


def claim(folder: Path, **changes: object) -> Path:
    """A lease as another machine would have written it."""
    record = {
        "owner": "ab", "fence": 2, "machine": "elsewhere boot pid:[1]", "pid": 1,
        "process_start": 1, "ttl": 20.0, "beat": 3, "released": False, **changes,
    }  # fmt: skip
    path = folder / LEASE
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    return path


def test_an_owner_elsewhere_that_beats_no_more_has_stalled(directory: tuple[Store, Path]) -> None:
    store, folder = directory
    lease = claim(folder)
    assert [each.state for each in unfinished(store)] == ["working"]
    os.utime(lease, (time.time() - 300,) * 2)
    (found,) = unfinished(store)
    assert (found.state, found.attempt) == ("stalled", 2)
    assert 299 < found.beat_seconds < 330
    assert "elsewhere" in found.owner


def test_an_owner_of_this_machine_that_is_gone_has_stalled(directory: tuple[Store, Path]) -> None:
    store, folder = directory
    with hold(store, "model/y-0123456789ab/lease.json"):
        (mine,) = unfinished(store)
        assert mine.state == "working"
        machine = json.loads((folder / "model/y-0123456789ab/lease.json").read_text())["machine"]
    claim(folder, machine=machine, pid=2**22 + 1)
    assert {each.path: each.state for each in unfinished(store)}[PATH] == "stalled"
