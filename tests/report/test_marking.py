"""Marked text: nothing is lost, whole words are marked, hostile characters become visible."""

import pytest

from tinysql.report.marking import Segment, clip, diff, highlight, visible


def joined(segments: tuple[Segment, ...]) -> str:
    return "".join(segment.text for segment in segments)


def marked(segments: tuple[Segment, ...]) -> list[tuple[str, str]]:
    return [(segment.text, segment.mark) for segment in segments if segment.mark]


def test_highlight_marks_whole_words_and_prefers_the_longest() -> None:
    text = "price, unit_price and price tag (price)"
    segments = highlight(text, {"price": "a", "price tag": "b"})
    assert joined(segments) == text
    assert marked(segments) == [("price", "a"), ("price tag", "b"), ("price", "a")]


def test_highlight_takes_phrases_literally() -> None:
    text = "a.b (c) axb"
    assert marked(highlight(text, {"a.b": "x", "": "y"})) == [("a.b", "x")]
    assert highlight(text, {}) == (Segment(text),)


@pytest.mark.parametrize(
    ("gold", "pred", "missing", "extra"),
    [
        ("SELECT a, b FROM t", "SELECT a FROM t", [", b"], []),
        ("SELECT a FROM t", "SELECT b FROM t", ["a"], ["b"]),
        ("SELECT a FROM t", "SELECT a FROM t", [], []),
        ("SELECT a FROM t", "", ["SELECT a FROM t"], []),
        ("SELECT unit FROM t", "SELECT unit_price FROM t", ["unit"], ["unit_price"]),
    ],
)
def test_diff_marks_what_the_other_side_lacks(
    gold: str, pred: str, missing: list[str], extra: list[str]
) -> None:
    left, right = diff(gold, pred)
    assert (joined(left), joined(right)) == (gold, pred)
    assert marked(left) == [(text, "missing") for text in missing]
    assert marked(right) == [(text, "extra") for text in extra]


def test_clip_says_how_much_is_left_out() -> None:
    assert clip("x" * 700, limit=600) == "x" * 600 + " [100 more]"
    assert clip("short") == "short"


def test_visible_shows_hidden_characters_and_keeps_lines() -> None:
    assert visible("a\x00b\u202ec\td\ne") == "a\ufffdb\ufffdc\td\ne"
