"""A sweep: which trainings are tried, when a bad one is given up, and what counts as the best."""

import copy
import itertools
import re
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from tinysql.config import Config
from tinysql.train.config import TrainingConfig, identify_training

DATASET = "dataset"
"""The field of a grid that is no training field but the role of a parent."""
_ROLE = re.compile(r"dataset(-[a-z0-9._-]+)?")


class AshaConfig(Config):
    """When a trial is given up, as in ASHA (Li et al. 2018, algorithm 2)."""

    grace_steps: int | None = Field(default=None, ge=1)
    """Steps that every trial gets; None: a fifth of those of the longest trial."""
    reduction_factor: float = Field(default=3, gt=1)
    """Of the trials on one dataset that have come to a rung, the best 1/reduction_factor go on.
    Rungs are grace_steps times the powers of this."""


class Trial(NamedTuple):
    """One training of a sweep."""

    name: str
    dataset: str
    """Role of the dataset that it trains on and is validated on."""
    settings: dict[str, JsonValue]
    """What it has of the grid."""
    training: TrainingConfig


class SweepConfig(Config):
    """The trainings that are tried: every combination of the grid's values."""

    training: dict[str, JsonValue]
    """Fields of the training that all trials share."""
    grid: dict[str, tuple[JsonValue, ...]] = Field(min_length=1)
    """Values to try, by training field, dotted where nested (adapter.rank); under `dataset` the
    roles of datasets: dataset, or dataset- and a word."""
    metric: Literal["validation_loss", "validation_exact_match"] = "validation_loss"
    """What makes a trial better than another one on the same dataset."""
    asha: AshaConfig | None = AshaConfig()
    """When a trial is given up before its last step, which depends on what the others have come to
    by then; None: never, and the same sweep gives the same table."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """Roles of the datasets."""
        return tuple(str(role) for role in self.grid.get(DATASET, (DATASET,)))

    @property
    def key(self) -> str:
        """The metric's name in the training log."""
        return self.metric.removeprefix("validation_")

    @property
    def most_steps(self) -> int:
        """Steps of the longest trial."""
        return max(trial.training.steps for trial in trials_of(self))

    @property
    def grace_steps(self) -> int:
        """Steps that every trial gets under ASHA."""
        assert self.asha is not None
        return min(self.most_steps, self.asha.grace_steps or max(1, self.most_steps // 5))

    @field_validator("grid", mode="before")
    @classmethod
    def _flatten(cls, grid: object) -> object:
        """Fields inside fields, as `--set sweep.grid.adapter.rank=[4,8]` makes them, dotted."""
        if not isinstance(grid, dict):
            return grid
        dotted = _dotted(grid)
        for field, values in dotted.items():
            if not isinstance(values, list | tuple):
                raise ValueError(f"{field}: got {values!r}, expected a list, as in [{values!r}]")
        return dotted

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field, values in self.grid.items():
            if not values or any(values.count(value) > 1 for value in values):
                raise ValueError(f"grid.{field}: got {list(values)}, expected distinct values")
        for role in self.datasets:
            if not _ROLE.fullmatch(role):
                raise ValueError(
                    f"grid.dataset: got {role!r}, expected dataset, or dataset- and a word"
                )
        if self.metric == "validation_loss" and len(self.grid.get("prompt_weight", ())) > 1:
            raise ValueError(
                "grid.prompt_weight: it weighs the loss itself: set metric to "
                "validation_exact_match, which it leaves comparable"
            )
        if any(trial.training.execution_rows for trial in trials_of(self)):
            raise ValueError("execution_rows: trials run no answers, leave it out")
        return self


def trials_of(config: SweepConfig) -> list[Trial]:
    """Every combination, the last field of the grid changing fastest.

    Raises ValueError: one of them is no training.
    """
    trials = []
    for number, values in enumerate(itertools.product(*config.grid.values())):
        settings = dict(zip(config.grid, values, strict=True))
        fields = {name: value for name, value in settings.items() if name != DATASET}
        trials.append(
            Trial(
                name=f"trial-{number:03d}",
                dataset=str(settings.get(DATASET, DATASET)),
                settings=settings,
                training=_training(config.training, fields),
            )
        )
    return trials


def identify_sweep(config: SweepConfig) -> dict[str, Any]:
    """What decides the outcome: the trainings themselves, however they are written."""
    trials = [
        {"dataset": trial.dataset, "training": identify_training(trial.training)}
        for trial in trials_of(config)
    ]
    return {**config.model_dump(mode="json", include={"metric", "asha"}), "trials": trials}


def _training(shared: dict[str, JsonValue], fields: dict[str, JsonValue]) -> TrainingConfig:
    written = copy.deepcopy(shared)
    for name, value in fields.items():
        place: Any = written
        *outer, last = name.split(".")
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = value
    try:
        return TrainingConfig.model_validate(written)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "unknown field of a training"
        where = f"{'grid' if place in fields else 'training'}.{place}: " if place else ""
        got = "" if problem["type"] == "missing" or not place else f" (got {problem['input']!r})"
        raise ValueError(f"{where}{message}{got}") from error


def _dotted(grid: dict[Any, Any], outer: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, values in grid.items():
        if isinstance(values, dict):
            flat |= _dotted(values, f"{outer}{name}.")
        else:
            flat[f"{outer}{name}"] = values
    return flat
