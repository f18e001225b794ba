"""The data import verb: a dataset of others, checked, as Parquet files like ours.

    python -m jobs.data_import dev.json --format spider --out imported
"""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from jobs.configs import checked_config
from jobs.console import one_bar
from jobs.entry import Json, main, wants_json
from tinysql.data.interchange.config import IMPORT_FORMATS, ImportConfig

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A file or directory of .parquet, .json, .jsonl or .csv; or a dataset of the Hub.",
    ),
]
Format = Annotated[str, typer.Option("--format", help=f"One of {', '.join(IMPORT_FORMATS)}.")]
Out = Annotated[Path, typer.Option(help="A new directory.")]
Revision = Annotated[
    str | None, typer.Option(help="Commit of a Hub dataset. Default: the newest one.")
]
Split = Annotated[
    str | None, typer.Option(help="Split of all rows. Default: as rows or file names tell.")
]
Schemas = Annotated[
    str | None, typer.Option(help="sql-eval: directory with <db_name>.json or .sql files.")
]
Dialect = Annotated[str, typer.Option(help="SQL dialect of the queries: sqlite, postgres, ...")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes that check rows. Default: one per CPU.")
]


def import_(
    source: Source,
    row_format: Format,
    out: Out,
    revision: Revision = None,
    split: Split = None,
    schemas: Schemas = None,
    dialect: Dialect = "sqlite",
    workers: Workers = None,
    json_output: Json = None,
) -> None:
    """Check somebody else's dataset and write its good rows; the others go into quarantine.

    Example: tinysql data import b-mc2/sql-create-context --format sql-create-context --out data
    """
    # Only now: Arrow takes a moment to load, and --help needs none of it.
    from tinysql.data.interchange.importing import import_dataset  # noqa: PLC0415

    config = checked_config(ImportConfig, {
        "source": source,
        "format": row_format,
        "revision": revision or _newest(source),
        "split": split,
        "schemas": schemas,
        "dialect": dialect,
    })  # fmt: skip
    with one_bar("import", None, "rows") as advance:
        report = import_dataset(out, config, advance, workers=workers or os.cpu_count() or 1)
    if wants_json(json_output):
        print(json.dumps({"out": str(out), **report}))  # noqa: T201
    else:
        _print_report(report, out)


def _newest(source: str) -> str | None:
    """The commit to take where the source is nothing on this machine but could be of the Hub."""
    parts = source.split("/")
    if Path(source).expanduser().exists() or len(parts) != 2 or not all(parts):
        return None
    if Path(source).suffix or source.startswith((".", "~")):
        return None
    from tinysql.data.interchange.hub import newest_commit  # noqa: PLC0415

    return newest_commit(source)


def _print_report(report: dict[str, Any], out: Path) -> None:
    console = Console(soft_wrap=True)
    share = f"{100 * report['quarantined_share']:.1f}%"
    console.print(
        f"{report['accepted']} of {report['rows']} rows in {out}, "
        f"{report['quarantined']} ({share}) in quarantine.parquet",
        highlight=False,
    )
    if not report["problems"] and not report["notes"]:
        return
    table = Table("rows", "share", "what", "first example")
    for kinds, style in ((report["problems"], ""), (report["notes"], "dim")):
        for name, found in kinds.items():
            example = found["examples"][0]
            text = example.get("detail") or example["gold_sql"]
            share = f"{100 * found['share']:.1f}%"
            table.add_row(
                str(found["rows"]), share, name, f"{example['place']}: {text[:80]}", style=style
            )
    console.print(table)
    console.print(f"all of it: {out / 'report.json'}", highlight=False)


if __name__ == "__main__":
    main(import_)
