"""The gc verb: remove what no manifest needs.

    python -m jobs.gc --store runs --dry-run
"""

import json
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console

from cluster.gc import collect
from cluster.retention import expired, forget
from cluster.store import existing_store, find_store
from jobs.entry import DEFAULT_STORE, DryRun, Json, StoreUri, main, wants_json

OlderThan = Annotated[
    float,
    typer.Option(help="Hours an unfinished artifact must have been left alone.", min=0.0, max=1e6),
]
KeepNights = Annotated[
    int | None,
    typer.Option(help="Forget what earlier nights made and nothing else needs.", min=0),
]


def gc(
    store: StoreUri = DEFAULT_STORE,
    older_than_hours: OlderThan = 24.0,
    keep_nights: KeepNights = None,
    dry_run: DryRun = False,
    json_output: Json = None,
) -> None:
    """Remove leftovers of attempts that failed, lost or were killed, and what old nights made.

    The champion and all it was made from stay, whatever its age.

    Example: tinysql gc --store runs --keep-nights 30 --dry-run
    """
    older_than = timedelta(hours=older_than_hours)
    found = find_store(store) if dry_run else existing_store(store)
    forgotten: list[str] = []
    if keep_nights is not None:
        forgotten = (expired if dry_run else forget)(found, keep_nights=keep_nights)
    keys = collect(found, older_than=older_than, dry_run=dry_run)
    if wants_json(json_output):
        about = {"store": store, "dry_run": dry_run, "forgotten": forgotten, "removed": keys}
        print(json.dumps(about))  # noqa: T201
        return
    console = Console()
    for path in forgotten:
        console.print(f"{path} {'would be' if dry_run else 'is'} forgotten", highlight=False)
    for key in keys:
        console.print(key, highlight=False)
    verb = "would be removed" if dry_run else "removed"
    console.print(f"{len(keys)} objects {verb}")


if __name__ == "__main__":
    main(gc)
