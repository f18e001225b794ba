"""Random draws that depend on nothing but (seed, name of the draw, row).

Every value is a hash of its coordinates (a counter-based generator), so row i is the same whatever
shard it is produced in and whatever was drawn before it. The hash is the SplitMix64 finalizer
(Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014), applied once
to the row and once more to the position within the row.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of 64-bit integers in which every input bit flips half of the output bits."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def key_of(*parts: object) -> np.uint64:
    """A 64-bit key that names a stream of draws."""
    text = "/".join(str(part) for part in parts)
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:8], "<u8")[0]


@dataclass(frozen=True)
class Draws:
    """Independent draws for a set of rows; `rows` are global row numbers, shape (num_rows,)."""

    seed: int
    rows: NDArray[np.uint64]

    def bits(self, name: str, width: int) -> NDArray[np.uint64]:
        """Uniform 64-bit integers, shape (num_rows, width)."""
        row_key = mix(self.rows * _GOLDEN + key_of(self.seed, name))
        position = np.arange(1, width + 1, dtype=np.uint64) * _GOLDEN
        return mix(row_key[:, None] + position[None, :])

    def uniform(self, name: str, width: int = 1) -> NDArray[np.float64]:
        """Uniform floats in [0, 1), shape (num_rows, width)."""
        return (self.bits(name, width) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, name: str, bound: int | NDArray[np.int64]) -> NDArray[np.int64]:
        """One uniform integer in [0, bound) per row, shape (num_rows,)."""
        return (self.uniform(name)[:, 0] * bound).astype(np.int64)

    def permutation(self, name: str, width: int) -> NDArray[np.int64]:
        """A random order of range(width) per row, shape (num_rows, width)."""
        return np.argsort(self.bits(name, width), axis=1, kind="stable")

    def distinct(self, name: str, population: int, width: int) -> NDArray[np.int64]:
        """`width` different integers in [0, population) per row, in random order.

        Shape (num_rows, width). The j-th pick is the r-th integer not picked before, for uniform r.
        """
        uniform = self.uniform(name, width)
        picks = np.empty((len(self.rows), width), dtype=np.int64)
        for j in range(width):
            pick = (uniform[:, j] * (population - j)).astype(np.int64)
            for earlier in np.sort(picks[:, :j], axis=1).T:
                pick += pick >= earlier
            picks[:, j] = pick
        return picks
