"""What a mixture is: how many rows of which datasets, and which rows of each may be drawn."""

import math
import re
from typing import Literal, Self

from pydantic import Field, model_validator

from tinysql.config import Config

MAIN_SPLITS = ("train", "validation", "test")
_PART_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = ("config", "shard", "device")
"""What the function that mixes is given beside the parts, by these names."""


class PartConfig(Config):
    """One dataset's share of a mixture."""

    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Its share of the rows is this over the sum of all weights."""
    command_sets: tuple[int, ...] | None = Field(default=None, min_length=1)
    """Only rows of these command sets; None: of any, also of none."""
    hardness: tuple[Literal["easy", "medium", "hard", "extra"], ...] | None = Field(
        default=None, min_length=1
    )
    """Only rows of these levels of Spider's; None: of any, also of none."""

    @property
    def in_words(self) -> str:
        """What its rows are, for people: "of command sets 1, 2 and hardness easy"."""
        conditions = (("command sets", self.command_sets), ("hardness", self.hardness))
        said = " and ".join(
            f"{name} {', '.join(map(str, values))}" for name, values in conditions if values
        )
        return f"of {said}" if said else "of any kind"


class MixtureConfig(Config):
    """Which rows a mixture has; its parts are names of roles that datasets play."""

    parts: dict[str, PartConfig] = Field(min_length=1)
    """The parts by name; their order is that of their names."""
    train_rows: int = Field(default=60_000, ge=1)
    """Rows of the train split, drawn from the parts' train splits."""
    validation_rows: int = Field(default=1_000, ge=0)
    """The same of validation; 0 leaves the split out."""
    test_rows: int = Field(default=1_000, ge=0)
    """The same of test; 0 leaves the split out."""
    seed: int = Field(default=0, ge=0)
    """Seed of every draw."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.parts:
            if not _PART_NAME.fullmatch(name) or name in _TAKEN:
                raise ValueError(
                    f"parts: got the name {name!r}, expected small letters, digits and _, "
                    f"and none of {', '.join(_TAKEN)}"
                )
        return self

    @property
    def sizes(self) -> dict[str, int]:
        """Rows by split, of the splits that have any."""
        rows = (self.train_rows, self.validation_rows, self.test_rows)
        return {split: size for split, size in zip(MAIN_SPLITS, rows, strict=True) if size}

    def shares(self, split: str) -> dict[str, int]:
        """Rows of a split by part, in the order of names.

        What is left over after rounding down goes to the parts that lost most by it.
        """
        names, rows = sorted(self.parts), self.sizes[split]
        total = math.fsum(part.weight for part in self.parts.values())
        exact = [rows * (self.parts[name].weight / total) for name in names]
        counts = [math.floor(share) for share in exact]
        by_loss = sorted(range(len(names)), key=lambda index: counts[index] - exact[index])
        for index in by_loss[: rows - sum(counts)]:
            counts[index] += 1
        return dict(zip(names, counts, strict=True))
