"""Charts are well-formed, escaped SVG whose marks stand where their values say."""

import math
import xml.etree.ElementTree as ET

import pytest

from tinysql.report.charts import (
    Bar,
    Interval,
    Span,
    bar_chart,
    column_chart,
    interval_chart,
    waterfall,
)
from tinysql.report.heat import HeatMap, color_scale, heat_map
from tinysql.report.lines import Series, line_chart, sparkline
from tinysql.report.svg import duration, linear_ticks, log_ticks, number, percent

EVIL = '<b a="1">&\'</b>'


def marks(svg: str, style: str) -> list[ET.Element]:
    return [mark for mark in ET.fromstring(svg).iter() if style in mark.get("class", "").split()]


def titles(svg: str) -> list[str]:
    return [title.text or "" for title in ET.fromstring(svg).iter("title")]


@pytest.mark.parametrize(
    "svg",
    [
        line_chart(
            [Series(EVIL, "blue", [(0, 1), (5, 2)])], label=EVIL, x_title=EVIL, y_title=EVIL
        ),
        interval_chart([Interval(EVIL, 1, 2, 0.5, 0.1, 0.9)], label=EVIL),
        bar_chart([Bar(EVIL, 3)], label=EVIL),
        column_chart([Bar(EVIL, 3)], label=EVIL, x_title=EVIL),
        waterfall([Span(EVIL, EVIL, 3.0)], label=EVIL),
        sparkline([(0, 1), (1, 0.5)], label=EVIL, x_title=EVIL),
        heat_map(HeatMap([EVIL], [EVIL], [[0.5]], [[EVIL]], EVIL), label=EVIL, limit=1),
        color_scale(0.5, title=EVIL),
    ],
    ids=["line", "interval", "bar", "column", "waterfall", "sparkline", "heat", "scale"],
)
def test_charts_escape_text_and_are_named(svg: str) -> None:
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert EVIL in (root.get("aria-label") or "")
    assert list(root.iter("b")) == []


def test_line_chart_uses_a_log_axis_only_over_a_wide_range() -> None:
    narrow = line_chart([Series("a", "blue", [(0, 1), (1, 2)])], label="", x_title="", y_title="y")
    wide = line_chart([Series("a", "blue", [(0, 1), (1, 99)])], label="", x_title="", y_title="y")
    assert "log scale" not in narrow
    assert "log scale" in wide


def test_line_chart_tells_every_series_at_a_shared_x() -> None:
    both = [Series("a", "blue", [(1, 0.5), (2, 0.25)]), Series("b", "gray", [(2, 0.75)])]
    svg = line_chart(both, label="", x_title="step", y_title="loss")
    assert titles(svg) == ["step 1: a 0.500", "step 2: a 0.250, b 0.750"]


@pytest.mark.parametrize(
    "points", [[], [(1.0, math.nan)], [(1.0, 0.5)], [(1.0, 0.0), (2.0, 0.0)], [(0.0, -1.0)]]
)
def test_line_charts_survive_degenerate_points(points: list[tuple[float, float]]) -> None:
    line = line_chart([Series("a", "blue", points)], label="", x_title="", y_title="")
    for svg in (line, sparkline(points, label="", x_title="")):
        assert "nan" not in svg
        assert "inf" not in svg


def test_interval_chart_draws_the_band_around_the_dot() -> None:
    svg = interval_chart([Interval("score", 50, 100, 0.5, 0.4, 0.6)], label="")
    (band,), (dot,) = marks(svg, "band"), marks(svg, "dot")
    start, width = float(band.get("x", 0)), float(band.get("width", 0))
    assert float(dot.get("cx", 0)) == pytest.approx(start + width / 2, abs=0.02)


def test_bars_are_proportional_to_their_values() -> None:
    widths = [
        float(m.get("width", 0))
        for m in marks(bar_chart([Bar("a", 8), Bar("b", 2)], label=""), "fill")
    ]
    assert widths[0] == pytest.approx(4 * widths[1], rel=1e-3)
    heights = [
        float(mark.get("height", 0))
        for mark in marks(column_chart([Bar("a", 8), Bar("b", 2)], label="", x_title=""), "fill")
    ]
    assert heights[0] == pytest.approx(4 * heights[1], rel=1e-3)


def test_waterfall_starts_each_step_where_the_one_before_ended() -> None:
    spans = [Span("a", "x", 3.0), Span("b", "x", 9.0), Span("c", "x", 1.0)]
    bars = marks(waterfall(spans, label=""), "fill")
    assert len(bars) == 3
    for above, below in zip(bars, bars[1:], strict=False):
        end = float(above.get("x", 0)) + float(above.get("width", 0))
        assert float(below.get("x", 0)) == pytest.approx(end, abs=0.02)


def test_heat_map_colors_by_sign_and_size_around_zero() -> None:
    data = HeatMap(
        ["r"], ["0", "1", "2", "3"], [[0.5, -1.0, 0.0, None]], [["a", "b", "c", ""]], "l"
    )
    svg = heat_map(data, label="", limit=1.0)
    assert [mark.get("fill-opacity") for mark in marks(svg, "above")] == ["0.5", "0"]
    assert [mark.get("fill-opacity") for mark in marks(svg, "below")] == ["1"]
    assert len(marks(svg, "void")) == 1
    assert titles(svg) == ["a", "b", "c"]


def test_color_scale_is_symmetric() -> None:
    svg = color_scale(0.25, title="t")
    shares = [float(mark.get("fill-opacity", 0)) for mark in marks(svg, "below")]
    assert shares == [float(mark.get("fill-opacity", 0)) for mark in marks(svg, "above")][:0:-1]
    assert "+0.25" in svg
    assert "-0.25" in svg


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (0.0, "0"), (1, "1"), (12_345, "12,345"), (12_345.678, "12,346"), (-6.9, "-6.90"),
        (0.012345, "0.0123"), (99.96, "100.0"), (math.nan, "n/a"), (None, "n/a"),
    ],
)  # fmt: skip
def test_number_formats(value: float | None, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"), (2.44, "2.4 s"), (59.7, "1 min"), (60, "1 min"), (212, "3 min 32 s"),
        (3599.9, "1 h"), (3600, "1 h"), (5400, "1 h 30 min"), (180_000, "2 d 2 h"),
    ],
)  # fmt: skip
def test_duration_formats(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_percent_has_one_decimal() -> None:
    assert percent(0.9421) == "94.2%"
    assert percent(None) == "n/a"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.41, 9.2), (10, 3000), (-3, 7), (1e-9, 2e-9)])
def test_linear_ticks_are_inside_and_evenly_spaced(low: float, high: float) -> None:
    ticks = linear_ticks(low, high)
    gaps = [b - a for a, b in zip(ticks, ticks[1:], strict=False)]
    assert 2 <= len(ticks) <= 7
    assert min(ticks) >= low - 1e-6 * abs(low)
    assert max(ticks) <= high * (1 + 1e-6)
    assert max(gaps) == pytest.approx(min(gaps))


@pytest.mark.parametrize(("low", "high"), [(0.4, 9.0), (0.01, 1.2), (1e-5, 10.0), (3.0, 50.0)])
def test_log_ticks_are_inside_and_few(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert low * 0.99 <= ticks[0] < ticks[-1] <= high * 1.01
