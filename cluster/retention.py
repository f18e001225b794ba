"""Forgets what old nights made, so that a store does not grow for ever.

Only what some night made is ever forgotten, and of that nothing that anything kept descends from:
the champion, whatever a person promoted, what the nights that are kept made, and every artifact
that is no night's. What was decided stays: records of nights, gates, the champion's history.
Forgetting removes a manifest, from when on the artifact is not there; its objects go as leftovers.
"""

from collections.abc import Iterable, Mapping

from cluster import champion, nights
from cluster.errors import UserError
from cluster.manifest import MANIFEST_NAME, Manifest, list_manifests
from cluster.store import Store

_DECISION = "gate"


def expired(store: Store, *, keep_nights: int) -> list[str]:
    """Paths of the artifacts that nights before the last so many made and nothing kept needs.

    Children first, so that removed one by one they leave no manifest that names a missing parent.
    """
    manifests = list_manifests(store)
    outcomes = list(nights.finished(store))
    recent = outcomes[max(0, len(outcomes) - keep_nights) :]
    old = {night.date for night in outcomes} - {night.date for night in recent}
    of_nights = _ancestry(_roots(outcomes), manifests)
    versions = champion.history(store)
    chosen = [each.champion.path for each in versions if each.champion.night not in old]
    if versions:
        chosen.append(versions[-1].champion.path)
    others = [path for path in manifests if path not in of_nights]
    kept = _ancestry([*_roots(recent), *chosen, *others], manifests)
    waiting = {path for path in of_nights - kept if not path.startswith(f"{_DECISION}/")}
    ordered: list[str] = []
    while waiting:
        parents = {ref.path for path in waiting for ref in manifests[path].parents.values()}
        ordered += sorted(waiting - parents)
        waiting &= parents
    return ordered


def forget(store: Store, *, keep_nights: int) -> list[str]:
    """Removes the manifests of what is expired, and returns their paths.

    Raises UserError when the champion is moved meanwhile, perhaps to what would go next.
    """
    before = champion.current(store)
    paths = expired(store, keep_nights=keep_nights)
    for path in paths:
        if champion.current(store) != before:
            raise UserError("the champion was moved meanwhile: run the same command again")
        store.delete(f"{path}/{MANIFEST_NAME}")
    return paths


def _roots(outcomes: Iterable[nights.Night]) -> list[str]:
    return [path for night in outcomes for path in (night.gate, night.challenger)]


def _ancestry(paths: Iterable[str], manifests: Mapping[str, Manifest]) -> set[str]:
    """The artifacts at these paths that are there, and all that they were made from."""
    found: set[str] = set()
    waiting = [path for path in paths if path in manifests]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            parents = manifests[path].parents.values()
            waiting += [ref.path for ref in parents if ref.path in manifests]
    return found
