"""A pointer moves for one of the contenders, and its history misses and invents nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from cluster.errors import IntegrityError
from cluster.pointers import advance, history, read
from cluster.store import Store

CURRENT = "pointers/champion/current.json"


def advanced(store: Store, *values: str) -> None:
    for value in values:
        now = read(store, "champion")
        expected = now.version if now else 0
        assert advance(store, "champion", value, expected=expected) is not None


def test_unset_pointer_reads_as_none(store: Store) -> None:
    assert read(store, "champion") is None
    assert history(store, "champion") == []


def test_advance_moves_the_pointer_and_keeps_the_history(store: Store) -> None:
    for version, value in enumerate([{"path": "a"}, {"path": "b"}, {"path": "a"}]):
        moved = advance(store, "champion", value, expected=version)
        assert moved is not None
        assert read(store, "champion") == moved
    past = history(store, "champion")
    assert [(one.version, one.value, one.previous) for one in past] == [
        (1, {"path": "a"}, None),
        (2, {"path": "b"}, {"path": "a"}),
        (3, {"path": "a"}, {"path": "b"}),
    ]


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_advance_from_another_version_changes_nothing(store: Store, expected: int) -> None:
    advance(store, "champion", "a", expected=0)
    second = advance(store, "champion", "b", expected=1)
    assert advance(store, "champion", "c", expected=expected) is None
    assert read(store, "champion") == second


def test_contenders_for_one_version_have_one_winner(store: Store) -> None:
    advance(store, "champion", "first", expected=0)
    with ThreadPoolExecutor(6) as pool:
        moves = list(pool.map(lambda n: advance(store, "champion", n, expected=1), range(6)))
    won = [move for move in moves if move is not None]
    assert len(won) == 1
    assert history(store, "champion")[1:] == won


def test_crash_between_filing_and_moving_changes_nothing_visible(store: Store) -> None:
    first = advance(store, "champion", "a", expected=0)
    store.create("pointers/champion/history/1.json", store.read("pointers/champion/current.json"))
    assert history(store, "champion") == [first]
    second = advance(store, "champion", "b", expected=1)
    assert history(store, "champion") == [first, second]


def test_lost_pointer_is_its_newest_filed_version(store: Store) -> None:
    advanced(store, "a", "b", "c")
    store.delete(CURRENT)
    assert [one.value for one in history(store, "champion")] == ["a", "b"]
    advanced(store, "d", "e")
    past = history(store, "champion")
    assert [(one.version, one.value) for one in past] == [(1, "a"), (2, "b"), (3, "d"), (4, "e")]
    assert past[2].previous == "b"


def test_restored_older_pointer_leaves_the_newer_history_as_it_is(store: Store) -> None:
    advanced(store, "a", "b")
    older = store.read(CURRENT)
    advanced(store, "c", "d")
    store.write(CURRENT, older)
    assert [one.value for one in history(store, "champion")] == ["a", "b"]
    advanced(store, "e")
    past = history(store, "champion")
    assert [(one.version, one.value) for one in past] == [(1, "a"), (2, "b"), (3, "c"), (4, "e")]


def test_two_different_versions_of_one_number_are_refused(local_store: Store) -> None:
    advanced(local_store, "a", "b")
    lost = local_store.read(CURRENT)
    local_store.delete(CURRENT)
    advanced(local_store, "c", "d")
    local_store.write(CURRENT, lost)
    with pytest.raises(IntegrityError, match=r"history/2\.json .* are different versions 2"):
        advance(local_store, "champion", "e", expected=2)


def test_damaged_pointer_is_refused(local_store: Store) -> None:
    local_store.write("pointers/champion/current.json", b'{"version": 1}')
    with pytest.raises(IntegrityError, match="current.json"):
        read(local_store, "champion")


def test_pointer_name_outside_its_folder_raises(local_store: Store) -> None:
    with pytest.raises(ValueError, match="pointer name"):
        read(local_store, "../x")
