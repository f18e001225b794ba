"""Garbage goes; what a manifest, a live lease or a fresh receipt needs stays."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from artifacts import commit
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.artifact import Attempt
from cluster.errors import IntegrityError
from cluster.gc import collect
from cluster.lease import hold
from cluster.manifest import ObjectRef
from cluster.pointers import advance
from cluster.store import Store, open_store

DONE = "model/done-0123456789ab"
OPEN = "model/open-ba9876543210"
NOW = timedelta(seconds=-60)
"""Makes every object old enough."""
LATER = timedelta(hours=1)


def keys(store: Store) -> set[str]:
    return {found.key for found in store.list("")}


def put(attempt: Attempt, **files: str) -> list[ObjectRef]:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text)
        return attempt.put_dir(Path(folder))


@contextmanager
def leased(store: Store, path: str) -> Iterator[Attempt]:
    with hold(store, f"{path}/lease.json") as lease:
        assert lease is not None
        yield Attempt(store, path, f"a{lease.fence:04d}-aaaa")


def test_committed_artifact_loses_only_what_its_manifest_does_not_name(store: Store) -> None:
    with leased(store, DONE) as attempt:
        garbage = [put(attempt, a="lost")[0].key]
        attempt.commit_shard("s0", put(attempt, b="2"), {})
        receipt = attempt.receipt("s0")
        assert receipt is not None
        commit(store, DONE, [*put(attempt, a="1"), *receipt.objects])
    garbage.append(f"{DONE}/receipts/s0.json")
    store.write("notes/readme.txt", b"mine")
    advance(store, "champion", DONE, expected=0)
    before = keys(store)
    assert sorted(collect(store, older_than=LATER, dry_run=True)) == sorted(garbage)
    assert keys(store) == before
    assert sorted(collect(store, older_than=LATER, dry_run=False)) == sorted(garbage)
    assert keys(store) == before - set(garbage)
    assert collect(store, older_than=LATER, dry_run=False) == []


def test_uncommitted_artifact_loses_only_old_objects(store: Store) -> None:
    with leased(store, OPEN) as attempt:
        put(attempt, a="1")
        attempt.commit_shard("s0", put(attempt, b="2"), {})
    before = keys(store)
    assert collect(store, older_than=LATER, dry_run=False) == []
    assert keys(store) == before
    listed = collect(store, older_than=NOW, dry_run=True)
    assert keys(store) == before
    removed = collect(store, older_than=NOW, dry_run=False)
    assert removed == listed
    assert removed[0] == f"{OPEN}/receipts/s0.json"
    assert keys(store) == {f"{OPEN}/lease.json"}


def test_beating_lease_protects_objects_however_old(local_store: Store) -> None:
    with leased(local_store, OPEN) as attempt:
        for ref in put(attempt, a="1"):
            os.utime(Path(local_store.uri, ref.key), (0, 0))
        before = keys(local_store)
        assert collect(local_store, older_than=LATER, dry_run=True) == []
        assert collect(local_store, older_than=LATER, dry_run=False) == []
        assert keys(local_store) == before


def test_held_lease_protects_objects_even_when_its_beat_looks_old(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.gc._OBSERVATION_SECONDS", 0.3)
    with leased(store, OPEN) as attempt:
        put(attempt, a="1")
        before = keys(store)
        assert collect(store, older_than=NOW, dry_run=False) == []
        assert keys(store) == before


def test_fencing_numbers_keep_rising_after_a_collection(local_store: Store) -> None:
    with leased(local_store, OPEN) as attempt:
        put(attempt, a="1")
    collect(local_store, older_than=NOW, dry_run=False)
    with hold(local_store, f"{OPEN}/lease.json") as lease:
        assert lease is not None
        assert lease.fence > 1


def test_objects_outside_artifacts_are_never_touched(local_store: Store) -> None:
    for key in ("a.txt", "model/x/y", "photos/trip-0123456789ab/1.jpg", "x/y-0123456789ab/z/w"):
        local_store.write(key, b"mine")
    assert collect(local_store, older_than=NOW, dry_run=False) == []


def test_debris_of_killed_writers_goes_when_old(local_store: Store) -> None:
    debris = Path(local_store.uri, ".staging", "dead")
    debris.write_text("half")
    assert collect(local_store, older_than=LATER, dry_run=False) == []
    assert collect(local_store, older_than=NOW, dry_run=False) == [".staging/dead"]
    assert not debris.exists()


def test_unreadable_manifest_stops_the_collection(local_store: Store) -> None:
    with leased(local_store, OPEN) as attempt:
        put(attempt, a="1")
    local_store.write(f"{DONE}/manifest.json", json.dumps({"schema_version": 2}).encode())
    before = keys(local_store)
    with pytest.raises(IntegrityError, match="schema version 2"):
        collect(local_store, older_than=NOW, dry_run=False)
    assert keys(local_store) == before


PLANS = st.lists(
    st.tuples(st.booleans(), st.lists(st.tuples(st.booleans(), st.booleans()), max_size=4)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=12, deadline=None)
@given(PLANS, st.booleans())
def test_collection_never_removes_what_a_manifest_names(
    plan: list[tuple[bool, list[tuple[bool, bool]]]], old: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        needed = set()
        for number, (committed, objects) in enumerate(plan):
            path = f"model/x{number}-{number:012x}"
            with leased(store, path) as attempt:
                kept = []
                for index, (named, sharded) in enumerate(objects):
                    refs = put(attempt, **{f"f{index}": str(index)})
                    if sharded:
                        attempt.commit_shard(f"s{index}", refs, {})
                    kept += refs if named else []
                if committed:
                    commit(store, path, kept)
                    needed |= {ref.key for ref in kept} | {f"{path}/manifest.json"}
        before = keys(store)
        removed = collect(store, older_than=NOW if old else LATER, dry_run=False)
        assert keys(store) == before - set(removed)
        assert needed <= keys(store)
        assert {key for key in before if key.endswith("lease.json")} <= keys(store)
