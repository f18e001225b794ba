"""Random draws: uniform, independent of each other, and the same in any company."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tinysql.data.draws import Draws, mix

NUM_ROWS = 20_000


def draws_of(seed: int = 0, num_rows: int = NUM_ROWS) -> Draws:
    return Draws(seed, np.arange(num_rows, dtype=np.uint64))


def assert_uniform(values: NDArray[np.int64], population: int) -> None:
    """Chi-square against equal counts, within six standard deviations of its mean."""
    counts = np.bincount(values.ravel(), minlength=population)
    assert len(counts) == population
    expected = values.size / population
    statistic = ((counts - expected) ** 2 / expected).sum()
    freedom = population - 1
    assert abs(statistic - freedom) < 6 * np.sqrt(2 * freedom)


def test_mix_of_different_integers_is_different() -> None:
    assert len(np.unique(mix(np.arange(100_000, dtype=np.uint64)))) == 100_000


@pytest.mark.parametrize("bit", [0, 1, 31, 32, 63])
def test_mix_of_one_changed_bit_flips_half_of_the_bits(bit: int) -> None:
    values = mix(np.arange(4096, dtype=np.uint64))
    flipped = mix(np.arange(4096, dtype=np.uint64) ^ np.uint64(1 << bit))
    share = np.bitwise_count(values ^ flipped).mean() / 64
    assert 0.48 < share < 0.52


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_below_a_bound_is_uniform(seed: int) -> None:
    assert_uniform(draws_of(seed).below("x", 37), 37)


def test_below_a_bound_per_row_stays_below_it() -> None:
    bounds = np.arange(NUM_ROWS) % 9 + 1
    values = draws_of().below("x", bounds)
    assert (values >= 0).all()
    assert (values < bounds).all()
    assert_uniform(values[bounds == 9], 9)


def test_uniform_neighbors_are_uncorrelated() -> None:
    square = draws_of().uniform("x", 4)
    other_name = draws_of().uniform("y", 4)
    other_seed = draws_of(1).uniform("x", 4)
    pairs = [
        (square[:, 0], square[:, 1]),
        (square[:-1, 0], square[1:, 0]),
        (square[:, 0], other_name[:, 0]),
        (square[:, 0], other_seed[:, 0]),
    ]
    for left, right in pairs:
        cells = (left * 8).astype(np.int64) * 8 + (right * 8).astype(np.int64)
        assert_uniform(cells, 64)


def test_order_is_every_order_equally_often_and_puts_the_rest_last() -> None:
    orders = draws_of().order("x", np.tile([True, False, True, True], (NUM_ROWS, 1)))
    assert (np.sort(orders[:, :3], axis=1) == [0, 2, 3]).all()
    assert (orders[:, 3] == 1).all()
    _, kinds = np.unique(orders @ np.array([64, 16, 4, 1]), return_inverse=True)
    assert_uniform(kinds, 6)


def test_choice_is_any_of_the_allowed_equally_often() -> None:
    allowed = np.tile([True, False, True, True], (NUM_ROWS, 1))
    allowed[:100] = False
    chosen = draws_of().choice("x", allowed)
    assert (chosen[:100] == -1).all()
    assert_uniform(np.searchsorted([0, 2, 3], chosen[100:]), 3)


@pytest.mark.parametrize(
    ("population", "width"), [(2, 2), (7, 3), (17, 17), (74, 6), (300, 20), (941, 36)]
)
def test_distinct_picks_are_distinct_and_uniform_at_every_position(
    population: int, width: int
) -> None:
    picks = draws_of().distinct("x", population, width)
    assert picks.shape == (NUM_ROWS, width)
    assert (np.diff(np.sort(picks, axis=1), axis=1) > 0).all()
    assert picks.min() == 0
    assert picks.max() == population - 1
    if population < 50:  # few pairs of halves: only about uniform, as the docstring says
        return
    for position in range(width):
        assert_uniform(picks[:, position], population)
    neighbors = picks[:, :-1] * 5 // population * 5 + picks[:, 1:] * 5 // population
    counts = np.bincount(neighbors.ravel(), minlength=25)
    assert counts.min() > 0.9 * counts.mean() * (1 - 5 / population)


@pytest.mark.parametrize("draw", ["bits", "uniform", "below", "distinct"])
def test_draws_of_any_rows_in_any_order_are_those_of_all_rows(draw: str) -> None:
    arguments = {"below": (9,), "distinct": (30, 4)}.get(draw, (4,))
    everything = getattr(draws_of(num_rows=200), draw)("x", *arguments)
    some = np.random.default_rng(0).permutation(200)[:50]
    found = getattr(Draws(0, some.astype(np.uint64)), draw)("x", *arguments)
    np.testing.assert_array_equal(found, everything[some])


def test_draws_at_places_are_those_of_the_whole() -> None:
    whole = draws_of(num_rows=50).uniform("x", 7)
    rows, places = np.nonzero(whole > 0.5)
    found = draws_of(num_rows=50).at("x", rows, places)
    np.testing.assert_array_equal(found, whole[rows, places])


def test_wider_draws_begin_with_the_narrower_ones() -> None:
    np.testing.assert_array_equal(
        draws_of(num_rows=9).bits("x", 8)[:, :3], draws_of(num_rows=9).bits("x", 3)
    )
