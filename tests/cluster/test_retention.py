"""What old nights made is forgotten, but for what anything that is kept was made from."""

import pytest
from artifacts import commit

from cluster.champion import Champion, current, promote
from cluster.errors import UserError
from cluster.manifest import list_manifests
from cluster.nights import Night, record
from cluster.retention import expired, forget
from cluster.store import Store


def path(kind: str, name: str) -> str:
    return f"{kind}/{name}-0123456789ab"


BASE = path("base", "base")


def make_night(store: Store, number: int, *, promoted: bool, base: str = BASE) -> None:
    """A night with rows, a model, its evaluation and a gate of its own."""
    fresh, model, score, gate = (
        path(kind, f"n{number}") for kind in ("dataset", "model", "evaluation", "gate")
    )
    commit(store, fresh)
    commit(store, model, parents=[base, fresh])
    commit(store, score, parents=[model, fresh])
    commit(store, gate, parents=[score])
    if promoted:
        chosen = Champion(path=model, manifest_sha256="0" * 64, night=date(number), gate=gate)
        assert promote(store, chosen, over=current(store))
    record(
        store,
        Night(
            date=date(number), verdict="promoted" if promoted else "held", challenger=model,
            champion=model, version=1, gate=gate, accuracy={}, finished="", cpu_seconds=0.0,
            gpu_seconds=0.0,
        ),
    )  # fmt: skip


def date(number: int) -> str:
    return f"2026-11-{number:02d}"


@pytest.fixture
def nights(store: Store) -> Store:
    """Five nights on one base; the second one's model is the champion."""
    commit(store, BASE)
    for number in range(1, 6):
        make_night(store, number, promoted=number == 2)
    return store


def of(number: int) -> set[str]:
    return {path(kind, f"n{number}") for kind in ("dataset", "model", "evaluation")}


def test_the_champion_and_the_last_nights_stay(nights: Store) -> None:
    score_of_champion = path("evaluation", "n2")
    assert set(expired(nights, keep_nights=2)) == of(1) | of(3) | {score_of_champion}
    everything = of(1) | of(3) | of(4) | of(5)
    assert set(expired(nights, keep_nights=0)) == everything | {score_of_champion}
    assert expired(nights, keep_nights=5) == []


def test_ancestry_of_the_champion_stays_whoever_made_it(nights: Store) -> None:
    make_night(nights, 6, promoted=True, base=path("model", "n3"))
    found = set(expired(nights, keep_nights=0))
    assert not found & {path("model", "n3"), path("dataset", "n3"), BASE, path("model", "n6")}
    assert path("evaluation", "n3") in found


def test_what_somebody_else_made_from_it_keeps_it(nights: Store) -> None:
    commit(nights, path("sae", "study"), parents=[path("model", "n1")])
    found = set(expired(nights, keep_nights=0))
    assert not found & {path("sae", "study"), path("model", "n1"), path("dataset", "n1")}


def test_what_a_person_promoted_stays(nights: Store) -> None:
    chosen = Champion(path=path("model", "n4"), manifest_sha256="0" * 64)
    assert promote(nights, chosen, over=current(nights))
    make_night(nights, 6, promoted=True)
    assert path("model", "n4") not in expired(nights, keep_nights=0)


def test_forgotten_means_not_there_and_decisions_stay(nights: Store) -> None:
    gone = expired(nights, keep_nights=1)
    # A model goes before its rows, and its evaluation before both.
    assert gone.index(path("evaluation", "n1")) < gone.index(path("model", "n1"))
    assert gone.index(path("model", "n1")) < gone.index(path("dataset", "n1"))
    assert forget(nights, keep_nights=1) == gone
    left = set(list_manifests(nights))
    assert not left & set(gone)
    assert {path("gate", f"n{number}") for number in range(1, 6)} < left
    assert expired(nights, keep_nights=1) == []


class Promoting(Store):
    """Somebody promotes a model while the first manifest is removed."""

    def delete(self, key: str) -> None:
        super().delete(key)
        chosen = Champion(path=path("model", "n4"), manifest_sha256="0" * 64)
        assert promote(self, chosen, over=current(self))


def test_a_promotion_meanwhile_ends_it(nights: Store) -> None:
    with pytest.raises(UserError, match="moved meanwhile"):
        forget(Promoting(nights.uri), keep_nights=0)
    assert path("model", "n4") in list_manifests(nights)
    assert path("model", "n4") not in forget(nights, keep_nights=0)


def test_without_nights_nothing_is_forgotten(store: Store) -> None:
    commit(store, BASE)
    assert expired(store, keep_nights=0) == []
