"""Charts as pure functions from plain records to inline SVG: shares, amounts and the time of steps.

A chart knows no artifact and no file. Text is escaped, numbers are formatted, and every mark that
stands for data carries its value as a <title>. Line charts and heat maps have modules of their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinysql.report.svg import (
    dot,
    drawing,
    duration,
    element,
    number,
    percent,
    scale,
    text,
    tip,
)

WIDTH = 320
NAME_LENGTH = 18
"""Characters of a step's name that fit beside its bar."""


@dataclass(frozen=True)
class Interval:
    """A measured share k / n with the ends of its confidence interval."""

    label: str
    k: int
    n: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Bar:
    """One labeled amount; `style` is a CSS class."""

    label: str
    value: float
    style: str = "blue"


@dataclass(frozen=True)
class Span:
    """One step on the time axis."""

    label: str
    kind: str
    seconds: float


def interval_chart(intervals: Sequence[Interval], *, label: str) -> str:
    """Shares as dots on a line from 0 to 100%, each with its confidence interval."""
    left, right, row = 6.0, WIDTH - 6.0, 50.0
    height = row * len(intervals) + 22
    x = scale(0.0, 1.0, left, right)
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = {0.0: "start", 1.0: "end"}.get(share, "middle")
        bottom = height - 20
        parts.append(element("line", x1=x(share), x2=x(share), y1=4.0, y2=bottom, class_="grid"))
        parts.append(text(f"{share:.0%}", x(share), height - 4, "tick", anchor))
    for index, item in enumerate(intervals):
        y = row * index + 36
        low, high = x(item.low), max(x(item.high), x(item.low) + 2)
        hover = (
            f"{item.label}: {number(item.k)} of {number(item.n)} = {percent(item.rate)}, "
            f"95% interval {percent(item.low)} to {percent(item.high)}"
        )
        band = element("rect", x=low, y=y - 7, width=high - low, height=14.0, rx=3, class_="band")
        track = element("line", x1=left, x2=x(item.rate), y1=y, y2=y, class_="track")
        parts += [
            text(item.label, left, y - 14, "label plate"),
            text(percent(item.rate), right, y - 14, "value plate", "end"),
            element("g", tip(hover) + track + band + dot(x(item.rate), y, "blue", 5)),
        ]
    return drawing("".join(parts), WIDTH, height, label)


def bar_chart(bars: Sequence[Bar], *, label: str, caption: Callable[[float], str] = number) -> str:
    """Horizontal bars from zero, the label above each and its amount at the right."""
    row, right = 38.0, WIDTH - 2.0
    largest = max((bar.value for bar in bars), default=0.0) or 1.0
    parts = []
    for index, bar in enumerate(bars):
        top = row * index
        width = max(bar.value / largest * right, 1.5 if bar.value else 0.0)
        parts += [
            text(bar.label, 0, top + 14, "label"),
            text(caption(bar.value), right, top + 14, "value", "end"),
            element("rect", x=0, y=top + 21, width=right, height=8.0, rx=2, class_="rail"),
            element(
                "rect",
                tip(f"{bar.label}: {caption(bar.value)}"),
                x=0,
                y=top + 21,
                width=width,
                height=8.0,
                rx=2,
                class_=f"fill {bar.style}",
            ),
        ]
    return drawing("".join(parts), WIDTH, row * len(bars), label)


def column_chart(bars: Sequence[Bar], *, label: str, x_title: str) -> str:
    """Vertical bars of shares of their sum, one per label."""
    height, top, bottom = 186.0, 18.0, 142.0
    whole = sum(bar.value for bar in bars) or 1.0
    largest = max((bar.value for bar in bars), default=0.0) or 1.0
    slot = WIDTH / max(len(bars), 1)
    width = min(slot * 0.66, 38.0)
    parts = [element("line", x1=0, x2=WIDTH, y1=bottom, y2=bottom, class_="base")]
    for index, bar in enumerate(bars):
        middle, tall = slot * (index + 0.5), bar.value / largest * (bottom - top)
        hover = tip(f"{bar.label}: {number(bar.value)} rows, {percent(bar.value / whole)}")
        shape = element(
            "rect",
            hover,
            x=middle - width / 2,
            y=bottom - tall,
            width=width,
            height=tall,
            class_=f"fill {bar.style}",
        )
        parts += [shape, text(bar.label, middle, bottom + 17, "tick", "middle")]
        if slot >= 30:
            share = f"{100 * bar.value / whole:.0f}%"
            parts.append(text(share, middle, bottom - tall - 5, "tick", "middle"))
    parts.append(text(x_title, WIDTH / 2, height - 6, "axis", "middle"))
    return drawing("".join(parts), WIDTH, height, label)


def waterfall(spans: Sequence[Span], *, label: str) -> str:
    """Steps from top to bottom, each starting on the time axis where the one above ends."""
    row, width = 28.0, 420.0
    left = 22 + 7.0 * max((min(len(span.label), NAME_LENGTH) for span in spans), default=0)
    total = sum(span.seconds for span in spans) or 1.0
    x = scale(0.0, total, left, width - 78)
    parts, now = [], 0.0
    for index, span in enumerate(spans):
        y, start = row * index + 14, x(now)
        now += span.seconds
        stop = max(x(now), start + 3)
        took = duration(span.seconds)
        if index + 1 < len(spans):
            joint = f"M{stop:.1f} {y:.1f}V{y + row:.1f}"
            parts.append(element("path", d=joint, class_="joint"))
        parts += [
            text(_clipped(span.label), left - 14, y + 4, "label", "end"),
            element(
                "g",
                tip(f"{span.label} ({span.kind}): {took}")
                + element(
                    "rect",
                    x=start,
                    y=y - 7,
                    width=stop - start,
                    height=14.0,
                    rx=2,
                    class_="fill blue",
                ),
            ),
            text(took, stop + 8, y + 4, "value"),
        ]
    return drawing("".join(parts), width, row * len(spans), label, "waterfall")


def _clipped(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 2]}.."
