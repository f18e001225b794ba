"""The equivalent verb: two queries compared on many databases.

    python -m jobs.equivalent --schema schema.sql "SELECT a FROM t" "SELECT a FROM t WHERE a > 0"
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cluster.errors import UserError
from jobs.entry import Json, main, wants_json

if TYPE_CHECKING:
    from tinysql.sql.gold import Gold

Schema = Annotated[Path, typer.Option(help="File with the CREATE TABLE statements.")]
Query = Annotated[str, typer.Argument(help="A query.")]
Databases = Annotated[int, typer.Option(min=2, help="Databases to try.")]
Seed = Annotated[int, typer.Option(help="Seed of the databases.")]


def equivalent(
    one: Query,
    other: Query,
    schema: Schema,
    databases: Databases = 100,
    seed: Seed = 0,
    json_output: Json = None,
) -> None:
    """Find the smallest database on which two queries answer differently; exit code 1 if there is.

    Example: tinysql equivalent --schema schema.sql "SELECT a FROM t" "SELECT DISTINCT a FROM t"
    """
    from tinysql.sql.equivalence import find_difference  # noqa: PLC0415
    from tinysql.sql.gold import GoldError  # noqa: PLC0415

    try:
        schema_sql = schema.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--schema {str(schema)!r}: cannot be read: {error}") from error
    try:
        found = find_difference(
            schema_sql,
            _read("first", one),
            _read("second", other),
            seed=seed,
            num_databases=databases,
        )
    except GoldError as error:
        raise UserError(str(error).removeprefix("gold ")) from error
    if wants_json(json_output):
        different = {
            "inserts": found.inserts,
            "answers": [list(map(list, result.rows)) for result in found.results],
            "lacks_order": found.lacks_order,
        } if found else {}  # fmt: skip
        print(json.dumps({"equivalent_so_far": found is None, "databases": databases, **different}))  # noqa: T201
    elif found is None:
        Console().print(f"equivalent so far: the same answers on {databases} databases")
    else:
        console = Console(soft_wrap=True, highlight=False)
        what = "different: one has an ORDER BY of its own, the other none"
        title = f"{what if found.lacks_order else 'different'}, on:"
        console.print(title, found.inserts, sep="\n", markup=False)
        for query, result in zip((one, other), found.results, strict=True):
            console.print(f"\n{query}\n  {list(result.rows)}", markup=False)
    if found is not None:
        raise typer.Exit(1)


def _read(place: str, query: str) -> "Gold":
    from tinysql.sql.gold import GoldError, read_gold  # noqa: PLC0415

    try:
        return read_gold(query)
    except GoldError as error:
        raise UserError(f"the {place} {str(error).removeprefix('gold ')}") from error


if __name__ == "__main__":
    main(equivalent)
