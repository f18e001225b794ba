"""The champion moves by promotions and rollbacks, and its history only grows."""

import pytest
from artifacts import commit

from cluster.champion import Champion, current, history, named, promote, rolled_back
from cluster.errors import UserError
from cluster.store import Store


def champion(store: Store, name: str) -> Champion:
    path = f"model/{name}-0123456789ab"
    commit(store, path)
    return named(store, path)


def promoted(store: Store, *names: str) -> None:
    for name in names:
        assert promote(store, champion(store, name), over=current(store)) is not None


def paths(store: Store) -> str:
    return "".join(each.champion.path[6] for each in history(store))


def test_nobody_is_champion_at_first(store: Store) -> None:
    assert current(store) is None
    assert history(store) == []
    with pytest.raises(UserError, match="nothing to go back to"):
        rolled_back(store, to=None)


def test_promotions_are_a_history(store: Store) -> None:
    promoted(store, "a", "b")
    now = current(store)
    assert now is not None and (now.version, now.champion) == (2, champion(store, "b"))
    assert paths(store) == "ab"


def test_promotion_over_another_champion_changes_nothing(store: Store) -> None:
    promoted(store, "a")
    seen = current(store)
    promoted(store, "b")
    assert promote(store, champion(store, "c"), over=seen) is None
    assert promote(store, champion(store, "c"), over=None) is None
    assert paths(store) == "ab"


def test_rollbacks_go_further_and_further_back(store: Store) -> None:
    promoted(store, "a", "b", "c")
    assert rolled_back(store, to=None).champion.path == "model/b-0123456789ab"
    assert rolled_back(store, to=None).champion.path == "model/a-0123456789ab"
    with pytest.raises(UserError, match="version 0"):
        rolled_back(store, to=None)
    assert paths(store) == "abcba"
    assert [each.champion.restores for each in history(store)] == [None, None, None, 2, 1]


def test_rollback_to_a_version(store: Store) -> None:
    promoted(store, "a", "b", "c")
    assert rolled_back(store, to=1).champion.path == "model/a-0123456789ab"
    # What was restored stands for the version it was at first.
    promoted(store, "d")
    assert rolled_back(store, to=4).champion.restores == 1
    with pytest.raises(UserError, match="expected 1 to 6"):
        rolled_back(store, to=9)


def test_rollback_to_what_was_forgotten_changes_nothing(store: Store) -> None:
    promoted(store, "a", "b")
    store.delete("model/a-0123456789ab/manifest.json")
    with pytest.raises(UserError, match="not any more"):
        rolled_back(store, to=None)
    assert paths(store) == "ab"


def test_rollback_to_what_was_made_anew_changes_nothing(store: Store) -> None:
    promoted(store, "a", "b")
    store.delete("model/a-0123456789ab/manifest.json")
    commit(store, "model/a-0123456789ab", parents=["base/b-0123456789ab"])
    with pytest.raises(UserError, match="was made anew since it was version 1"):
        rolled_back(store, to=None)
    assert paths(store) == "ab"


@pytest.mark.parametrize("path", ["model/nothing-0123456789ab", "", "../x", "a//b", "model"])
def test_a_champion_must_be_there(store: Store, path: str) -> None:
    with pytest.raises(UserError, match="is no artifact of"):
        named(store, path)


def test_a_champion_must_be_a_model(store: Store) -> None:
    commit(store, "dataset/cs1-0123456789ab")
    with pytest.raises(UserError, match="is a dataset: expected a model"):
        named(store, "dataset/cs1-0123456789ab")
