"""The data stats verb: what a dataset is made of, as a page and as JSON.

    python -m jobs.data_stats DIR --out page.html
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.errors import UserError
from jobs.console import one_bar
from jobs.data_export import DatasetDir
from jobs.entry import Json, main, wants_json

STATISTICS = "statistics.json"

Out = Annotated[Path, typer.Option(help="The page; statistics.json is written beside it.")]


def stats(
    directory: DatasetDir, out: Out = Path("statistics.html"), json_output: Json = None
) -> None:
    """Write a page about a dataset: sizes, lengths, words, readability, clauses, samples.

    Example: tinysql data stats data --out page.html
    """
    if out.name == STATISTICS:
        raise UserError(f"--out: {STATISTICS} is where the numbers go; name a page, as page.html")
    # Only now: Arrow takes a moment to load, and --help needs none of it.
    from tinysql.data.interchange.measure import measure, num_rows_to_read  # noqa: PLC0415
    from tinysql.data.interchange.page import write_page, write_statistics  # noqa: PLC0415

    with one_bar("stats", num_rows_to_read(directory), "rows") as advance:
        found = measure(directory, advance)
    write_page(out, found, title=directory.resolve().name)
    write_statistics(out.with_name(STATISTICS), found)
    if wants_json(json_output):
        print(json.dumps({"out": str(out), **found}))  # noqa: T201
        return
    overall = found["all"]
    Console(soft_wrap=True).print(
        f"{found['rows']} rows, {overall['question_words']} words per question, reading ease "
        f"{overall['flesch_reading_ease']}, lexical density {overall['lexical_density']}\n{out}",
        highlight=False,
    )


if __name__ == "__main__":
    main(stats)
