"""Quantities of Kubernetes: "500m", "16Gi", 4."""

import re

_UNITS = {"m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
          "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}  # fmt: skip


def amount(written: str | int | float) -> float:
    """A quantity as a number: cores, bytes, pieces. Raises ValueError where it is none."""
    number = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(written))
    if number is None or number[2] not in _UNITS:
        raise ValueError(f"{written!r} is no quantity")
    return float(number[1]) * _UNITS[number[2]]
