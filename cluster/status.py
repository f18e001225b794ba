"""What is being made in a store, by whom, and what has stopped."""

import time
from dataclasses import dataclass
from typing import Literal

from cluster.gc import artifact_directories
from cluster.graph import LEASE_NAME
from cluster.lease import is_claimed, read_lease
from cluster.manifest import MANIFEST_NAME
from cluster.store import Store

STALLED_SECONDS = 60.0
"""Since the last heartbeat, three times as long as a lease lives; the store's clock against this
machine's, which may differ by some seconds."""


@dataclass(frozen=True)
class Unfinished:
    """An artifact that is not committed."""

    path: str
    state: Literal["working", "stalled", "left"]
    """Its owner beats; or has not for a minute, or is gone; or gave it up, by an error or Ctrl-C.
    """
    owner: str
    attempt: int
    """Which one it is, from 1."""
    beat_seconds: float
    """Since the last heartbeat."""
    shards: int
    """Finished ones."""


def unfinished(store: Store) -> list[Unfinished]:
    """Every artifact that somebody began and nobody committed, by path."""
    now = time.time()
    found = []
    for path, objects in sorted(artifact_directories(store).items()):
        keys = {each.key: each for each in objects}
        lease = keys.get(f"{path}/{LEASE_NAME}")
        holder = read_lease(store, lease.key) if lease else None
        if f"{path}/{MANIFEST_NAME}" in keys or lease is None or holder is None:
            continue
        beat = max(0.0, now - lease.modified)
        state: Literal["working", "stalled", "left"] = "working"
        if holder.released:
            state = "left"
        elif beat > STALLED_SECONDS or not is_claimed(store, lease.key):
            state = "stalled"
        shards = sum(key.startswith(f"{path}/receipts/") for key in keys)
        found.append(Unfinished(path, state, holder.describe(), holder.fence, beat, shards))
    return found
