"""Configurations made of what a user wrote, and what is wrong with them in one line."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from cluster.errors import UserError

Config = TypeVar("Config", bound=BaseModel)


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
