"""The verbs of the champion: promote, rollback, history; and nights, what each night came to.

    python -m jobs.champion history --store runs
"""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from cluster import champion as champions
from cluster import nights as outcomes
from cluster.champion import Version
from cluster.errors import UserError
from cluster.store import find_store, open_store
from jobs.entry import DEFAULT_STORE, Json, StoreUri, exit_codes, wants_json

ModelPath = Annotated[str, typer.Argument(metavar="ARTIFACT", help="Path of a model, as in `ls`.")]
ToVersion = Annotated[
    int | None,
    typer.Option("--to", help="Version to go back to. Default: what was before the present one."),
]


def promote(path: ModelPath, store: StoreUri = DEFAULT_STORE, json_output: Json = None) -> None:
    """Make a model the champion, whatever a gate would say.

    Example: tinysql promote model/adamw-200x64-57ecc0e0eaa5 --store runs
    """
    found = open_store(store)
    chosen = champions.named(found, path.strip("/"))
    moved = champions.promote(found, chosen, over=champions.current(found))
    if moved is None:
        raise UserError("the champion was moved meanwhile: look at `tinysql history` and try again")
    _say("promoted", moved, json_output)


def rollback(
    store: StoreUri = DEFAULT_STORE, to: ToVersion = None, json_output: Json = None
) -> None:
    """Put an earlier champion back in its place.

    Example: tinysql rollback --store runs
    """
    _say("rolled back to", champions.rolled_back(open_store(store), to=to), json_output)


def history(store: StoreUri = DEFAULT_STORE, json_output: Json = None) -> None:
    """List every champion so far, the present one last.

    Example: tinysql history --store runs
    """
    versions = champions.history(find_store(store))
    if wants_json(json_output):
        found = [{"version": each.version, **each.champion.model_dump()} for each in versions]
        print(json.dumps({"store": store, "versions": found}))  # noqa: T201
        return
    table = Table("version", Column("champion", overflow="fold"), "how")
    for each in versions:
        table.add_row(str(each.version), each.champion.path, _how(each))
    Console().print(table)


def nights(store: StoreUri = DEFAULT_STORE, json_output: Json = None) -> None:
    """List what every night came to.

    Example: tinysql nights --store s3://bucket/prefix
    """
    found = list(outcomes.finished(find_store(store)))
    if wants_json(json_output):
        rows = [each.model_dump(mode="json") for each in found]
        print(json.dumps({"store": store, "nights": rows}))  # noqa: T201
        return
    table = Table("night", "verdict", "accuracy", "CPU", "GPU", Column("why", overflow="fold"))
    for each in found:
        rates = ", ".join(f"{rate:.3f}" for name, rate in each.accuracy.items() if "chall" in name)
        why = each.reasons[0] if each.reasons else f"version {each.version}"
        costs = (f"{seconds / 3600:.2f} h" for seconds in (each.cpu_seconds, each.gpu_seconds))
        table.add_row(each.date, each.verdict, rates, *costs, why)
    Console().print(table)


def _how(version: Version) -> str:
    if version.champion.restores is not None:
        return f"rollback to version {version.champion.restores}"
    night = version.champion.night
    return "by hand" if night is None else f"night of {night}"


def _say(what: str, version: Version, json_output: bool | None) -> None:
    if wants_json(json_output):
        print(json.dumps({"version": version.version, **version.champion.model_dump()}))  # noqa: T201
        return
    Console().print(f"{what} {version.champion.path}, version {version.version}", highlight=False)


def main() -> None:
    """`python -m jobs.champion VERB`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    for verb in (promote, rollback, history, nights):
        app.command()(verb)
    with exit_codes():
        app()


if __name__ == "__main__":
    main()
