"""The champion: a pointer to the one artifact that is in use, moved forward by promotions alone.

A rollback is a promotion of an earlier version, so that the history only grows. Every version says
which one it restores, and a second rollback thus goes further back instead of there and back.
"""

import logging

from cluster import pointers
from cluster.errors import UserError
from cluster.manifest import ARTIFACT_OBJECT, MANIFEST_NAME, Record, read_manifest
from cluster.store import Store

POINTER = "champion"
_KIND = "model"
"""Of artifact; nothing else answers questions."""
_log = logging.getLogger(__name__)


class Champion(Record):
    """What a version of the pointer points at."""

    path: str
    manifest_sha256: str
    night: str | None = None
    """The date of the night that promoted it; None: a person did."""
    gate: str | None = None
    """Path of the decision that let it pass."""
    restores: int | None = None
    """The version that it is again, after a rollback."""


class Version(Record):
    """One entry of the history; version counts from 1."""

    version: int
    champion: Champion


def current(store: Store) -> Version | None:
    """The champion now, or None before the first promotion."""
    found = pointers.read(store, POINTER)
    return None if found is None else _version(found)


def history(store: Store) -> list[Version]:
    """Every version so far, oldest first, the champion last."""
    return [_version(found) for found in pointers.history(store, POINTER)]


def promote(store: Store, champion: Champion, *, over: Version | None) -> Version | None:
    """The new version, or None when the champion is not `over` any more: decide again."""
    expected = over.version if over else 0
    moved = pointers.advance(store, POINTER, champion.model_dump(), expected=expected)
    if moved is None:
        return None
    _log.info("champion %s promoted, version %d", champion.path, moved.version)
    return _version(moved)


def named(store: Store, path: str) -> Champion:
    """The model at a path, as somebody's choice. Raises UserError when there is none."""
    is_path = ARTIFACT_OBJECT.fullmatch(f"{path}/{MANIFEST_NAME}")
    manifest = read_manifest(store, path) if is_path else None
    if manifest is None:
        raise UserError(f"{path} is no artifact of {store.uri}, or not any more; see `tinysql ls`")
    if manifest.kind != _KIND:
        raise UserError(f"{path} is a {manifest.kind}: expected a {_KIND}, see `tinysql ls`")
    return Champion(path=path, manifest_sha256=manifest.sha256)


def rolled_back(store: Store, *, to: int | None) -> Version:
    """The champion after going back to a version; None: to what was before the present one.

    Raises UserError when there is no such version, or its artifact was forgotten, or somebody else
    moved the champion meanwhile.
    """
    versions = {each.version: each for each in history(store)}
    if not versions:
        raise UserError(f"{store.uri} has no champion: there is nothing to go back to")
    now = versions[max(versions)]
    goal = (now.champion.restores or now.version) - 1 if to is None else to
    if goal not in versions:
        raise UserError(
            f"version {goal} of the champion: there is none to go back to; expected 1 to "
            f"{now.version}, see `tinysql history`"
        )
    chosen = versions[goal].champion
    if named(store, chosen.path).manifest_sha256 != chosen.manifest_sha256:
        raise UserError(
            f"{chosen.path} was made anew since it was version {goal}: `tinysql promote` it if it "
            "is to be the champion all the same"
        )
    restored = chosen.model_copy(update={"restores": chosen.restores or goal})
    moved = promote(store, restored, over=now)
    if moved is None:
        raise UserError("the champion was moved meanwhile: look at `tinysql history` and try again")
    return moved


def _version(found: pointers.Pointer) -> Version:
    return Version(version=found.version, champion=Champion.model_validate(found.value))
