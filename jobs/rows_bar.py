"""A bar on stderr that counts rows, for the verbs that read files rather than run steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from cluster.errors import UserError
from jobs.recipes import first_problem

Checked = TypeVar("Checked", bound=BaseModel)


@contextmanager
def rows_bar(name: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """What to call with a number of rows that are done; shown on a terminal only."""
    console = Console(stderr=True)
    bars = Progress(
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bars:
        task = bars.add_task(name, total=total)

        def advance(rows: int) -> None:
            bars.advance(task, rows)

        yield advance


def checked_config(config: type[Checked], **fields: object) -> Checked:
    """A configuration made of command line options; raises UserError in one line."""
    try:
        return config.model_validate(fields)
    except ValidationError as error:
        raise UserError(first_problem(error)) from error
