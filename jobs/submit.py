"""The submit verb: hand a run to a cluster, and follow it.

    python -m jobs.submit quickstart --address http://HEAD:8265 --store s3://bucket/prefix
    python -m jobs.submit quickstart --kubernetes
"""

import json
import re
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml

from cluster.errors import UserError
from cluster.submission import follow, job_name, submit
from jobs.clusters import Address, Kubernetes, Namespace, find_cluster, within_reach
from jobs.console import stderr_console
from jobs.entry import Json, Overrides, main, wants_json
from jobs.kinds import KINDS
from jobs.nightly import LATE_HOURS, LateHours, lateness, load_night, night_date, send_outcome
from jobs.recipes import load_recipe, parse_yaml, recipe_names
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
    str | None, typer.Option("--date", help="With nightly: which night. Default: today, UTC.")
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
    late_hours: LateHours = LATE_HOURS,
    working_dir: WorkingDir = None,
    no_wait: NoWait = False,
    only_print: Print = False,
    json_output: Json = None,
) -> None:
    """Submit a recipe to a Ray cluster or to Kubernetes, and follow its log to the end.

    Submitting the same again follows the run that is there.

    Example: tinysql submit quickstart --address http://HEAD:8265 --store s3://bucket/prefix
    """
    _check_where(kubernetes, address, store, working_dir)
    if verb != "nightly" and (date is not None or late_hours != LATE_HOURS):
        raise UserError("--date and --late-hours: only --verb nightly has a date")
    options = [f"--set={each}" for each in overrides or ()]
    if verb == "nightly":
        # Of now, not of when the job starts: its name must be that of one night.
        of = night_date(date)
        if late := lateness(of, late_hours):
            raise UserError(f"--date {late}: it would be let go")
        date = str(of)
        options += [f"--date={date}", f"--late-hours={late_hours:g}"]
        written = load_night(recipe, overrides or (), of)
    else:
        written = load_recipe(recipe, overrides or ())
        build_steps(written, KINDS)
    made = written.model_dump(mode="json", by_alias=True)
    name = job_name(Path(recipe).stem, {"verb": verb, "made": made, "store": store, "date": date})
    there = recipe if recipe in recipe_names() else _inline(Path(recipe))
    command = _command(verb, there, store, options)
    with within_reach():
        if only_print:
            _print(name, command, namespace if kubernetes else None)
            return
        found = find_cluster(address, namespace, str(working_dir) if working_dir else None)
        name, is_new = submit(found, name, command)
    console = stderr_console()
    console.print(f"{name}: {'submitted' if is_new else 'runs already'}", highlight=False)
    succeeded = no_wait or follow(found, name, _write, partial(console.print, style="dim"))
    if wants_json(json_output):
        print(json.dumps({"job": name, "submitted": is_new, "succeeded": succeeded}))  # noqa: T201
    if not succeeded:
        if verb == "nightly":
            # Its driver may never have started.
            send_outcome(
                console, {"date": date, "verdict": "failed", "reasons": [f"see the job {name}"]}
            )
        sys.exit(1)


def _check_where(
    kubernetes: bool, address: str | None, store: str | None, working_dir: Path | None
) -> None:
    if kubernetes == bool(address):
        raise UserError("expected one of --address http://HEAD:8265 and --kubernetes")
    if not kubernetes and store is None:
        raise UserError("--store: expected s3://bucket/prefix, which every machine can reach")
    if store is not None and not store.startswith(("s3://", "/")):
        raise UserError(
            f"--store {store!r}: expected s3://bucket/prefix, or a directory that every machine has"
        )
    if working_dir is not None and (kubernetes or not working_dir.is_dir()):
        raise UserError(
            f"--working-dir {str(working_dir)!r}: expected a folder, with --address: pods have "
            "their image"
        )


def _inline(recipe: Path) -> str:
    """A recipe of this machine as JSON, which the job takes in place of a name.

    `ray job submit`, which KubeRay calls, hands arguments to a shell in double quotes: nothing in
    the JSON means anything there.
    """
    text = json.dumps(parse_yaml(recipe, "recipe file"))
    return re.sub(r'\\["\\]|[$`!]', lambda found: f"\\u{ord(found[0][-1]):04x}", text)


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
