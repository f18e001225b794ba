"""Distributions that are filled value by value in memory that does not grow with their number."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Lengths:
    """A distribution of whole numbers, kept exactly: lengths take few different values."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, value: int) -> None:
        """Count one value."""
        self.counts[value] += 1

    def quantile(self, share: float) -> int:
        """The smallest value that at least this share of the values do not exceed; 0 for none."""
        need = share * self.counts.total()
        seen = 0
        for value, count in sorted(self.counts.items()):
            seen += count
            if seen >= need:
                return value
        return 0

    def as_json(self) -> dict[str, Any]:
        """Mean, extremes and quantiles."""
        total = self.counts.total()
        if not total:
            return {"mean": None, "min": None, "median": None, "p95": None, "max": None}
        whole = sum(value * count for value, count in self.counts.items())
        return {
            "mean": round(whole / total, 3),
            "min": min(self.counts),
            "median": self.quantile(0.5),
            "p95": self.quantile(0.95),
            "max": max(self.counts),
        }


@dataclass
class Mean:
    """A running mean."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """Count one value."""
        self.total += value
        self.count += 1

    @property
    def value(self) -> float | None:
        """The mean, None of nothing."""
        return round(self.total / self.count, 4) if self.count else None
