"""Recipes: YAML files that name steps and their configuration, as one writes them.

    description: one line
    steps:
      dataset:            # the step's name; also its kind, unless `kind` says otherwise
        config: {...}     # fields of the kind's configuration; what is left out has its default
        uses: {...}       # role -> step name; a role is served by the step of its name by default
        resources: {...}  # workers, cpus_per_worker, gpus_per_worker: where it runs, not what it is
      model-{size}:       # a step for each value of size: model-1, model-2 (see jobs/grids.py)
        for: {size: [1, 2]}
"""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cluster.errors import UserError
from cluster.steps import Resources
from jobs.configs import first_problem
from jobs.grids import multiplied


class StepEntry(BaseModel):
    """One step as a recipe writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    uses: dict[str, str] = Field(default_factory=dict)
    resources: Resources = Resources()
    axes: dict[str, tuple[str | int | float, ...]] = Field(default_factory=dict, alias="for")


class Recipe(BaseModel):
    """A recipe as written, before its configurations are checked by their kinds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    steps: dict[str, StepEntry] = Field(min_length=1)


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    folder = files("jobs").joinpath("recipes")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir())


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe with this name, in this .yaml file or in this JSON, with overrides applied.

    Raises UserError when there is none, or it is not a recipe.
    """
    if name.startswith("{"):
        return make_recipe(_parse(name, "recipe"), "recipe", overrides)
    return make_recipe(_parse(_read(name), name), f"recipe {name}", overrides)


def make_recipe(written: object, where: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of parsed YAML, with `step.field=value` overrides applied.

    An override of a step with `for` is one of all that it stands for, unless they have their own.
    where: what the user calls it. Raises UserError when it is none.
    """
    recipe = _check(written, where)
    of_written = [each for each in overrides if each.partition(".")[0] in recipe.steps]
    recipe = _overridden(recipe, of_written)
    recipe = _check({**_dumped(recipe), "steps": multiplied(_dumped(recipe)["steps"])}, where)
    return _overridden(recipe, [each for each in overrides if each not in of_written])


def parse_yaml(path: Path, what: str) -> Any:
    """What a YAML file holds; what: what the user calls it. Raises UserError without any."""
    return _parse(_read_text(path, what), f"{what} {str(path)!r}")


def _read(name: str) -> str:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return _read_text(path, "recipe file")
    if name not in recipe_names():
        raise UserError(
            f"unknown recipe {name!r}: expected one of {', '.join(recipe_names())} "
            "or the path of a .yaml file"
        )
    return files("jobs").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")


def _read_text(path: Path, what: str) -> str:
    if not path.is_file():
        raise UserError(f"{what} {str(path)!r} does not exist")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{what} {str(path)!r} cannot be read: {error}") from error


def _check(written: object, where: str) -> Recipe:
    if not isinstance(written, dict):
        raise UserError(f"{where}: expected a mapping with description and steps")
    try:
        return Recipe.model_validate(written)
    except ValidationError as error:
        raise UserError(f"{where}: {first_problem(error)}") from error


def _dumped(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(exclude_unset=True, by_alias=True)


def _overridden(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    for override in overrides:
        written = _dumped(recipe)
        _override(written, override)
        recipe = _check(written, f"--set {override!r}")
    return recipe


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets the last of two equal keys win, which in a recipe is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is there twice")
        return super().construct_mapping(node, deep)


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _UniqueKeys)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{where}: not YAML: {reason}") from error


def _override(written: dict[str, Any], override: str) -> None:
    """Set `step.field[.field]=value`; what else a step has is beside its config."""
    path, equals, value = override.partition("=")
    step, *fields = path.split(".")
    if not equals or not fields:
        raise UserError(f"--set {override!r}: expected step.field=value, as in model.steps=300")
    steps = written["steps"]
    if step not in steps:
        raise UserError(f"--set {override!r}: no step {step!r}; expected one of {', '.join(steps)}")
    entry = steps[step]
    beside = fields[0] in ("resources", "uses", "for")
    place = entry if beside else entry.setdefault("config", {})
    for name in fields[:-1]:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise UserError(f"--set {override!r}: {name!r} holds a value, not fields")
    place[fields[-1]] = _parse(value, f"--set {override!r}")
