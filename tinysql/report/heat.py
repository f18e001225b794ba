"""Heat maps with a diverging scale centered at zero, as inline SVG.

Color-blind safe: orange below zero and blue above, each blended into the background by opacity, so
that zero is always the background in light, dark and print. The page's `.cells rect` rule gives a
cell its width and height.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tinysql.report.svg import drawing, element, text, tip

CELL_WIDTH, CELL_HEIGHT = 34, 21


@dataclass(frozen=True)
class HeatMap:
    """Values per (row, column), None where nothing was measured; `tips` are the hover texts."""

    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    tips: Sequence[Sequence[str]]
    column_title: str


def heat_map(data: HeatMap, *, label: str, limit: float) -> str:
    """Cells colored from -limit (orange) through 0 (background) to +limit (blue)."""
    left = round(12 + 6.6 * max((len(row) for row in data.rows), default=0))
    bottom = CELL_HEIGHT * len(data.rows)
    width = left + CELL_WIDTH * len(data.columns)
    parts = [
        element("rect", x=left, y=0, width=width - left, height=bottom, class_="zero"),
        text(data.column_title, left - 8, bottom + 16, "axis", "end"),
    ]
    for j, column in enumerate(data.columns):
        parts.append(text(column, left + CELL_WIDTH * (j + 0.5), bottom + 16, "tick", "middle"))
    for i, row in enumerate(data.rows):
        y = CELL_HEIGHT * i
        parts.append(text(row, left - 8, y + CELL_HEIGHT / 2 + 4, "tick", "end"))
        cells = "".join(
            _cell(left + CELL_WIDTH * j, value, limit, data.tips[i][j])
            for j, value in enumerate(data.values[i])
        )
        parts.append(element("g", cells, class_="cells", transform=f"translate(0 {y})"))
    return drawing("".join(parts), width + 2, bottom + 22, label, "fixed")


def _cell(x: int, value: float | None, limit: float, hover: str) -> str:
    # Maps have thousands of cells: their size is a rule of the page, not two attributes of each.
    if value is None or not math.isfinite(value):
        return element("rect", tip(hover) if hover else "", class_="void", x=x)
    share = min(abs(value) / limit, 1.0) if limit > 0 else 0.0
    return element("rect", tip(hover), class_=_side(value), x=x, fill_opacity=share)


def _side(value: float) -> str:
    return "above" if value >= 0 else "below"


def color_scale(limit: float, *, title: str) -> str:
    """The legend of a heat map: its colors from -limit to +limit."""
    width, half = 210, 10
    size = width / (2 * half + 1)
    parts = [element("rect", x=0, y=0, width=width, height=10, class_="zero")]
    for index in range(-half, half + 1):
        parts.append(
            element(
                "rect",
                class_=_side(index),
                x=(index + half) * size,
                y=0,
                width=size,
                height=10,
                fill_opacity=abs(index) / half,
            )
        )
    for value, x, anchor in ((-limit, 0, "start"), (0, width / 2, "middle"), (limit, width, "end")):
        parts.append(text(f"{value:+.2f}" if value else "0", x, 25, "tick", anchor))
    return drawing("".join(parts), width, 30, f"{title}, {-limit:.2f} to {limit:.2f}", "fixed")
