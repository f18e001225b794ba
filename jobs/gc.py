"""The gc verb: remove what no manifest needs.

    python -m jobs.gc --store runs --dry-run
"""

import json
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console

from cluster.gc import collect
from cluster.store import find_store, open_store
from jobs.entry import DEFAULT_STORE, DryRun, Json, StoreUri, main, wants_json

OlderThan = Annotated[
    float,
    typer.Option(help="Hours an unfinished artifact must have been left alone.", min=0.0),
]


def gc(
    store: StoreUri = DEFAULT_STORE,
    older_than_hours: OlderThan = 24.0,
    dry_run: DryRun = False,
    json_output: Json = None,
) -> None:
    """Remove leftovers of attempts that failed, lost or were killed.

    Example: tinysql gc --store runs --dry-run
    """
    older_than = timedelta(hours=older_than_hours)
    found = find_store(store) if dry_run else open_store(store)
    keys = collect(found, older_than=older_than, dry_run=dry_run)
    if wants_json(json_output):
        print(json.dumps({"store": store, "dry_run": dry_run, "removed": keys}))  # noqa: T201
        return
    console = Console()
    for key in keys:
        console.print(key, highlight=False)
    verb = "would be removed" if dry_run else "removed"
    console.print(f"{len(keys)} objects {verb}")


if __name__ == "__main__":
    main(gc)
