"""Recipes: YAML files that name steps and their configuration, turned into steps.

    description: one line
    steps:
      dataset:            # the step's name; also its kind, unless `kind` says otherwise
        config: {...}     # fields of the kind's configuration; what is left out has its default
        uses: {...}       # role -> step name; a role is served by the step of its name by default
        resources: {...}  # workers, cpus_per_worker, gpus_per_worker: where it runs, not what it is
      model-{size}:       # a step for each value of size: model-1, model-2 (see jobs/grids.py)
        for: {size: [1, 2]}
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cluster.errors import UserError
from cluster.steps import Resources, Step, StepKind
from jobs.grids import multiplied

_DATASETS = ("dataset", "natural", "import", "mixture")
_SERVED_BY = {
    "baseline": ("evaluation",),
    "base": ("base", "model"),
    "model": ("model", "base"),
    "dataset": _DATASETS,
}
"""Kinds that can play a role, where not the one kind of its name."""
_NAMED_BY_CONFIG = {"mixture": _DATASETS, "forgetting": ("evaluation",)}
"""Kinds whose roles have the names that their configuration gives them, and who can play those."""
Config = TypeVar("Config", bound=BaseModel)


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
    """The recipe with this name, or in this .yaml file, with `step.field=value` overrides applied.

    Raises UserError when there is none, or it is not a recipe.
    """
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


def build_steps(recipe: Recipe, kinds: Mapping[str, StepKind]) -> dict[str, Step]:
    """The recipe's steps by name, wired to their parents; raises UserError on a mistake."""
    steps: dict[str, Step] = {}

    def build(name: str, wanted_by: tuple[str, ...]) -> Step:
        if name in wanted_by:
            raise UserError(f"steps: {' -> '.join([*wanted_by, name])} is a circle")
        if name not in recipe.steps:
            raise UserError(
                f"steps.{wanted_by[-1]}: uses {name!r}, which is not a step of this recipe; "
                f"expected one of {', '.join(recipe.steps)}"
            )
        if name not in steps:
            entry = recipe.steps[name]
            kind = _kind_of(name, entry, kinds)
            config = _config_of(name, entry, kind)
            roles = kind.parents(config)
            named = kind.name in _NAMED_BY_CONFIG
            _check_uses(name, entry, roles if named else _roles(kinds, roles))
            parents = {
                role: build(entry.uses.get(role, role), (*wanted_by, name)) for role in roles
            }
            _check_parents(name, kind, parents)
            steps[name] = Step(name, kind, config, parents, entry.resources)
        return steps[name]

    for name in recipe.steps:
        build(name, ())
    return steps


def first_problem(error: ValidationError) -> str:
    """The first mistake pydantic found, in one line."""
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown key"
    got = "" if problem["type"] in ("value_error", "missing") else f" (got {problem['input']!r})"
    return f"{place}: {message}{got}" if place else f"{message}{got}"


def checked_config(
    config: type[Config], values: Mapping[str, object], options: Mapping[str, str] | None = None
) -> Config:
    """A configuration made of command line options; raises UserError in one line.

    options: what the user calls a field.
    """
    try:
        return config.model_validate(values)
    except ValidationError as error:
        field, colon, problem = first_problem(error).partition(":")
        option = (options or {}).get(field.partition(".")[0], field)
        raise UserError(option + colon + problem) from error


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


def _kind_of(name: str, entry: StepEntry, kinds: Mapping[str, StepKind]) -> StepKind:
    kind = entry.kind or name
    if kind not in kinds:
        raise UserError(
            f"steps.{name}: unknown kind {kind!r}; expected one of {', '.join(kinds)}"
        )
    return kinds[kind]


def _config_of(name: str, entry: StepEntry, kind: StepKind) -> BaseModel:
    try:
        return kind.config.model_validate(entry.config)
    except ValidationError as error:
        raise UserError(f"steps.{name}.config.{first_problem(error)}") from error


def _roles(kinds: Iterable[str], own: Iterable[str]) -> list[str]:
    """Every role that some kind takes: a kind's name, what several can play, and the step's own."""
    return list(dict.fromkeys([*kinds, *_SERVED_BY, *own]))


def _check_uses(name: str, entry: StepEntry, roles: Iterable[str]) -> None:
    # A role that this configuration has no need of is no mistake: another --set may need it.
    unknown = sorted(set(entry.uses) - set(roles))
    if unknown:
        expected = ", ".join(roles)
        raise UserError(f"steps.{name}.uses: unknown role {unknown[0]!r}; expected {expected}")


def _check_parents(name: str, kind: StepKind, parents: Mapping[str, Step]) -> None:
    for role, parent in parents.items():
        # A role such as dataset-synonyms is one of several that a dataset plays.
        played = role.partition("-")[0]
        kinds = _NAMED_BY_CONFIG.get(kind.name) or _SERVED_BY.get(played, (played,))
        if parent.kind.name not in kinds:
            raise UserError(
                f"steps.{name}.uses: {role} got {parent.name!r}, a {parent.kind.name} step; "
                f"expected one of kind {' or '.join(kinds)}"
            )
