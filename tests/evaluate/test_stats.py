import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysql.evaluate.stats import (
    Z_95,
    discordant,
    holm,
    in_words,
    mcnemar,
    not_worse,
    paired_bootstrap,
    paired_mean_bootstrap,
    rate,
    wilson,
)

COUNTS = st.integers(0, 300)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    # Published: Newcombe 1998 (Statistics in Medicine 17), table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_published_intervals(k: int, n: int, low: float, high: float) -> None:
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (3, 7), (500, 1000), (1000, 1000)])
def test_wilson_ends_solve_the_score_equation(k: int, n: int) -> None:
    for end in wilson(k, n):
        assert abs(k / n - end) == pytest.approx(Z_95 * math.sqrt(end * (1 - end) / n), abs=1e-9)


def test_wilson_is_symmetric_and_contains_the_rate() -> None:
    for n in (1, 5, 40):
        for k in range(n + 1):
            low, high = wilson(k, n)
            assert 0 <= low <= k / n <= high <= 1
            assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("k", "n"), [(0, 0), (2, 1), (-1, 5)])
def test_rate_refuses_what_is_no_proportion(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        rate(k, n)


def enumerated_mcnemar(b: int, c: int) -> float:
    """The share of all outcomes of b + c coins that are at least as far from even as this one."""
    distance = abs(b - c)
    outcomes = [abs(2 * sum(coins) - (b + c)) for coins in product((0, 1), repeat=b + c)]
    return sum(each >= distance for each in outcomes) / len(outcomes)


@pytest.mark.parametrize(("b", "c"), [(b, c) for b in range(11) for c in range(11 - b)])
def test_mcnemar_agrees_with_the_enumeration_of_all_outcomes(b: int, c: int) -> None:
    assert mcnemar(b, c) == pytest.approx(enumerated_mcnemar(b, c), rel=1e-12)


@given(COUNTS, COUNTS)
def test_mcnemar_agrees_with_exact_fractions(b: int, c: int) -> None:
    tail = sum(math.comb(b + c, i) for i in range(min(b, c) + 1))
    exact = min(Fraction(1), Fraction(2 * tail, 2 ** (b + c)))
    assert mcnemar(b, c) == pytest.approx(float(exact), rel=1e-12)
    assert mcnemar(b, c) == mcnemar(c, b)


@given(COUNTS, COUNTS)
def test_mcnemar_falls_as_one_model_gains(b: int, c: int) -> None:
    small, large = sorted((b, c))
    assert 0 <= mcnemar(small, large + 1) <= mcnemar(small, large) <= 1


def test_mcnemar_of_large_counts_is_a_number() -> None:
    assert mcnemar(50_000, 50_000) == 1
    # Close to the normal approximation with continuity correction at z = 2.
    normal = math.erfc((1000 - 1) / math.sqrt(250_000) / math.sqrt(2))
    assert mcnemar(124_500, 125_500) == pytest.approx(normal, rel=1e-3)
    assert mcnemar(0, 200_000) == 0
    assert mcnemar(0, 1000) == pytest.approx(2.0**-999)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="no counts"):
        mcnemar(-1, 3)


def cells(both: int, only_a: int, only_b: int, neither: int) -> tuple[list[bool], list[bool]]:
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return a, b


