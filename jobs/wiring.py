"""A recipe turned into steps, each wired to its parents."""

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ValidationError

from cluster.errors import UserError
from cluster.steps import Step, StepKind
from jobs.configs import first_problem
from jobs.recipes import Recipe, StepEntry

_DATASETS = ("dataset", "natural", "import", "mixture")
_SERVED_BY = {
    "baseline": ("evaluation",),
    "champion": ("evaluation",),
    "challenger": ("evaluation",),
    "base": ("base", "model"),
    "model": ("model", "base"),
    "dataset": _DATASETS,
}
"""Kinds that can play a role, where not the one kind of its name."""
_NAMED_BY_CONFIG = {"mixture": _DATASETS, "forgetting": ("evaluation",)}
"""Kinds whose roles have the names that their configuration gives them, and who can play those."""


def build_steps(
    recipe: Recipe, kinds: Mapping[str, StepKind], given: Mapping[str, Step] | None = None
) -> dict[str, Step]:
    """The recipe's steps by name, wired to their parents; raises UserError on a mistake.

    given: steps that the recipe may use and does not write, such as the champion.
    """
    steps: dict[str, Step] = {}
    others = given or {}

    def build(name: str, wanted_by: tuple[str, ...]) -> Step:
        if name in wanted_by:
            raise UserError(f"steps: {' -> '.join([*wanted_by, name])} is a circle")
        if name in others:
            return others[name]
        if name not in recipe.steps:
            raise UserError(
                f"steps.{wanted_by[-1]}: uses {name!r}, which is not a step of this recipe; "
                f"expected one of {', '.join([*recipe.steps, *others])}"
            )
        if name not in steps:
            entry = recipe.steps[name]
            kind = _kind_of(name, entry, kinds)
            config = _config_of(name, entry, kind)
            _check_resources(name, entry, kind, config)
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


def _check_resources(name: str, entry: StepEntry, kind: StepKind, config: BaseModel) -> None:
    try:
        kind.check(config, entry.resources)
    except ValueError as error:
        raise UserError(f"steps.{name}: {error}") from error


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
