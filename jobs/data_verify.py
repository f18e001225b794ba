"""The data verify verb: check the Parquet files of a dataset in a directory.

    python -m jobs.data_verify runs/my-dataset --engine sqlite --engine duckdb
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cluster.errors import UserError
from jobs.console import one_bar
from jobs.entry import Json, main, wants_json
from jobs.verification import POSTGRES_URL
from tinysql.data.verify.report import ENGINES, VerificationConfig

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Directory with the dataset's .parquet files.")
]
EngineNames = Annotated[
    list[str] | None,
    typer.Option(
        "--engine",
        help="Where to run the gold SQL. Repeatable. Default: sqlite and duckdb, and postgresql "
        "where its URL is given; sqlite alone for the paper variant, which others refuse.",
    ),
]
PostgresUrl = Annotated[
    str | None,
    typer.Option(
        envvar=POSTGRES_URL, help="Such as postgresql://user@127.0.0.1:5432/database."
    ),
]
Rows = Annotated[
    int | None, typer.Option(min=1, help="Rows of every file to run. Default: all of them.")
]
_MOST_SHOWN = 3


def verify(
    folder: Folder,
    engine: EngineNames = None,
    postgres_url: PostgresUrl = None,
    rows: Rows = None,
    json_output: Json = None,
) -> None:
    """Check that a dataset's SQL runs, means what its questions say, and leaks into no split.

    Example: tinysql data verify my-dataset --rows 1000
    """
    files = _files(folder)
    config = _config(engine or _usual_engines(files[0], bool(postgres_url)), rows)
    found = _verify(files, config, postgres_url)
    if wants_json(json_output):
        print(json.dumps(found))  # noqa: T201
    else:
        _print_checks(found)
    if not found["passed"]:
        raise typer.Exit(1)


def _config(engines: Sequence[str], rows: int | None) -> VerificationConfig:
    for name in engines:
        if name not in ENGINES:
            raise UserError(f"--engine: got {name!r}, expected one of {', '.join(ENGINES)}")
    return VerificationConfig.model_validate({"engines": engines, "rows": rows})


def _usual_engines(file: Path, with_postgres: bool) -> Sequence[str]:
    from pyarrow import parquet  # noqa: PLC0415

    variants = parquet.read_table(file, columns=["variant"])["variant"].unique().to_pylist()
    if "paper" in variants:
        return ENGINES[:1]
    return ENGINES if with_postgres else ENGINES[:-1]


def _files(folder: Path) -> list[Path]:
    """The dataset's files; raises UserError where there are none, or not of a dataset."""
    from pyarrow import ArrowInvalid, parquet  # noqa: PLC0415

    from tinysql.data.interchange.columns import IMPORTED  # noqa: PLC0415
    from tinysql.data.interchange.export import split_of  # noqa: PLC0415
    from tinysql.data.verify.rows import COLUMNS  # noqa: PLC0415

    files = sorted(file for file in folder.glob("*.parquet") if split_of(file.name))
    if not files:
        raise UserError(
            f"{folder}: no .parquet files named <split>-00000.parquet; expected the directory of "
            "a dataset"
        )
    for file in files:
        try:
            names = set(parquet.read_schema(file).names)
        except ArrowInvalid as error:
            raise UserError(f"{file}: not a Parquet file: {str(error).splitlines()[0]}") from error
        missing = set(COLUMNS) - names
        if missing and names >= set(IMPORTED.names):
            raise UserError(
                f"{folder}: expected a dataset generated here; imported rows were checked by "
                "import, see report.json"
            )
        if missing:
            raise UserError(
                f"{file}: lacks the columns {', '.join(sorted(missing))}; expected a dataset "
                "generated here"
            )
    return files


def _verify(
    files: Sequence[Path], config: VerificationConfig, postgres_url: str | None
) -> dict[str, Any]:
    from pyarrow import parquet  # noqa: PLC0415

    from tinysql.data.verify.duplicates import find_duplicates  # noqa: PLC0415
    from tinysql.data.verify.report import report  # noqa: PLC0415
    from tinysql.data.verify.rows import merge, verify_files  # noqa: PLC0415

    sizes = [parquet.read_metadata(file).num_rows for file in files]
    total = sum(size if config.rows is None else min(size, config.rows) for size in sizes)
    with one_bar("verify", total, "rows") as advance:
        result = verify_files(files, config, postgres_url=postgres_url, advance=advance)
    return report(merge([result, find_duplicates(files)]), config)


def _print_checks(found: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for check in found["checks"]:
        mark = "[green]ok  [/]" if check["passed"] else "[red]FAIL[/]"
        console.print(f"{mark} {check['name']:<33}", end="")
        console.print(check["message"], markup=False)
        if not check["passed"]:
            for example in found["examples"].get(check["key"], [])[:_MOST_SHOWN]:
                console.print(f"       row {example['id']}: {example['message']}", markup=False)


if __name__ == "__main__":
    main(verify)
