"""What each night came to: one record per date, written once, last, whoever ran it.

A night holds the lease of its date while it works; a second tick waits and finds the record. The
record is created if absent, so a date has one outcome even where a lease was lost unnoticed.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Literal

from pydantic import ValidationError

from cluster.errors import IntegrityError
from cluster.identity import canonical_json
from cluster.lease import Lease, hold
from cluster.manifest import Record
from cluster.store import Store

_RECORD = re.compile(r"nights/(\d{4}-\d\d-\d\d)/night\.json")


class Night(Record):
    """The outcome of one date."""

    date: str
    verdict: Literal["promoted", "held"]
    reasons: tuple[str, ...] = ()
    """Why the challenger was held."""
    challenger: str
    """Paths of artifacts, here and below."""
    champion: str
    """Afterwards."""
    version: int
    """Of the champion, afterwards; 0: there is none."""
    gate: str
    accuracy: dict[str, float]
    """Execution accuracy by evaluation."""
    finished: str
    """UTC."""
    cpu_seconds: float
    """Of everything that depends on the rows of the date."""
    gpu_seconds: float


def key_of(date: str) -> str:
    """Where the record of a date is."""
    return f"nights/{date}/night.json"


def read(store: Store, date: str) -> Night | None:
    """The outcome of a date, or None before there is one."""
    key = key_of(date)
    return _decode(store.read(key), key) if store.exists(key) else None


def finished(store: Store) -> Iterator[Night]:
    """Every night that has an outcome, oldest first."""
    keys = sorted(found.key for found in store.list("nights/"))
    return (_decode(store.read(key), key) for key in keys if _RECORD.fullmatch(key))


def claim(
    store: Store, date: str, on_wait: Callable[[str], None]
) -> AbstractContextManager[Lease | None]:
    """The lease of a date; None as soon as the date has its outcome."""
    return hold(
        store, f"nights/{date}/lease.json",
        until=lambda: store.exists(key_of(date)), on_wait=on_wait,
    )  # fmt: skip


def record(store: Store, night: Night) -> Night:
    """The outcome of the date: this one, or that which is there already."""
    key = key_of(night.date)
    if store.create(key, canonical_json(night.model_dump(mode="json")).encode()):
        return night
    return _decode(store.read(key), key)


def _decode(data: bytes, where: str) -> Night:
    try:
        return Night.model_validate_json(data)
    except ValidationError as error:
        raise IntegrityError(f"{where} is not a night: {error.errors()[0]['msg']}") from error
