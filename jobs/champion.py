"""The verbs of the champion: promote, rollback, history; and nights, what each night came to.

    python -m jobs.champion history --store runs
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from cluster import champion as champions
from cluster import nights as outcomes
from cluster.champion import Version
from cluster.errors import UserError
from cluster.nights import Night
from cluster.store import existing_store, find_store
from jobs.entry import DEFAULT_STORE, Json, StoreUri, check_writable, exit_codes, wants_json

ModelPath = Annotated[str, typer.Argument(metavar="ARTIFACT", help="Path of a model, as in `ls`.")]
ToVersion = Annotated[
    int | None,
    typer.Option("--to", help="Version to go back to. Default: what was before the present one."),
]
TrendPage = Annotated[
    Path | None, typer.Option("--out", help="Write a page with charts of all nights here.")
]


def promote(path: ModelPath, store: StoreUri = DEFAULT_STORE, json_output: Json = None) -> None:
    """Make a model the champion, whatever a gate would say.

    Example: tinysql promote model/adamw-200x64-57ecc0e0eaa5 --store runs
    """
    found = existing_store(store)
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
    _say("rolled back to", champions.rolled_back(existing_store(store), to=to), json_output)


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


def nights(
    store: StoreUri = DEFAULT_STORE, out: TrendPage = None, json_output: Json = None
) -> None:
    """List what every night came to, or write a page of how it went.

    Example: tinysql nights --store s3://bucket/prefix --out nights.html
    """
    if out is not None:
        check_writable(out)
    found = list(outcomes.finished(find_store(store)))
    if out is not None:
        _write_page(out, store, found)
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


def _write_page(path: Path, store: str, nights: Sequence[Night]) -> None:
    if not nights:
        raise UserError(f"{store} has no night yet: there is nothing to draw")
    # Only now: the listing needs no charts.
    from tinysql.evaluate.trend_page import TrendNight, write_trend_page  # noqa: PLC0415

    shown = [
        TrendNight(
            each.date, each.verdict == "promoted", each.challenger, each.version, each.reasons,
            each.accuracy, each.cpu_seconds, each.gpu_seconds,
        )
        for each in nights
    ]  # fmt: skip
    write_trend_page(path, shown)


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
