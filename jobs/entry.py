"""What every verb shares: options, the run itself, results on stdout, errors as one line.

Exit codes: 0 done, 1 a step failed, 2 a mistake in what the user gave, 130 interrupted.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cluster.errors import UserError
from cluster.manifest import capture_provenance
from cluster.steps import Planned, Result, Step, plan, run_steps
from cluster.store import find_store, open_store
from jobs.console import headline, make_progress, plan_table, result_line
from jobs.kinds import KINDS
from jobs.recipes import build_steps, load_recipe

RecipeName = Annotated[
    str | None, typer.Argument(metavar="RECIPE", help="Name of a recipe, or a .yaml file.")
]
RecipeOption = Annotated[str | None, typer.Option("--recipe", help="The same, as an option.")]
StoreUri = Annotated[
    str, typer.Option(help="Where artifacts live: a directory or s3://bucket/prefix.")
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

DEFAULT_STORE = "runs"
DEFAULT_RECIPE = "quickstart"


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    recipe: str
    store: str
    address: str | None
    overrides: Sequence[str]
    dry_run: bool
    as_json: bool


def run_recipe(request: Request, *, until: str | None = None) -> list[Result]:
    """Run a recipe, or what steps of kind `until` need; prints the outcome. [] for a dry run."""
    console = Console(stderr=True)
    targets = _targets(request, until)
    planned = plan(targets, find_store(request.store))
    if request.dry_run:
        _print_plan(request, planned)
        return []
    finished: Iterator[Result]
    if all(entry.manifest for entry in planned):
        finished = (
            Result(entry.step, entry.manifest, reused=True) for entry in planned if entry.manifest
        )
    else:
        finished = _run_here_or_there(request, targets, console)
    results = []
    for result in finished:
        results.append(result)
        console.print(result_line(result), highlight=False)
    if all(result.reused for result in results):
        console.print("everything was reused, nothing ran", highlight=False)
    sentence = headline(results)
    if sentence:
        console.print(f"[bold]{sentence}[/]", highlight=False)
    if request.as_json:
        print(json.dumps(_summary(request, results)))  # noqa: T201
    return results


def _run_here_or_there(
    request: Request, targets: Sequence[Step], console: Console
) -> Iterator[Result]:
    store = open_store(request.store)
    # Only now: connecting takes seconds, and a run that reuses everything needs no Ray.
    from cluster.connect import connect, num_nodes  # noqa: PLC0415

    connect(request.address)
    if store.is_directory and not request.store.startswith("file://") and num_nodes() > 1:
        raise UserError(
            f"store {request.store!r} is a directory of this machine and the cluster has "
            f"{num_nodes()} nodes: use s3://bucket/prefix, or file:///path if all nodes share it"
        )
    if store.is_directory and "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ and (
        store.uri.startswith(os.getcwd())
    ):
        console.print(
            f"warning: store {store.uri} is in the job's working directory, which Ray deletes "
            "later; give --store an absolute path or s3://bucket/prefix",
            highlight=False,
        )
    provenance = capture_provenance(
        git_commit=_git_commit(), image_digest=os.environ.get("TINYSQL_IMAGE_DIGEST")
    )
    progress = make_progress(console)
    yield from run_steps(targets, store, progress=progress, provenance=provenance)


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
    description = (
        f"Run the {kind} step of a recipe, and the steps it needs.\n\n"
        f"Example: tinysql {kind} quickstart --store runs"
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
    return Request(
        recipe or DEFAULT_RECIPE, store, address, overrides or [], dry_run, wants_json(json_output)
    )


def wants_json(json_output: bool | None) -> bool:
    """Whether results go to stdout as JSON: as asked, else when no person is reading."""
    return not sys.stdout.isatty() if json_output is None else json_output


def main(command: Callable[..., None]) -> None:
    """Run one command as a program: `python -m jobs.<verb>`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    with exit_codes():
        app()


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn a user's mistake into one line and exit code 2, Ctrl-C into 130."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    console = Console(stderr=True, soft_wrap=True)
    try:
        yield
    except KeyboardInterrupt:
        console.print("interrupted; run the same command again to go on")
        sys.exit(130)
    except Exception as error:
        if not getattr(error, "user_error", False):
            raise
        console.print(f"error: {error}", markup=False, highlight=False, style="red")
        sys.exit(2)


def _git_commit() -> str | None:
    """The commit of the checkout this code runs from, None outside of one or without git."""
    checkout = Path(__file__).resolve().parent.parent
    command = ["git", "rev-parse", "--show-toplevel", "HEAD"]
    try:
        found = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    top, commit = found.stdout.split("\n")[:2]
    # An installed copy may lie inside somebody else's repository.
    return commit if Path(top) == checkout else None


def _targets(request: Request, until: str | None) -> list[Step]:
    recipe = load_recipe(request.recipe, request.overrides)
    steps = build_steps(recipe, KINDS)
    wanted = [step for step in steps.values() if until in (None, step.kind.name)]
    if not wanted:
        raise UserError(f"recipe {request.recipe} has no {until} step; it has {', '.join(steps)}")
    return wanted


def _print_plan(request: Request, planned: Sequence[Planned]) -> None:
    if request.as_json:
        steps = [
            {
                "name": entry.step.name,
                "kind": entry.step.kind.name,
                "identity": entry.step.identity,
                "path": entry.step.path,
                "committed": entry.manifest is not None,
            }
            for entry in planned
        ]
        print(json.dumps({"recipe": request.recipe, "store": request.store, "plan": steps}))  # noqa: T201
    else:
        Console().print(plan_table(planned))


def _summary(request: Request, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "recipe": request.recipe,
        "store": request.store,
        "reused": all(result.reused for result in results),
        "steps": [
            {
                "name": result.step.name,
                "kind": result.step.kind.name,
                "identity": result.step.identity,
                "path": result.step.path,
                "content_sha256": result.manifest.content_sha256,
                "reused": result.reused,
                "seconds": result.manifest.timings.seconds,
                "metrics": result.manifest.metrics,
            }
            for result in results
        ],
    }
