"""What every stage of a curriculum can do and what it forgot: each model on each kind of item.

All models answer the same items. A stage is compared with the one before it, and the last one with
a control that saw the same rows in one stage: McNemar's exact test on the items of each bucket,
adjusted by Holm over the buckets of that comparison. The comparisons are not adjusted for each
other, and the test on all items stands for itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tinysql.config import Config
from tinysql.errors import InputError
from tinysql.evaluate.breakdown import (
    Cell,
    Comparison,
    Contrast,
    VerdictRow,
    breakdown,
    compare_models,
    totals,
)

TOKEN_TOLERANCE = 0.01
"""By what share the control's tokens may differ from those of the stages."""


class ForgettingConfig(Config):
    """Which models are set beside each other; they are named by the roles of their evaluations."""

    stages: tuple[str, ...] = Field(min_length=2)
    """Evaluations of the stages in the order of training, perhaps of the base model first."""
    control: str | None = None
    """Evaluation of a model that was trained on the rows of all stages at once; None: no such."""
    by: Literal["command_set", "hardness"] = "command_set"
    """What the columns of the matrix are."""
    tier: Literal["strict", "equivalent", "subset"] = "strict"
    """Which answers count as right."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        twice = [name for name in self.models if self.models.count(name) > 1]
        if twice:
            raise ValueError(f"stages and control: {twice[0]!r} is there twice")
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """All models in the order of the matrix."""
        return self.stages if self.control is None else (*self.stages, self.control)

    @property
    def comparisons(self) -> tuple[tuple[str, str], ...]:
        """Pairs of models: a stage after the one before it, the last stage after the control."""
        control = () if self.control is None else ((self.control, self.stages[-1]),)
        return (*pairwise(self.stages), *control)


@dataclass(frozen=True, slots=True)
class Trained:
    """What went into a model since the base that all models share."""

    steps: int
    """Optimizer steps, of all stages so far."""
    tokens: int
    """Tokens of the rows in them, each as often as it was seen."""


@dataclass(frozen=True, slots=True)
class Line:
    """One model's line of the matrix."""

    model: str
    trained: Trained
    cells: tuple[Cell, ...]
    """Of all items first, then bucket by bucket."""


@dataclass(frozen=True, slots=True)
class Change:
    """A model beside the one it is measured by, on the same items."""

    before: str
    after: str
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Matrix:
    """Every model on every bucket, and what changed from one to the next."""

    by: str
    tier: str
    lines: tuple[Line, ...]
    changes: tuple[Change, ...]

    @property
    def buckets(self) -> tuple[str, ...]:
        """The columns, all items first."""
        return tuple(cell.bucket for cell in self.lines[0].cells)

    @property
    def contrasts(self) -> list[list[Contrast | None]]:
        """A line for each change and a column for each bucket; None where there is but one."""
        found = []
        for change in self.changes:
            by_bucket = {each.bucket: each for each in change.comparison.contrasts}
            found.append([by_bucket.get(bucket) for bucket in self.buckets])
        return found

    def as_json(self) -> dict[str, Any]:
        """The whole matrix as JSON values."""
        return asdict(self)

    def in_words(self) -> list[str]:
        """What changed on all items, and where on a bucket: a line for each."""
        return [
            f"{change.after} beside {change.before}, {_where(self.by, found.bucket)}: {found.words}"
            for change in self.changes
            for found in change.comparison.contrasts
        ]


def forgetting_matrix(
    rows: Mapping[str, Sequence[VerdictRow]],
    trained: Mapping[str, Trained],
    config: ForgettingConfig,
) -> Matrix:
    """The matrix of the models' verdicts, by model.

    Raises InputError: the models did not answer the same items, or the control was not trained on
    as many tokens as the stages together.
    """
    _check_matched(trained, config)
    try:
        changes = tuple(
            Change(
                before,
                after,
                compare_models(
                    rows[before], rows[after],
                    tier=config.tier, kinds=(config.by,), names=(before, after),
                ),
            )
            for before, after in config.comparisons
        )  # fmt: skip
    except ValueError as error:
        raise InputError(f"the models cannot be compared: {error}") from error
    lines = tuple(Line(name, trained[name], _cells(rows[name], config)) for name in config.models)
    return Matrix(config.by, config.tier, lines, changes)


def _check_matched(trained: Mapping[str, Trained], config: ForgettingConfig) -> None:
    if config.control is None:
        return
    stages, control = (trained[name].tokens for name in (config.stages[-1], config.control))
    if abs(control - stages) > TOKEN_TOLERANCE * stages:
        raise InputError(
            f"control {config.control!r} was trained on {control} tokens and the stages on "
            f"{stages}, expected within {TOKEN_TOLERANCE:.0%}: give it as many steps as all stages "
            "have, on a mixture of theirs with the weights of their steps"
        )


def _cells(rows: Sequence[VerdictRow], config: ForgettingConfig) -> tuple[Cell, ...]:
    cells = (*totals(rows).cells, *breakdown(rows, config.by))
    return tuple(cell for cell in cells if cell.tier == config.tier)


def _where(by: str, bucket: str) -> str:
    return "all" if bucket == "all" else f"{by.replace('_', ' ')} {bucket}"
