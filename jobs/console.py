"""What a person sees: progress bars and tables on a terminal, plain lines elsewhere.

Everything here goes to stderr, so that stdout carries results only.
"""

import io
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from cluster import logs
from cluster.graph import Planned, Result
from cluster.manifest import Manifest
from cluster.progress import Progress as StepProgress

_SHOWN = (
    "loss", "exact_match", "execution", "tokens_per_second", "mfu", "fvu", "l0", "dead", "rows"
)  # fmt: skip
_SECONDS_PER_LINE = 30.0
_log = logging.getLogger(__name__)


class _Records(io.TextIOBase):
    """A file whose lines become records of the log."""

    def __init__(self) -> None:
        self._begun = ""

    def write(self, text: str) -> int:
        """Logs the lines that are whole."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(None, map(str.strip, lines)):
            _log.info("%s", line)
        return len(text)


def stderr_console(*, soft_wrap: bool = False) -> Console:
    """Where people are told things; where logs are JSON, its lines are messages of the log."""
    if logs.are_json():
        records = cast(IO[str], _Records())
        return Console(file=records, soft_wrap=True, color_system=None, force_terminal=False)
    return Console(stderr=True, soft_wrap=soft_wrap)


class Bars:
    """A Rich progress bar for the step at hand."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description:<11}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
            transient=True,
        )
        self._task = self._bars.add_task("", total=None, unit="", note="", visible=False)
        self._step = ""

    def start(self, step: str, total: int | None, unit: str) -> None:
        """Show a new bar."""
        self._step = step
        self._bars.reset(
            self._task, total=total, description=step, unit=unit, note="", visible=True
        )
        self._bars.start()

    def advance(self, n: int = 1, **info: object) -> None:
        """Move the bar and show what is known of the step."""
        if "warning" in info:
            self._bars.console.print(f"{self._step}: {info['warning']}", highlight=False)
        self._bars.update(self._task, advance=n, note=_note(info))

    def done(self) -> None:
        """Take the bar away."""
        self._bars.update(self._task, visible=False)
        self._bars.stop()


class Lines:
    """A plain line twice a minute, and for every warning and whatever is waited for."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step, self._count, self._of = "", 0, ""
        self._said = 0.0

    def start(self, step: str, total: int | None, unit: str) -> None:
        """Remember what the next lines are about."""
        self._step, self._count, self._said = step, 0, time.monotonic()
        self._of = f" of {total} {unit}" if total is not None else f" {unit}"

    def advance(self, n: int = 1, **info: object) -> None:
        """Say what is waited for or wrong at once, and how far it is from time to time."""
        self._count += n
        note = _note(info)
        if "warning" in info:
            self._print(str(info["warning"]))
        elif note.startswith("waiting"):
            self._print(note)
        elif note != "" and time.monotonic() - self._said > _SECONDS_PER_LINE:
            self._said = time.monotonic()
            self._print(f"{self._count}{self._of}  {note}")

    def _print(self, text: str) -> None:
        self._console.print(f"{self._step}: {text}", highlight=False, soft_wrap=True)

    def done(self) -> None:
        """Nothing to take away."""


def make_progress(console: Console) -> StepProgress:
    """Bars on a terminal, lines elsewhere."""
    return Bars(console) if console.is_terminal else Lines(console)


@contextmanager
def one_bar(name: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """What to call with how many units are done, in a verb that runs no steps."""
    progress = make_progress(stderr_console())
    progress.start(name, total, unit)
    try:
        yield progress.advance
    finally:
        progress.done()


def plan_table(plan: Sequence[Planned], newest: Mapping[str, Manifest]) -> Table:
    """What a run would do: one row per step; newest: by kind, whose cost says what to expect."""
    table = Table(title="Plan", title_justify="left")
    for heading in ("step", "kind", "artifact", "state"):
        table.add_column(heading, overflow="fold")
    for planned in plan:
        step = planned.step
        state = "[green]committed[/], reused" if planned.manifest else "[yellow]to run[/]"
        if planned.manifest is None and (last := newest.get(step.kind.name)):
            state += f", the last one took {last.timings.seconds:.0f} s"
        note = step.kind.note(step.config)
        if note:
            state += f", {note}"
        table.add_row(step.name, step.kind.name, step.path, state)
    return table


def result_line(result: Result) -> str:
    """One line about a finished step."""
    manifest = result.manifest
    how = "reused" if result.reused else f"{manifest.timings.seconds:.1f} s"
    return f"{result.step.name:<11} {how:>9}  {result.step.path}"


def headline(results: Sequence[Result]) -> str | None:
    """What a reader wants first: what stages forgot; or how good models are, and sweeps' best."""
    for result in results:
        if result.step.kind.name == "forgetting":
            words = result.manifest.metrics["words"]
            assert isinstance(words, list)
            return "\n".join(map(str, words))
    scores = [result for result in results if result.step.kind.name == "evaluation"]
    lines = [_accuracy(result, is_alone=len(scores) == 1) for result in scores]
    for result in results:
        if result.step.kind.name == "sweep":
            lines += _best(result)
    return "\n".join(lines) or None


def _accuracy(result: Result, *, is_alone: bool) -> str:
    score = result.manifest.metrics["execution"]
    assert isinstance(score, dict)
    return (
        ("" if is_alone else f"{result.step.name}: ")
        + f"execution accuracy {score['rate']:.4f}  ({score['k']}/{score['n']}, "
        f"95% interval {score['low']:.4f} to {score['high']:.4f})"
    )


def _best(result: Result) -> Iterator[str]:
    metrics: Any = result.manifest.metrics
    for dataset, best in metrics["best"].items():
        settings = ", ".join(f"{name} {value}" for name, value in best["settings"].items())
        yield (
            f"{result.step.name}: best of {metrics['trials']} trials on {dataset} is "
            f"{best['trial']} ({settings}): loss {best['validation_loss']:.4f}, "
            f"exact match {best['validation_exact_match']:.4f}"
        )


def _note(info: dict[str, object]) -> str:
    if "note" in info:
        return str(info["note"])
    found = {key: info.get(key) for key in _SHOWN}
    numbers = "  ".join(
        f"{key} {value:,.0f}" if value >= 1000 else f"{key} {value:.4g}"
        for key, value in found.items()
        if isinstance(value, int | float)
    )
    return f"{info['split']}: {numbers}" if "split" in info else numbers
