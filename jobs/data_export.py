"""The data export verb: a dataset of ours in the format of others.

    python -m jobs.data_export DIR --format sql-create-context --out exported
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from jobs.configs import checked_config
from jobs.console import one_bar
from jobs.entry import Json, main, wants_json
from tinysql.data.interchange.config import EXPORT_FORMATS, ExportConfig

DatasetDir = Annotated[
    Path, typer.Argument(metavar="DIR", help="Directory with <split>-00000.parquet files.")
]
Format = Annotated[str, typer.Option("--format", help=f"One of {', '.join(EXPORT_FORMATS)}.")]
Out = Annotated[
    Path,
    typer.Option(
        help="Directory for a file per split, or one file: .parquet (tinysql-rows), "
        ".json (sql-create-context), .jsonl (any)."
    ),
]
Splits = Annotated[
    list[str] | None, typer.Option("--split", help="Only this split. Repeatable.")
]


def export(
    directory: DatasetDir,
    row_format: Format,
    out: Out,
    splits: Splits = None,
    json_output: Json = None,
) -> None:
    """Write a dataset in the row format of another project.

    Example: tinysql data export data --format tinysql-rows --out exported
    """
    # Only now: Arrow takes a moment to load, and --help needs none of it.
    from tinysql.data.interchange.export import export_dataset, num_rows  # noqa: PLC0415

    wanted = tuple(splits) if splits else None
    config = checked_config(ExportConfig, {"format": row_format, "splits": wanted})
    with one_bar("export", num_rows(directory, config.splits), "rows") as advance:
        exported = export_dataset(directory, out, config, advance)
    if wants_json(json_output):
        print(json.dumps({"out": str(out), "format": row_format, **exported.as_json()}))  # noqa: T201
        return
    console = Console(soft_wrap=True)
    for name, rows in exported.files.items():
        console.print(f"{name}: {rows} rows", highlight=False)
    for reason, rows in sorted(exported.left_out.items()):
        console.print(f"left out: {rows} rows, {reason}", highlight=False)


if __name__ == "__main__":
    main(export)
