"""A proportion with its interval.

Wilson's score interval (Wilson 1927; Brown, Cai and DasGupta 2001, "Interval Estimation for a
Binomial Proportion", recommend it for any n). It never leaves [0, 1], and it does not collapse to a
point when all or none of the items are right.
"""

import math
from dataclasses import dataclass

Z_95 = 1.959964
"""The 97.5% quantile of the normal distribution: a two-sided 95% interval."""


@dataclass(frozen=True, slots=True)
class Rate:
    """k of n, with the 95% Wilson interval from low to high."""

    k: int
    n: int
    rate: float
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