def likeliest_p21(only_new: int, only_old: int, n: int, margin: float) -> float:
    """Where the likelihood under "worse by the margin" is largest, by bisection of its slope."""
    both = n - only_new - only_old

    def slope(p21: float) -> float:
        left = only_new / (p21 - margin) if only_new else 0.0
        right = 2 * both / (1 - 2 * p21 + margin) if both else 0.0
        return left + only_old / p21 - right

    low, high = margin, (1 + margin) / 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return low


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 900), st.floats(0.005, 0.3))
def test_not_worse_is_the_score_test_at_the_likeliest_rates(
    only_new: int, only_old: int, both: int, margin: float
) -> None:
    n = only_new + only_old + both
    p21 = likeliest_p21(only_new, only_old, n, margin)
    variance = n * (p21 + (p21 - margin) - margin**2)
    z = (only_new - only_old + n * margin) / math.sqrt(variance)
    expected = 0.5 * math.erfc(z / math.sqrt(2))
    assert not_worse(only_new, only_old, n, margin) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_not_worse_is_seldom_said_of_a_model_that_is_worse_by_the_margin() -> None:
    n, margin, p21 = 400, 0.05, 0.08
    draws = np.random.default_rng(1).multinomial(n, [p21 - margin, p21, 1 - 2 * p21 + margin], 2000)
    wrong = np.mean([not_worse(int(new), int(old), n, margin) < 0.05 for new, old, _ in draws])
    assert 0.03 < wrong < 0.07


def test_not_worse_needs_items() -> None:
    assert not_worse(0, 0, 20, 0.05) > 0.05
    assert not_worse(0, 0, 200, 0.05) < 0.05


@pytest.mark.parametrize(
    ("b", "c", "n", "margin"), [(-1, 0, 9, 0.1), (5, 5, 9, 0.1), (0, 0, 0, 0.1), (0, 0, 9, 0.0)]
)
def test_not_worse_refuses_what_is_no_comparison(b: int, c: int, n: int, margin: float) -> None:
    with pytest.raises(ValueError, match="no test"):
        not_worse(b, c, n, margin)


def test_discordant_counts_who_is_right_alone() -> None:
    assert discordant(*cells(4, 3, 2, 1)) == (3, 2)
    with pytest.raises(ValueError, match="zip"):
        discordant([True], [])


def test_bootstrap_agrees_with_drawing_the_items_themselves() -> None:
    a, b = cells(60, 25, 10, 5)
    pairs = np.array([a, b], dtype=float)
    drawn = np.random.default_rng(7).integers(0, 100, size=(20_000, 100))
    differences = (pairs[0] - pairs[1])[drawn].mean(axis=1)
    found = paired_bootstrap(a, b, seed=0, draws=20_000)
    assert found.difference == pytest.approx(0.15)
    low, high = np.quantile(differences, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.0101)


def test_bootstrap_interval_covers_the_true_difference() -> None:
    shares = [0.5, 0.2, 0.1, 0.2]
    generator = np.random.default_rng(3)
    covered = 0
    for seed in range(400):
        a, b = cells(*generator.multinomial(200, shares).tolist())
        found = paired_bootstrap(a, b, seed=seed, draws=1000)
        covered += found.low <= 0.1 <= found.high
    # Six standard deviations of a binomial count around 95%.
    assert abs(covered / 400 - 0.95) < 6 * math.sqrt(0.95 * 0.05 / 400)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60), st.integers(0))
def test_bootstrap_is_a_function_of_its_seed_around_the_difference(
    pairs: list[tuple[bool, bool]], seed: int
) -> None:
    a, b = ([pair[side] for pair in pairs] for side in (0, 1))
    found = paired_bootstrap(a, b, seed=seed, draws=200)
    assert found == paired_bootstrap(a, b, seed=seed, draws=200)
    assert found.difference == pytest.approx((sum(a) - sum(b)) / len(a))
    assert -1 <= found.low <= found.high <= 1


def test_bootstrap_of_the_same_answers_says_zero() -> None:
    a, _ = cells(5, 5, 0, 0)
    found = paired_bootstrap(a, a, seed=0)
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_bootstrap_of_many_items_takes_little_memory() -> None:
    a, b = cells(500_000, 300_000, 100_000, 100_000)
    found = paired_bootstrap(a, b, seed=0)
    assert found.low < 0.2 < found.high
    assert found.high - found.low < 0.005


@pytest.mark.parametrize(("a", "b"), [([], []), ([True], [True, False])])
def test_bootstrap_refuses_what_is_not_paired(a: list[bool], b: list[bool]) -> None:
    with pytest.raises(ValueError, match="no pairs"):
        paired_bootstrap(a, b, seed=0)


