"""A proportion with its interval, and whether two models differ on the same items.

- Wilson's score interval (Wilson 1927; Brown, Cai and DasGupta 2001, "Interval Estimation for a
  Binomial Proportion", recommend it for any n). It never leaves [0, 1], and it does not collapse to
  a point when all or none of the items are right.
- McNemar's test in its exact form: only the items that one model alone has right tell the two
  apart, and if neither is better each falls to either side like a fair coin.
- Tango's score test: whether a model is worse than another by a margin, on the same items.
- The paired bootstrap: items are drawn again with both their answers, or with both their losses.
- Holm's adjustment, valid whatever the tests have to do with each other.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959964
"""The 97.5% quantile of the normal distribution: a two-sided 95% interval."""
SIGNIFICANT = 0.05
"""The p-value from which on two models are not distinguishable."""
_RESAMPLED = 2**22
"""Items counted at once over several resamples: 32 MiB of numbers."""


@dataclass(frozen=True, slots=True)
class Rate:
    """k of n, with the 95% Wilson interval from low to high."""

    k: int
    n: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The rate or mean of one model minus that of another, with a 95% interval from low to high."""

    difference: float
    low: float
    high: float


def wilson(k: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """The ends of the score interval of k successes in n trials, at z standard deviations."""
    if not 0 <= k <= n or n == 0:
        raise ValueError(f"no proportion in k={k} of n={n}: expected 0 <= k <= n and n >= 1")
    center = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return max(0.0, center - half), min(1.0, center + half)


def rate(k: int, n: int) -> Rate:
    """k of n with its 95% interval; n is at least 1."""
    low, high = wilson(k, n)
    return Rate(k, n, k / n, low, high)


def discordant(a: Sequence[bool], b: Sequence[bool]) -> tuple[int, int]:
    """How many items a alone has right, and b alone."""
    pairs = Counter(zip(a, b, strict=True))
    return pairs[True, False], pairs[False, True]


def mcnemar(b: int, c: int) -> float:
    """The exact two-sided p-value of McNemar's test; 1 when no item tells the models apart.

    Twice the smaller tail of the binomial distribution of b + c fair coins, at most 1.

    Args:
        b: items that only the first model has right.
        c: items that only the second model has right.

    Source: McNemar 1947, Psychometrika 12; the exact form is the sign test on the b + c items.
    """
    if b < 0 or c < 0:
        raise ValueError(f"no counts in b={b}, c={c}: expected both >= 0")
    if b == c:
        return 1.0
    n, k = b + c, min(b, c)
    # The tail C(n, 0) + ... + C(n, k), summed from its largest term down in multiples of C(n, k).
    # The terms shrink fast, and the one quotient of large integers is rounded correctly.
    term = tail = 1.0
    for i in range(k, 0, -1):
        term *= i / (n - i + 1)
        tail += term
        if term < 1e-18 * tail:
            break
    return min(1.0, math.comb(n, k) / 2 ** (n - 1) * tail)


def not_worse(only_new: int, only_old: int, n: int, margin: float) -> float:
    """The one-sided p-value of "the new model is worse by `margin` or more", on the same items.

    Small means that it is not: whoever calls it no worse below 0.05 is wrong with at most 5%
    probability. Few items prove little, even where no item tells the models apart.

    Args:
        only_new: items that the new model alone has right.
        only_old: items that the old model alone has right.
        n: all items.
        margin: a difference of rates, above 0 and below 1.

    Source: Tango 1998, Statistics in Medicine 17, section 3: the score statistic of H0: p12 - p21 =
    -margin, with p21 estimated by maximum likelihood under H0.
    """
    if min(only_new, only_old) < 0 or only_new + only_old > n or n < 1 or not 0 < margin < 1:
        raise ValueError(
            f"no test of {only_new} and {only_old} of {n} items at margin {margin}: expected "
            "counts of at most n together, n >= 1 and 0 < margin < 1"
        )
    delta = -margin
    b = -only_new - only_old + (2 * n - only_new + only_old) * delta
    c = -only_old * delta * (1 - delta)
    p21 = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance = n * (2 * p21 + delta * (1 - delta))
    excess = only_new - only_old + n * margin
    if variance <= 0:
        return 0.0 if excess > 0 else 1.0
    return 0.5 * math.erfc(excess / math.sqrt(variance) / math.sqrt(2))


def paired_bootstrap(
    a: Sequence[bool], b: Sequence[bool], *, seed: int, draws: int = 10_000
) -> Difference:
    """The rate of a minus the rate of b on the same items, with its 95% percentile interval.

    Positive means that a is better. Where no item tells the two apart, every resample says 0 and
    so does the interval.

    Args:
        a, b: whether each item is right, in the same order.
        draws: resamples of the items.

    Source: Efron 1979, Annals of Statistics 7; Koehn 2004, "Statistical Significance Tests for
    Machine Translation Evaluation" (resampling of items with both answers).
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(
            f"no pairs in {len(a)} and {len(b)} answers: expected as many of each, at least one"
        )
    if draws < 1:
        raise ValueError(f"draws={draws}: expected at least 1")
    n = len(a)
    only_a, only_b = discordant(a, b)
    # To draw n items again is to draw how many fall on each kind: a multinomial, of any n at once.
    shares = np.array([only_a, only_b, n - only_a - only_b]) / n
    counts = np.random.default_rng(seed).multinomial(n, shares, size=draws)
    low, high = np.quantile((counts[:, 0] - counts[:, 1]) / n, [0.025, 0.975])
    return Difference((only_a - only_b) / n, float(low), float(high))


def paired_mean_bootstrap(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    sizes: NDArray[np.float64],
    *,
    seed: int,
    draws: int = 10_000,
) -> Difference:
    """The mean of a minus the mean of b per unit of size, with its 95% percentile interval.

    Items are drawn again whole, because what they are made of (the tokens of a row) hangs together.

    Args:
        a, b: the sum over each item, in the same order.
        sizes: how many units each item has.
        draws: resamples of the items.

    Source: as of `paired_bootstrap`; the ratio of sums is Efron and Tibshirani 1993, chapter 10.
    """
    n = len(sizes)
    if not len(a) == len(b) == n or not sizes.sum():
        raise ValueError(
            f"no pairs in {len(a)} and {len(b)} sums of {n} sizes: expected as many of each, "
            "and some size above 0"
        )
    generator = np.random.default_rng(seed)
    differences = a - b
    found = []
    at_once = max(1, _RESAMPLED // n)
    for start in range(0, draws, at_once):
        counts = generator.multinomial(n, np.full(n, 1 / n), size=min(at_once, draws - start))
        # A resample of items without size says nothing; none is, where all have some.
        found.append((counts @ differences) / np.maximum(counts @ sizes, 1))
    low, high = np.quantile(np.concatenate(found), [0.025, 0.975])
    return Difference(float(differences.sum() / sizes.sum()), float(low), float(high))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for being so many, in the given order.

    Whoever rejects where the adjusted value is below 0.05 is wrong even once with at most 5%
    probability, whatever the dependence between the tests.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian
    Journal of Statistics 6.
    """
    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        raise ValueError(f"no p-value: {wrong[0]!r}; expected numbers from 0 to 1")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    by_size = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for num_before, index in enumerate(by_size):
        largest = max(largest, min(1.0, (len(p_values) - num_before) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def in_words(
    base: Rate, tuned: Rate, p: float, *, names: tuple[str, str] = ("base", "tuned")
) -> str:
    """Which model is better at p < 0.05, or that they cannot be told apart, with both rates.

    names: what base and tuned are called.
    """
    better = "not distinguishable"
    if p < SIGNIFICANT:
        better = f"{names[tuned.k > base.k]} is better"
    rates = f"{tuned.rate:.2f} against {base.rate:.2f}"
    return f"{better}: {rates}, {_p_in_words(p)}"


def _p_in_words(p: float) -> str:
    """The value rounded, but never across the level of significance."""
    if p < 0.001:
        return "p < 0.001"
    rounded = f"{p:.3f}"
    return "p just below 0.05" if p < SIGNIFICANT <= float(rounded) else f"p = {rounded}"
