"""Named pointers, such as the champion model: one small object moved by compare-and-swap.

advance first files the outgoing version n as history/<n>.json, with create-if-absent and exactly
the pointer's own content, then swaps the pointer to n+1. The swap alone decides who wins. A crash
before the filing changes nothing; a crash between the two leaves an entry that the next advance
writes again, identically, since version n is fixed once it was current. So the history holds every
earlier version and nothing that was never current. Filing the new version first would leave, after
a crash, a move that nobody saw happen; filing after the swap could lose an entry.
"""

import logging
import re

from pydantic import JsonValue, ValidationError

from cluster.errors import IntegrityError
from cluster.identity import canonical_json
from cluster.manifest import Record
from cluster.store import Store

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_FILED = re.compile(r"/history/(\d+)\.json$")
_log = logging.getLogger(__name__)


class Pointer(Record):
    """version rises from 1; previous is the value before this one, None for the first."""

    version: int
    value: JsonValue
    previous: JsonValue


def read(store: Store, name: str) -> Pointer | None:
    """The pointer now, or None when it was never set; where it was lost, its newest filed version.

    Raises IntegrityError when it is damaged.
    """
    return _now(store, name)[0]


def advance(store: Store, name: str, value: JsonValue, *, expected: int) -> Pointer | None:
    """Moves the pointer from version expected (0: not set yet) to value.

    None means it was not at that version: read it and decide again. Raises IntegrityError when the
    history has another version of that number.
    """
    current, tag = _now(store, name)
    if (current.version if current else 0) != expected:
        return None
    if current is not None:
        _file(store, name, current)
    # After an earlier object was restored by hand there are newer ones, whose numbers stay theirs.
    version = max(_filed(store, name), default=0) + 1
    moved = Pointer(version=version, value=value, previous=current.value if current else None)
    key, data = _key(name), _encode(moved)
    won = store.create(key, data) if tag is None else store.replace(key, data, tag)
    return moved if won else None


def history(store: Store, name: str) -> list[Pointer]:
    """Every version so far, oldest first, the current one last."""
    current = read(store, name)
    if current is None:
        return []
    filed = sorted(_filed(store, name).items())
    earlier = (key for version, key in filed if version < current.version)
    return [*(_decode(store.read(key), key) for key in earlier), current]


def _now(store: Store, name: str) -> tuple[Pointer | None, str | None]:
    """The pointer and the tag of its object; None: that is not there."""
    stored = store.read_tagged(_key(name))
    if stored is not None:
        return _decode(stored.data, _key(name)), stored.tag
    filed = _filed(store, name)
    if not filed:
        return None, None
    newest = filed[max(filed)]
    _log.warning("%s is gone: taking %s, the newest of its history", _key(name), newest)
    return _decode(store.read(newest), newest), None


def _file(store: Store, name: str, current: Pointer) -> None:
    key = _history_key(name, current.version)
    if not store.create(key, _encode(current)) and _decode(store.read(key), key) != current:
        raise IntegrityError(
            f"{key} and {_key(name)} are different versions {current.version}: one of them was "
            "restored from another past; delete the one that is not to count"
        )


def _filed(store: Store, name: str) -> dict[int, str]:
    """The keys of the history by version."""
    keys = (found.key for found in store.list(f"pointers/{name}/history/"))
    return {int(found[1]): key for key in keys if (found := _FILED.search(key))}


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
