"""Line charts as inline SVG: learning curves and sparklines, with a crosshair without script."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinysql.report.svg import (
    compact,
    dot,
    drawing,
    element,
    linear_ticks,
    log_ticks,
    number,
    scale,
    text,
    tip,
)

WIDTH = 380
LOG_RATIO = 15.0
"""A line chart whose largest value is this many times its smallest gets a logarithmic axis."""


@dataclass(frozen=True)
class Series:
    """One line: (x, y) points in x order; `style` is a CSS class."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]
    dots: bool = False


@dataclass(frozen=True)
class _Frame:
    """A plotting rectangle and the maps from values to coordinates."""

    left: float
    top: float
    right: float
    bottom: float
    x: Callable[[float], float]
    y: Callable[[float], float]


def line_chart(series: Sequence[Series], *, label: str, x_title: str, y_title: str) -> str:
    """Lines over a shared x axis, with a crosshair that tells all values at one x."""
    points = [
        [(x, y) for x, y in line.points if math.isfinite(x) and math.isfinite(y)] for line in series
    ]
    xs = [x for line in points for x, _ in line]
    ys = [y for line in points for _, y in line]
    if not xs:
        return drawing(text("No values were logged.", 0, 20, "muted"), WIDTH, 30, label)
    logarithmic = min(ys) > 0 and max(ys) / min(ys) > LOG_RATIO
    height, frame = 260.0, _line_frame(xs, ys, logarithmic)
    y_ticks = log_ticks(min(ys), max(ys)) if logarithmic else linear_ticks(*_padded(ys))
    parts = [_grid(frame, linear_ticks(min(xs), max(xs)), y_ticks)]
    parts += [
        text(y_title + (" (log scale)" if logarithmic else ""), 0, 12, "axis"),
        text(x_title, frame.right, height - 4, "axis", "end"),
        _legend(series, frame.right),
    ]
    for line, drawn in zip(series, points, strict=True):
        places = [(frame.x(x), frame.y(y)) for x, y in drawn]
        parts.append(_polyline(places, line.style))
        if line.dots:
            parts += [dot(x, y, line.style, 2.5) for x, y in places]
    parts.append(_crosshairs(series, points, frame, x_title))
    return drawing("".join(parts), WIDTH, height, label)


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return (0.0 if 0 <= low < high * 0.5 else low - margin), high + margin


def _line_frame(xs: Sequence[float], ys: Sequence[float], logarithmic: bool) -> _Frame:
    left, top, right, bottom = 44.0, 26.0, WIDTH - 8.0, 222.0
    x = scale(min(xs), max(xs), left, right)
    if not logarithmic:
        return _Frame(left, top, right, bottom, x, scale(*_padded(ys), bottom, top))
    height_of = scale(math.log10(min(ys)), math.log10(max(ys)), bottom - 4, top + 4)
    return _Frame(left, top, right, bottom, x, lambda value: height_of(math.log10(value)))


def _grid(frame: _Frame, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> str:
    parts = []
    for value in y_ticks:
        y = frame.y(value)
        parts.append(element("line", x1=frame.left, x2=frame.right, y1=y, y2=y, class_="grid"))
        parts.append(text(compact(value), frame.left - 8, y + 4, "tick", "end"))
    for value in x_ticks:
        parts.append(text(compact(value), frame.x(value), frame.bottom + 18, "tick", "middle"))
    return "".join(parts)


def _legend(series: Sequence[Series], right: float) -> str:
    widths = [22 + 6.2 * len(line.name) for line in series]
    left = right - sum(widths) - 16 * (len(series) - 1)
    parts: list[str] = []
    for line, width in zip(series, widths, strict=True):
        swatch = f"line {line.style}"
        parts.append(element("line", x1=left, x2=left + 16, y1=8.0, y2=8.0, class_=swatch))
        parts.append(dot(left + 8, 8.0, line.style, 2.5) if line.dots else "")
        parts.append(text(line.name, left + 22, 12, "legend"))
        left += width + 16
    return "".join(parts)


def _polyline(places: Sequence[tuple[float, float]], style: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return element("polyline", points=path, class_=f"line {style}")


def _crosshairs(
    series: Sequence[Series],
    points: Sequence[Sequence[tuple[float, float]]],
    frame: _Frame,
    x_title: str,
) -> str:
    """One invisible column per x, shown on hover: a vertical line, dots and the values."""
    at: dict[float, list[tuple[Series, float]]] = {}
    for line, drawn in zip(series, points, strict=True):
        for x, y in drawn:
            at.setdefault(x, []).append((line, y))
    xs = sorted(at)
    places = [frame.x(x) for x in xs]
    edges = [
        frame.left,
        *((a + b) / 2 for a, b in zip(places, places[1:], strict=False)),
        frame.right,
    ]
    parts = []
    for x, place, start, stop in zip(xs, places, edges, edges[1:], strict=False):
        values = ", ".join(f"{line.name} {number(y)}" for line, y in at[x])
        marks = [dot(place, frame.y(y), line.style, 3.5) for line, y in at[x]]
        column = element(
            "rect", x=start, y=frame.top, width=stop - start, height=frame.bottom - frame.top
        )
        cross = element("line", x1=place, x2=place, y1=frame.top, y2=frame.bottom, class_="cross")
        hover = tip(f"{x_title} {number(x)}: {values}")
        parts.append(element("g", hover + column + cross + "".join(marks), class_="hover"))
    return "".join(parts)


def sparkline(points: Sequence[tuple[float, float]], *, label: str, x_title: str) -> str:
    """A small line without axes; hovering tells each value."""
    width, height = 150.0, 34.0
    kept = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if not kept:
        return ""
    xs, ys = [x for x, _ in kept], [y for _, y in kept]
    frame = _Frame(
        3,
        2,
        width - 4,
        height - 2,
        scale(min(xs), max(xs), 3, width - 4),
        scale(min(0.0, *ys), max(ys), height - 4, 4),
    )
    line = Series(label, "blue", kept)
    places = [(frame.x(x), frame.y(y)) for x, y in kept]
    parts = [
        element("line", x1=0, x2=width, y1=height - 3.5, y2=height - 3.5, class_="base"),
        _polyline(places, "blue"),
        dot(*places[-1], "blue", 2.5),
        _crosshairs([line], [kept], frame, x_title),
    ]
    return drawing("".join(parts), width, height, label, "fixed")
