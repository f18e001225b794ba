"""The page of all nights: what it says of each, and that text stays text."""

from pathlib import Path

from tinysql.evaluate.trend_page import TrendNight, write_trend_page

HELD = TrendNight(
    "2026-11-23", False, "model/b-2", 1, ("worse on <script>alert(1)</script>",),
    {"challenger-frozen": 0.5, "champion-frozen": 0.98, "challenger-fresh": 0.4}, 90.0, 0.0,
)  # fmt: skip
PROMOTED = TrendNight(
    "2026-11-21", True, "model/a-1", 1, (), {"challenger-frozen": 0.98}, 60.0, 0.0
)


def page(folder: Path, *nights: TrendNight) -> str:
    write_trend_page(folder / "nights.html", nights)
    return (folder / "nights.html").read_text(encoding="utf-8")


def test_it_counts_outcomes_and_dates_without_one(tmp_path: Path) -> None:
    text = page(tmp_path, PROMOTED, HELD)
    assert "1 promoted, 1 held, 1 without an outcome. The champion is version 1." in text


def test_each_kind_of_rows_has_a_chart_with_every_value(tmp_path: Path) -> None:
    text = page(tmp_path, PROMOTED, HELD)
    assert "days since 2026-11-21 0: challenger 98" in text
    assert "days since 2026-11-21 2: challenger 50, champion 98" in text
    assert "days since 2026-11-21 2: challenger 40" in text
    assert "GPU" not in text.partition("Every night")[0]


def test_reasons_are_text(tmp_path: Path) -> None:
    text = page(tmp_path, HELD)
    assert "<script" not in text and "&lt;script&gt;" in text


def test_one_night_is_enough(tmp_path: Path) -> None:
    assert "Nights, 2026-11-21 to 2026-11-21" in page(tmp_path, PROMOTED)
