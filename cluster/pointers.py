"""Named pointers, such as the champion model: one small object moved by compare-and-swap.

advance first files the outgoing version n as history/<n>.json, with create-if-absent and exactly
the pointer's own content, then swaps the pointer to n+1. The swap alone decides who wins. A crash
before the filing changes nothing; a crash between the two leaves an entry that the next advance
writes again, identically, since version n is fixed once it was current. So the history holds every
earlier version and nothing that was never current. Filing the new version first would leave, after
a crash, a move that nobody saw happen; filing after the swap could lose an entry.
"""

import re

from pydantic import JsonValue, ValidationError

from cluster.errors import IntegrityError
from cluster.identity import canonical_json
from cluster.manifest import Record
from cluster.store import Store

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


class Pointer(Record):
    """version counts from 1; previous is the value before this one, None for the first."""

    version: int
    value: JsonValue
    previous: JsonValue


def read(store: Store, name: str) -> Pointer | None:
    """The pointer now, or None when it was never set."""
    stored = store.read_tagged(_key(name))
    return None if stored is None else _decode(stored.data, _key(name))


def advance(store: Store, name: str, value: JsonValue, *, expected: int) -> Pointer | None:
    """Moves the pointer from version expected (0: not set yet) to value.

    None means it was not at that version: read it and decide again.
    """
    key = _key(name)
    stored = store.read_tagged(key)
    if stored is None:
        first = Pointer(version=1, value=value, previous=None)
        return first if expected == 0 and store.create(key, _encode(first)) else None
    current = _decode(stored.data, key)
    if current.version != expected:
        return None
    store.create(_history_key(name, current.version), stored.data)
    moved = Pointer(version=current.version + 1, value=value, previous=current.value)
    return moved if store.replace(key, _encode(moved), stored.tag) else None


def history(store: Store, name: str) -> list[Pointer]:
    """Every version so far, oldest first, the current one last."""
    current = read(store, name)
    if current is None:
        return []
    keys = [_history_key(name, version) for version in range(1, current.version)]
    return [*(_decode(store.read(key), key) for key in keys), current]


def _key(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"pointer name {name!r} must match {_NAME.pattern}")
    return f"pointers/{name}/current.json"


def _history_key(name: str, version: int) -> str:
    return f"pointers/{name}/history/{version}.json"


def _encode(pointer: Pointer) -> bytes:
    return canonical_json(pointer.model_dump()).encode()


def _decode(data: bytes, where: str) -> Pointer:
    try:
        return Pointer.model_validate_json(data)
    except ValidationError as error:
        raise IntegrityError(f"{where} is not a pointer: {error.errors()[0]['msg']}") from error
