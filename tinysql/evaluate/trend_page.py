"""What the nights came to: one HTML page that loads nothing, styled as the report."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from tinysql.data.writing import whole_file
from tinysql.report.lines import Series, line_chart
from tinysql.report.marking import visible
from tinysql.report.svg import duration
from tinysql.report.template import load_template, report_style

_STYLES = {"challenger": "blue", "champion": "gray"}


class TrendNight(NamedTuple):
    """The outcome of one date."""

    date: str
    promoted: bool
    challenger: str
    version: int
    reasons: Sequence[str]
    accuracy: dict[str, float]
    """By evaluation, named WHO-ROWS, such as challenger-frozen."""
    cpu_seconds: float
    gpu_seconds: float


def write_trend_page(path: Path, nights: Sequence[TrendNight]) -> None:
    """Write the page; the file appears whole. nights: at least one, oldest first."""
    first = date.fromisoformat(nights[0].date)
    days = [(date.fromisoformat(night.date) - first).days for night in nights]
    axis = f"days since {first}"
    template = load_template("tinysql.evaluate", {"duration": duration}, name="trend.html.j2")
    page = template.render(
        style=report_style(), nights=nights,
        missing=days[-1] + 1 - len(set(days)),
        promoted=sum(night.promoted for night in nights),
        charts={rows: _accuracy(rows, nights, days, axis) for rows in _kinds_of_rows(nights)},
        cost=_cost(nights, days, axis),
    )  # fmt: skip
    with whole_file(path) as temporary:
        temporary.write_bytes((visible(page).strip() + "\n").encode("utf-8", errors="replace"))


def _kinds_of_rows(nights: Sequence[TrendNight]) -> list[str]:
    """What challengers were tried on, each once."""
    names = (name.partition("-") for night in nights for name in night.accuracy)
    return list(dict.fromkeys(rows for who, _, rows in names if who in _STYLES))


def _accuracy(rows: str, nights: Sequence[TrendNight], days: list[int], axis: str) -> str:
    lines = []
    for who, style in _STYLES.items():
        name = f"{who}-{rows}"
        points = [
            (float(day), 100 * night.accuracy[name])
            for day, night in zip(days, nights, strict=True)
            if name in night.accuracy
        ]
        if points:
            lines.append(Series(who, style, points, dots=who == "challenger"))
    return line_chart(lines, label=f"Accuracy on {rows} rows", x_title=axis, y_title="% right")


def _cost(nights: Sequence[TrendNight], days: list[int], axis: str) -> str:
    lines = []
    for name, style in (("cpu", "blue"), ("gpu", "orange")):
        hours = [getattr(night, f"{name}_seconds") / 3600 for night in nights]
        if any(hours):
            points = [(float(day), hour) for day, hour in zip(days, hours, strict=True)]
            lines.append(Series(name.upper(), style, points, dots=True))
    return line_chart(lines, label="Cost of each night", x_title=axis, y_title="hours")
