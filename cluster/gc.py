"""Collects what no manifest needs: leftovers of attempts that failed, lost or were killed.

Only directories that hold a manifest or a lease are touched, so a store placed among other files
is safe. In a committed one everything the manifest does not name goes, except the manifest and the
lease, whose fencing number must keep rising. In an uncommitted one, only objects older than
older_than go, while gc itself holds the lease, and an object stays as long as a receipt that names
it stays: receipts go first, so a crash here leaves unreferenced objects and no dangling receipt.
What any manifest names is never removed; a manifest that cannot be read stops the collection.
Age is by the store's clock alone. A dry run writes nothing and so cannot ask it: its list goes by
this machine's clock.
"""

import secrets
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from cluster.artifact import decode_receipt
from cluster.backends import STAGING, Listing, StoredObject
from cluster.graph import LEASE_NAME
from cluster.lease import hold, is_claimed
from cluster.manifest import ARTIFACT_OBJECT, MANIFEST_NAME, read_manifest
from cluster.store import PROBE, Store

_RECORDS = (MANIFEST_NAME, LEASE_NAME)
_OBSERVATION_SECONDS = 30.0
"""How long to watch a lease that looks abandoned: longer than its ttl."""


def collect(store: Store, *, older_than: timedelta, dry_run: bool) -> list[str]:
    """Removes unneeded objects and returns their keys; dry_run only returns them."""
    now = time.time() if dry_run else _now(store)
    oldest = now - older_than.total_seconds()
    directories = artifact_directories(store)
    manifests = {path: read_manifest(store, path) for path in directories}
    named = {ref.key for found in manifests.values() if found for ref in found.objects}

    strays = _older([*store.list(f"{STAGING}/"), *store.list(f"{PROBE}/")], oldest)
    removed = _remove(store, strays, dry_run=dry_run)
    for path, manifest in manifests.items():
        if manifest is not None:
            unneeded = [found.key for found in directories[path] if found.key not in named]
            removed += _remove(store, _without_records(path, unneeded), dry_run=dry_run)
        elif not _seems_alive(store, path, oldest):
            removed += _collect_uncommitted(store, path, oldest, dry_run=dry_run)
    return removed


def artifact_directories(store: Store) -> dict[str, Listing]:
    """What is in every directory that has a manifest or a lease, by its path."""
    directories = defaultdict(list)
    for found in store.list(""):
        match = ARTIFACT_OBJECT.fullmatch(found.key)
        if match:
            directories[match[1]].append(found)
    return {
        path: objects
        for path, objects in directories.items()
        if not {f"{path}/{name}" for name in _RECORDS}.isdisjoint(one.key for one in objects)
    }


def _now(store: Store) -> float:
    """The time by the store's clock."""
    key = f"{PROBE}/{secrets.token_hex(8)}"
    store.write(key, b"")
    try:
        return store.list(key)[0].modified
    finally:
        store.delete(key)


def _without_records(path: str, keys: Iterable[str]) -> list[str]:
    records = {f"{path}/{name}" for name in _RECORDS}
    return [key for key in keys if key not in records]


def _seems_alive(store: Store, path: str, oldest: float) -> bool:
    key = f"{path}/{LEASE_NAME}"
    beaten = [found.modified for found in store.list(key)]
    return bool(beaten) and max(beaten) >= oldest and is_claimed(store, key)


def _collect_uncommitted(store: Store, path: str, oldest: float, *, dry_run: bool) -> list[str]:
    if dry_run:
        return _expired(store, path, oldest)
    deadline = time.monotonic() + _OBSERVATION_SECONDS
    with hold(
        store,
        f"{path}/{LEASE_NAME}",
        until=lambda: time.monotonic() > deadline or store.exists(f"{path}/{MANIFEST_NAME}"),
    ) as lease:
        if lease is None:
            return []
        expired = _expired(store, path, oldest)
        for key in expired:
            lease.check()
            store.delete(key)
        return expired


def _expired(store: Store, path: str, oldest: float) -> list[str]:
    """What may go from an uncommitted directory, receipts first."""
    receipts = store.list(f"{path}/receipts/")
    kept = [found.key for found in receipts if found.modified > oldest]
    needed = {ref.key for key in kept for ref in decode_receipt(store.read(key), key).objects}
    others = [found for found in store.list(f"{path}/") if found not in receipts]
    keys = _older(receipts, oldest) + _older(others, oldest)
    return [key for key in _without_records(path, keys) if key not in needed]


def _older(objects: Iterable[StoredObject], oldest: float) -> list[str]:
    # A store may tell whole seconds only, so that what is as old as now may be older.
    return [found.key for found in objects if found.modified <= oldest]


def _remove(store: Store, keys: list[str], *, dry_run: bool) -> list[str]:
    if not dry_run:
        for key in keys:
            store.delete(key)
    return keys
