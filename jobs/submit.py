"""The submit verb: hand a run to a cluster, and follow it.

    python -m jobs.submit quickstart --address http://HEAD:8265 --store s3://bucket/prefix
    python -m jobs.submit quickstart --kubernetes
"""

import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml

from cluster.errors import UserError
from cluster.submission import OutOfReach, follow, job_name, submit
from jobs.clusters import Address, Kubernetes, Namespace, find_cluster
from jobs.console import stderr_console
from jobs.entry import Json, Overrides, main, wants_json
from jobs.kinds import KINDS
from jobs.recipes import load_recipe, recipe_names
from jobs.wiring import build_steps

Verb = Literal["pipeline", "nightly"]

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or a .yaml file.")
]
Store = Annotated[
    str | None,
    typer.Option(help="s3://bucket/prefix. Default: on Kubernetes, that of the installation."),
]
VerbOption = Annotated[Verb, typer.Option("--verb", help="What to run of the recipe.")]
NightDate = Annotated[
    str | None, typer.Option("--date", help="With nightly: which night, as 2026-11-21.")
]
WorkingDir = Annotated[
    Path | None,
    typer.Option(help="Folder to upload and start in, such as a checkout. Not on Kubernetes."),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not follow it.")]
Print = Annotated[bool, typer.Option("--print", help="Only print what would be submitted.")]


def submit_run(
    recipe: RecipeName,
    address: Address = None,
    kubernetes: Kubernetes = False,
    namespace: Namespace = "tinysql",
    store: Store = None,
    verb: VerbOption = "pipeline",
    overrides: Overrides = None,
    date: NightDate = None,
    working_dir: WorkingDir = None,
    no_wait: NoWait = False,
    only_print: Print = False,
    json_output: Json = None,
) -> None:
    """Submit a recipe to a Ray cluster or to Kubernetes, and follow its log to the end.

    Submitting the same again follows the run that is there.

    Example: tinysql submit quickstart --address http://HEAD:8265 --store s3://bucket/prefix
    """
    if kubernetes == bool(address):
        raise UserError("expected one of --address http://HEAD:8265 and --kubernetes")
    if not kubernetes and store is None:
        raise UserError("--store: expected s3://bucket/prefix, which every machine can reach")
    if date is not None and verb != "nightly":
        raise UserError("--date: only --verb nightly has a date")
    options = [f"--set={each}" for each in overrides or ()]
    if verb == "nightly":
        # Of now, not of when the job starts: its name must be that of one night.
        date = date or str(datetime.now(UTC).date())
        options.append(f"--date={date}")
    made = _checked(recipe, overrides or (), verb)
    name = job_name(Path(recipe).stem, {"verb": verb, "made": made, "store": store, "date": date})
    console = stderr_console()
    with ExitStack() as stack:
        there, folder = recipe, str(working_dir) if working_dir else None
        if recipe not in recipe_names():
            there, folder = _uploaded(Path(recipe), working_dir, kubernetes, stack)
        command = _command(verb, there, store, options)
        if only_print:
            _print(name, command, namespace if kubernetes else None)
            return
        found = find_cluster(address, namespace, folder)
        try:
            name, is_new = submit(found, name, command)
        except OutOfReach as error:
            raise UserError(f"the cluster does not answer: {error}; try again") from error
    console.print(f"{name}: {'submitted' if is_new else 'runs already'}", highlight=False)
    succeeded = no_wait or follow(found, name, _write, partial(console.print, style="dim"))
    if wants_json(json_output):
        print(json.dumps({"job": name, "submitted": is_new, "succeeded": succeeded}))  # noqa: T201
    if not succeeded:
        sys.exit(1)


def _checked(recipe: str, overrides: Sequence[str], verb: Verb) -> object:
    """What the recipe says, after a mistake in it has been found here rather than there."""
    found = load_recipe(recipe, overrides)
    if verb == "pipeline":
        build_steps(found, KINDS)
    return found.model_dump(mode="json", by_alias=True)


def _uploaded(
    recipe: Path, working_dir: Path | None, kubernetes: bool, stack: ExitStack
) -> tuple[str, str]:
    """Where the job finds a recipe's file, and the folder that takes it there."""
    if kubernetes:
        raise UserError(
            f"recipe {str(recipe)!r} is a file of this machine: put it into the ConfigMap "
            "tinysql-recipes, and name it /etc/tinysql/recipes/FILE in an overlay"
        )
    if working_dir is None:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        Path(folder, recipe.name).write_text(recipe.read_text(encoding="utf-8"), encoding="utf-8")
        return recipe.name, folder
    if not recipe.resolve().is_relative_to(working_dir.resolve()):
        raise UserError(f"recipe {str(recipe)!r} is not in --working-dir {str(working_dir)!r}")
    return str(recipe.resolve().relative_to(working_dir.resolve())), str(working_dir)


def _command(verb: Verb, recipe: str, store: str | None, options: Sequence[str]) -> str:
    module = ["python", "-m", f"jobs.{verb}", "--recipe", recipe]
    # None: workers have TINYSQL_STORE. KubeRay's submitter, whose shell reads this, has not.
    where = [] if store is None else ["--store", store]
    return shlex.join([*module, *where, *options])


def _print(name: str, command: str, namespace: str | None) -> None:
    if namespace is None:
        print(json.dumps({"job": name, "entrypoint": command}))  # noqa: T201
        return
    from cluster.kube_jobs import KubeJobs, run_of  # noqa: PLC0415

    run = run_of(KubeJobs(namespace).mould(), name, command)
    print(yaml.safe_dump(run, sort_keys=False), end="")  # noqa: T201


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    main(submit_run)
