"""The models verbs: the names that recipes know, and copies of Hub models in a store.

    python -m jobs.models pull bm2 --store s3://bucket/prefix
"""

import json
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from cluster.errors import UserError
from cluster.steps import Step
from jobs.base import KIND, import_here
from jobs.configs import checked_config
from jobs.entry import DEFAULT_STORE, DryRun, Json, StoreUri, exit_codes, wants_json
from jobs.running import Options, run_in_process, run_targets
from tinysql.models.registry import KNOWN_MODELS, hub_id, is_hub_id
from tinysql.train.config import BaseConfig

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A name that `tinysql models ls` shows, or a Hub id.")
]
Revision = Annotated[
    str | None, typer.Option(help="Commit, branch, tag or pull request. Default: the newest one.")
]


def ls(json_output: Json = None) -> None:
    """List the models that have a short name.

    Example: tinysql models ls
    """
    if wants_json(json_output):
        print(json.dumps({"models": [known._asdict() for known in KNOWN_MODELS]}))  # noqa: T201
        return
    table = Table("name", Column("Hub id", overflow="fold"), "what it is")
    for known in KNOWN_MODELS:
        table.add_row(*known)
    Console().print(table)


def pull(
    name: Name,
    revision: Revision = None,
    store: StoreUri = DEFAULT_STORE,
    dry_run: DryRun = False,
    json_output: Json = None,
) -> None:
    """Copy a Hub model into a store, where recipes find it without internet.

    Example: tinysql models pull bm2 --store s3://bucket/prefix
    """
    source = hub_id(name)
    if not is_hub_id(source):
        raise UserError(
            f"NAME: got {name!r}, expected a name that `tinysql models ls` shows, or a Hub id such "
            "as Qwen/Qwen2.5-0.5B-Instruct"
        )
    # Only now: the client of the Hub takes a while to load.
    from tinysql.models.hub import find_commit  # noqa: PLC0415

    about = {"source": source, "revision": find_commit(source, revision)}
    # The step of any recipe with this source and revision, but done by this process: the cluster
    # may have no internet.
    step = Step("base", replace(KIND, run=import_here), checked_config(BaseConfig, about))
    options = Options(store, None, dry_run, wants_json(json_output))
    run_targets([step], options, about=about, run=run_in_process)
    if not options.as_json:
        for field, value in about.items():
            print(f"{field}: {value}")  # noqa: T201


app = typer.Typer(
    help="Models by name, and copies of Hub models in a store.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (ls, pull):
    app.command()(verb)

if __name__ == "__main__":
    with exit_codes():
        app()
