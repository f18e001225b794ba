"""Random draws that depend on nothing but (seed, name of the draw, row).

Every value is a hash of its coordinates (a counter-based generator), so row i is the same whatever
shard it is produced in and whatever was drawn before it. The hash is the SplitMix64 finalizer
(Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014), applied once
to the row and once more to the position within the row.
"""

import hashlib
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ROUNDS = 4


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
        position = np.arange(1, width + 1, dtype=np.uint64) * _GOLDEN
        return mix(self._row_keys(name)[:, None] + position[None, :])

    def uniform(self, name: str, width: int = 1) -> NDArray[np.float64]:
        """Uniform floats in [0, 1), shape (num_rows, width)."""
        return (self.bits(name, width) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def at(
        self, name: str, rows: NDArray[np.int64], position: NDArray[np.int64] | int = 0
    ) -> NDArray[np.float64]:
        """uniform(name, ...)[rows, position], without drawing the rest."""
        steps = (np.asarray(position) + 1).astype(np.uint64) * _GOLDEN
        bits = mix(self._row_keys(name)[rows] + steps)
        return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def one(self, name: str) -> NDArray[np.float64]:
        """One uniform float in [0, 1) per row, shape (num_rows,)."""
        return self.uniform(name)[:, 0]

    def chance(self, name: str, probability: float) -> NDArray[np.bool_]:
        """True with that probability, shape (num_rows,)."""
        return self.one(name) < probability

    def below(self, name: str, bound: int | NDArray[np.int64]) -> NDArray[np.int64]:
        """One uniform integer in [0, bound) per row, shape (num_rows,); 0 where bound is 0."""
        return (self.one(name) * bound).astype(np.int64)

    def choice(self, name: str, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """One of the allowed positions of each row, -1 where none is; allowed: (num_rows, n)."""
        keys = np.where(allowed, self.uniform(name, allowed.shape[1]), -1.0)
        return np.where(allowed.any(axis=1), keys.argmax(axis=1), -1)

    def order(self, name: str, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The allowed positions of each row in random order, followed by the others.

        Shape (num_rows, n) for allowed of shape (num_rows, n).
        """
        keys = np.where(allowed, self.uniform(name, allowed.shape[1]), 2.0)
        return np.argsort(keys, axis=1, kind="stable")

    def distinct(self, name: str, population: int, width: int) -> NDArray[np.int64]:
        """`width` different integers in [0, population) per row, in random order.

        Shape (num_rows, width); uniform for populations of some dozens or more. The row's key
        permutes the numbers 0, 1, ... by a Feistel network over pairs below (side, side), walked
        on while it leaves the population: Black and Rogaway, "Ciphers with Arbitrary Finite
        Domains", CT-RSA 2002.
        """
        side = isqrt(population - 1) + 1
        rounds = np.arange(1, 1 + _ROUNDS, dtype=np.uint64)
        keys = mix(self._row_keys(name)[:, None] + rounds[None, :])

        def permute(values: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
            left, right = np.divmod(values, side)
            for key in keys:
                noise = (right.astype(np.uint64) + key) * _GOLDEN
                noise = (noise ^ (noise >> np.uint64(29))) * _GOLDEN >> np.uint64(32)
                shifted = left + (noise * np.uint64(side) >> np.uint64(32)).astype(np.int64)
                left, right = right, np.where(shifted < side, shifted, shifted - side)
            return left * side + right

        every = np.broadcast_to(np.arange(width), (len(self.rows), width))
        picks = permute(every, keys.T[:, :, None])
        while len(outside := np.argwhere(picks >= population)):
            row, column = outside.T
            picks[row, column] = permute(picks[row, column], keys[row].T)
        return picks

    def _row_keys(self, name: str) -> NDArray[np.uint64]:
        return mix(self.rows * _GOLDEN + key_of(self.seed, name))
