"""The score verb: predictions in a JSON Lines file judged by execution.

    python -m jobs.score --input rows.jsonl --out verdicts.jsonl
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cluster.errors import UserError
from jobs.configs import checked_config
from jobs.console import one_bar
from jobs.entry import Json, main, wants_json
from jobs.verification import POSTGRES_URL

Input = Annotated[
    Path,
    typer.Option(
        help="Rows with id, schema_sql (or database, a SQLite file), gold_sql (a text or several) "
        "and pred_sql."
    ),
]
Out = Annotated[Path, typer.Option(help="A verdict per row, in their order.")]
Page = Annotated[Path | None, typer.Option(help="An HTML page of the verdicts, too.")]
Base = Annotated[
    Path | None, typer.Option(help="Verdicts of another model on the same rows, to compare with.")
]
Databases = Annotated[int, typer.Option(help="Random databases per row.")]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine", help=f"sqlite, duckdb or postgresql, whose URL comes from {POSTGRES_URL}."
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of the random databases.")]
Spider = Annotated[bool, typer.Option("--spider", help="Add the scores of the Spider metric.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]
_OPTIONS = {"num_databases": "--databases", "seed": "--seed", "engine": "--engine"}
_ENGINES = {"postgres": "postgresql"}


def score(
    input_file: Annotated[Path, typer.Option("--input", help=Input.__metadata__[0].help)],
    out: Out,
    engine: EngineName = "sqlite",
    databases: Databases = 4,
    seed: Seed = 0,
    spider: Spider = False,
    workers: Workers = 1,
    page: Page = None,
    base: Base = None,
    json_output: Json = None,
) -> None:
    """Judge predicted SQL by running it beside the gold SQL on databases that tell mistakes apart.

    Example: tinysql score --input rows.jsonl --out verdicts.jsonl --page verdicts.html
    """
    from tinysql.data.writing import whole_file  # noqa: PLC0415
    from tinysql.evaluate.config import ScoreConfig  # noqa: PLC0415
    from tinysql.evaluate.scoring import score_rows  # noqa: PLC0415
    from tinysql.evaluate.tally import Tally  # noqa: PLC0415

    wanted = {
        "num_databases": databases, "seed": seed, "engine": _ENGINES.get(engine, engine),
        "spider": spider,
    }  # fmt: skip
    config = checked_config(ScoreConfig, wanted, _OPTIONS)
    _check_distinct({"--input": input_file, "--base": base, "--out": out, "--page": page})
    tally = Tally()
    with (
        whole_file(out) as temporary,
        temporary.open("w", encoding="utf-8") as stream,
        one_bar("score", _num_lines(input_file), "rows") as advance,
    ):
        found = score_rows(
            _read(input_file), config, workers=workers, advance=advance,
            postgres_url=os.environ.get(POSTGRES_URL),
        )  # fmt: skip
        for scored in found:
            tally.add(scored)
            stream.write(json.dumps(asdict(scored)) + "\n")
    summary = tally.summary()
    if page is not None or base is not None:
        summary |= _compare(out, base, page)
    if wants_json(json_output):
        print(json.dumps({"out": str(out), **summary}))  # noqa: T201
    else:
        _print(summary)


def _check_distinct(files: Mapping[str, Path | None]) -> None:
    """Nothing that is read or written may be written over."""
    seen: dict[Path, str] = {}
    for option, path in files.items():
        if path is None:
            continue
        first = seen.setdefault(path.resolve(), option)
        if first != option:
            raise UserError(f"{option} {str(path)!r}: is {first}, too; name another file")


def _num_lines(path: Path) -> int:
    try:
        with path.open("rb") as stream:
            return sum(1 for line in stream if line.strip())
    except OSError as error:
        raise UserError(f"--input {str(path)!r}: cannot be read: {error.strerror}") from error


def _read(path: Path) -> Iterator[dict[str, Any]]:
    from tinysql.errors import InputError  # noqa: PLC0415
    from tinysql.evaluate.items import item_of  # noqa: PLC0415

    with path.open(encoding="utf-8", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            place = f"--input {path}:{number}"
            try:
                row = json.loads(line)
                item_of(row)
            except InputError as error:
                raise UserError(f"{place}: {error}") from error
            except (ValueError, RecursionError, AttributeError) as error:
                raise UserError(f"{place}: not a JSON object: {error}") from error
            if not isinstance(row.get("pred_sql", 0), str | None):
                got = repr(row["pred_sql"]) if "pred_sql" in row else "none"
                raise UserError(f"{place}: pred_sql: got {got}, expected a text or null")
            yield row


def _compare(verdicts: Path, base: Path | None, page: Path | None) -> dict[str, Any]:
    """What tells two models apart, if there are two; and the page, if one is wanted."""
    from tinysql.evaluate.breakdown import as_json, compare_models  # noqa: PLC0415
    from tinysql.evaluate.page import write_page  # noqa: PLC0415

    rows, base_rows = _verdicts(verdicts), _verdicts(base) if base else None
    try:
        found = {"comparison": as_json(compare_models(base_rows, rows))} if base_rows else {}
        if page is not None:
            write_page(page, title=verdicts.stem, rows=rows, base_rows=base_rows)
    except ValueError as error:
        raise UserError(f"--base {base}: {error}") from error
    return found


def _verdicts(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no file of verdicts: {error}") from error


def _print(summary: dict[str, Any]) -> None:
    console = Console(highlight=False)
    table = Table("", "right", "rate", "95% interval")
    for name, found in summary.items():
        if isinstance(found, dict) and "low" in found:
            table.add_row(
                name.replace("_", " "), f"{found['k']}/{found['n']}", f"{found['rate']:.4f}",
                f"{found['low']:.4f} to {found['high']:.4f}",
            )  # fmt: skip
    console.print(table)
    if "comparison" in summary:
        console.print(summary["comparison"]["overall"]["words"])
    for name, count in summary["verdicts"].items():
        console.print(f"{count:>7} {name.replace('_', ' ')}")
    for name in ("weak", "varies", "gold_invalid"):
        if summary[name]:
            console.print(f"{summary[name]:>7} {name.replace('_', ' ')}")


if __name__ == "__main__":
    main(score)
