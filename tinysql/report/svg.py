"""The words charts are made of: escaped SVG elements, formatted numbers and axis ticks.

Everything returns a string. Colors and fonts are CSS classes of the page, so that one drawing
serves light, dark and print.
"""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

_CLOCK = ((86_400, "d"), (3_600, "h"), (60, "min"))


def element(tag: str, content: str = "", **attributes: Any) -> str:
    """One SVG element around `content` (already SVG); a trailing "_" of an attribute is dropped."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{written}>{content}</{tag}>"


def _attribute(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def text(content: str, x: float, y: float, class_: str = "", anchor: str = "start") -> str:
    """A line of escaped text at (x, y)."""
    return element(
        "text", escape(content), x=float(x), y=float(y), class_=class_ or None, text_anchor=anchor
    )


def tip(content: str) -> str:
    """The hover text of the element it stands in."""
    return element("title", escape(content))


def drawing(content: str, width: float, height: float, label: str, class_: str = "") -> str:
    """The root element: a drawing in its own coordinates, named for screen readers."""
    return element(
        "svg",
        content,
        class_=f"chart {class_}".strip(),
        viewBox=f"0 0 {width:g} {height:g}",
        width=float(width),
        height=float(height),
        role="img",
        aria_label=label,
    )


def dot(x: float, y: float, style: str, radius: float) -> str:
    """A round mark."""
    return element("circle", cx=x, cy=y, r=radius, class_=f"dot {style}")


def scale(low: float, high: float, start: float, stop: float) -> Callable[[float], float]:
    """The linear map that sends `low` to `start` and `high` to `stop`."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (stop - start)


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: thousands separators, `digits` significant digits below 1000."""
    if value is None or not math.isfinite(value):
        return "n/a"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def percent(rate: float | None) -> str:
    """A share as a percentage with one decimal."""
    return "n/a" if rate is None or not math.isfinite(rate) else f"{100 * rate:.1f}%"


def size(num_bytes: float) -> str:
    """An amount of memory or disk in its largest decimal unit."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= unit:
            return f"{num_bytes / unit:.3g} {name}"
    return f"{num_bytes:.0f} bytes"


def duration(seconds: float) -> str:
    """A time span in its two largest units."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    unit, name = next((size, name) for size, name in _CLOCK if seconds >= size)
    smaller, small_name = {"d": (3_600, "h"), "h": (60, "min"), "min": (1, "s")}[name]
    whole, rest = divmod(round(seconds / smaller) * smaller, unit)
    return f"{whole} {name} {rest // smaller} {small_name}" if rest else f"{whole} {name}"


def linear_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round values inside [low, high]."""
    if high <= low:
        return [low]
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(size * magnitude for size in (1, 2, 2.5, 5, 10) if size * magnitude >= raw)
    start, stop = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(start, stop + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round values inside [low, high] that are about evenly spaced on a logarithmic axis."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    decades = math.log10(high / low)
    leads: Sequence[int] = (1, 2, 5) if decades < 2 else (1, 3) if decades < 4 else (1,)
    values = (lead * 10.0**exponent for exponent in exponents for lead in leads)
    return [value for value in values if low * 0.999 <= value <= high * 1.001]


def compact(value: float) -> str:
    """A short axis label: 1500 is "1.5k"."""
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"