def plain_holm(p_values: list[float]) -> list[float]:
    """Holm's procedure as a loop: the level at which each hypothesis is first rejected."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    for place, index in enumerate(order):
        candidates = [(len(p_values) - j) * p_values[order[j]] for j in range(place + 1)]
        adjusted[index] = min(1.0, max(candidates))
    return adjusted


P_VALUES = st.lists(st.floats(0, 1), max_size=12)


@given(P_VALUES)
def test_holm_agrees_with_a_plain_loop(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(plain_holm(p_values))


@given(P_VALUES)
def test_holm_never_lowers_a_value_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= after <= 1 for p, after in zip(p_values, adjusted, strict=True))
    by_p = [after for _, after in sorted(zip(p_values, adjusted, strict=True))]
    assert by_p == sorted(by_p)


def test_holm_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_no_p_value(p: float) -> None:
    with pytest.raises(ValueError, match="no p-value"):
        holm([0.5, p])


@pytest.mark.parametrize(
    ("base", "tuned", "p", "words"),
    [
        (71, 93, 0.0002, "tuned is better: 0.93 against 0.71, p < 0.001"),
        (93, 71, 0.01, "base is better: 0.71 against 0.93, p = 0.010"),
        (71, 93, 0.05, "not distinguishable: 0.93 against 0.71, p = 0.050"),
        (71, 93, 0.0499, "tuned is better: 0.93 against 0.71, p just below 0.05"),
        (71, 71, 1.0, "not distinguishable: 0.71 against 0.71, p = 1.000"),
    ],
)
def test_words_follow_from_the_p_value(base: int, tuned: int, p: float, words: str) -> None:
    assert in_words(rate(base, 100), rate(tuned, 100), p) == words


def test_mean_bootstrap_agrees_with_the_normal_approximation_of_a_ratio() -> None:
    generator = np.random.default_rng(1)
    sizes = generator.integers(5, 50, 400).astype(float)
    b = sizes * generator.normal(2.0, 0.2, 400)
    a = b + sizes * generator.normal(0.1, 0.5, 400)
    found = paired_mean_bootstrap(a, b, sizes, seed=0)
    ratio = (a - b).sum() / sizes.sum()
    assert found.difference == pytest.approx(ratio)
    # Linearized: Cochran 1977, "Sampling Techniques", section 2.11.
    error = np.sqrt(((a - b - ratio * sizes) ** 2).sum()) / sizes.sum()
    assert found.low == pytest.approx(ratio - Z_95 * error, abs=0.1 * error)
    assert found.high == pytest.approx(ratio + Z_95 * error, abs=0.1 * error)


def test_mean_bootstrap_of_one_and_the_same_is_zero_and_of_a_shift_the_shift() -> None:
    sizes = np.array([3.0, 8.0, 1.0])
    b = np.array([1.0, 2.0, 3.0])
    for shift in (0.0, 0.25):
        found = paired_mean_bootstrap(b + shift * sizes, b, sizes, seed=0, draws=50)
        assert (found.difference, found.low, found.high) == pytest.approx((shift,) * 3)


def test_mean_bootstrap_does_not_depend_on_how_many_resamples_are_made_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.default_rng(2)
    a, b, sizes = generator.random((3, 20)) + 1
    whole = paired_mean_bootstrap(a, b, sizes, seed=3, draws=100)
    monkeypatch.setattr("tinysql.evaluate.stats._RESAMPLED", 45)
    again = paired_mean_bootstrap(a, b, sizes, seed=3, draws=100)
    assert (again.low, again.high) == pytest.approx((whole.low, whole.high), rel=1e-12)


@pytest.mark.parametrize("sizes", [[1.0, 2.0], [0.0, 0.0, 0.0], []])
def test_mean_bootstrap_refuses_what_is_no_pairs(sizes: list[float]) -> None:
    with pytest.raises(ValueError, match="no pairs"):
        paired_mean_bootstrap(np.ones(3), np.ones(3), np.array(sizes), seed=0)
