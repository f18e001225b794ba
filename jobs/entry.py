"""What every verb shares: options, recipes as commands, errors as one line.

Exit codes: 0 done, 1 a step failed, 2 a mistake in what the user gave or a store that refuses, does
not answer or is damaged, 130 interrupted.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cluster import logs
from cluster.errors import UserError
from cluster.graph import Result
from cluster.steps import Step
from jobs.console import stderr_console
from jobs.kinds import KINDS
from jobs.recipes import load_recipe
from jobs.running import Options, run_targets
from jobs.wiring import build_steps

RecipeName = Annotated[
    str | None, typer.Argument(metavar="RECIPE", help="Name of a recipe, or a .yaml file.")
]
RecipeOption = Annotated[str | None, typer.Option("--recipe", help="The same, as an option.")]
StoreUri = Annotated[
    str,
    typer.Option(
        envvar="TINYSQL_STORE", help="Where artifacts live: a directory or s3://bucket/prefix."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(help="Ray cluster, host:port. Default: RAY_ADDRESS, else Ray on this machine."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one field: step.field=value. Repeatable."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and do nothing.")]
Json = Annotated[
    bool | None,
    typer.Option("--json/--no-json", help="JSON on stdout. Default: when it is not a terminal."),
]

_log = logging.getLogger(__name__)

DEFAULT_STORE = "runs"
DEFAULT_RECIPE = "quickstart"


@dataclass(frozen=True)
class Request:
    """A recipe and what the user asked for with it."""

    recipe: str
    overrides: Sequence[str]
    options: Options


def run_recipe(request: Request, *, until: str | None = None) -> list[Result]:
    """Run a recipe, or what steps of kind `until` need; prints the outcome. [] for a dry run."""
    targets = _targets(request, until)
    return run_targets(targets, request.options, about={"recipe": request.recipe})


def recipe_command(name: str, description: str, *, until: str | None = None) -> Callable[..., None]:
    """The command of a verb that runs a recipe, or what its steps of kind `until` need."""

    def command(
        recipe: RecipeName = None,
        recipe_option: RecipeOption = None,
        store: StoreUri = DEFAULT_STORE,
        address: Address = None,
        overrides: Overrides = None,
        dry_run: DryRun = False,
        json_output: Json = None,
    ) -> None:
        request = make_request(
            recipe or recipe_option, store, address, overrides, dry_run, json_output
        )
        run_recipe(request, until=until)

    command.__name__ = name
    command.__doc__ = description
    return command


def step_command(kind: str) -> Callable[..., None]:
    """The command of a verb that is a step: run it and whatever it needs that is missing."""
    verb = kind.replace("_", "-")  # as typer writes it
    description = (
        f"Run the {kind} step of a recipe, and the steps it needs.\n\n"
        f"Example: tinysql {verb} quickstart --store runs"
    )
    return recipe_command(kind, description, until=kind)


def make_request(
    recipe: str | None,
    store: str,
    address: str | None,
    overrides: list[str] | None,
    dry_run: bool,
    json_output: bool | None,
) -> Request:
    """The request that a command line stands for."""
    options = Options(store, address, dry_run, wants_json(json_output))
    return Request(recipe or DEFAULT_RECIPE, overrides or [], options)


def wants_json(json_output: bool | None) -> bool:
    """Whether results go to stdout as JSON: as asked, else when no person is reading."""
    return not sys.stdout.isatty() if json_output is None else json_output


def check_writable(out: Path) -> None:
    """Nothing; raises UserError before the work when the page could not be written after it."""
    if out.is_dir() or not os.access(out.absolute().parent, os.W_OK):
        raise UserError(f"--out {out}: expected a file in a directory that can be written")


def main(command: Callable[..., None]) -> None:
    """Run one command as a program: `python -m jobs.<verb>`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    with exit_codes():
        app()


@contextmanager
def exit_codes() -> Iterator[None]:
    """Logs, and one line with exit code 2 for what only the user can mend; Ctrl-C is 130."""
    logs.set_up()
    console = stderr_console(soft_wrap=True)
    try:
        with logs.about(run=logs.run_id()):
            yield
    except SystemExit as ended:
        # What typer makes of Ctrl-C, without a word.
        if ended.code == 130:
            console.print("interrupted; run the same command again to go on")
        raise
    except Exception as error:
        is_users = getattr(error, "user_error", False)
        if logs.are_json():
            with logs.about(run=logs.run_id()):
                _log.error("%s: %s", type(error).__name__, error, exc_info=not is_users)
        elif not is_users:
            raise
        else:
            console.print(f"error: {error}", markup=False, highlight=False, style="red")
        sys.exit(2 if is_users else 1)


def _targets(request: Request, until: str | None) -> list[Step]:
    recipe = load_recipe(request.recipe, request.overrides)
    steps = build_steps(recipe, KINDS)
    wanted = [step for step in steps.values() if until in (None, step.kind.name)]
    if not wanted:
        raise UserError(f"recipe {request.recipe} has no {until} step; it has {', '.join(steps)}")
    return wanted
