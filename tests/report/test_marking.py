"""Marked text: nothing is lost, whole words are marked, hostile characters become visible."""

import pytest

from tinysql.report.marking import Mark, Segment, clip, diff, highlight, visible


def joined(segments: tuple[Segment, ...]) -> str:
    return "".join(segment.text for segment in segments)


def marked(segments: tuple[Segment, ...]) -> list[tuple[str, str]]:
    return [(segment.text, segment.mark) for segment in segments if segment.mark]


def test_highlight_marks_spans_in_any_order_and_no_blanks() -> None:
    text = "price, unit_price and price tag"
    segments = highlight(text, [Mark(17, 31, "b"), Mark(0, 5, "a")])
    assert joined(segments) == text
    assert marked(segments) == [("price", "a"), ("and price tag", "b")]
    assert highlight(text, []) == (Segment(text),)


def test_highlight_marks_nothing_in_the_note_of_what_is_left_out() -> None:
    text = "ab " * 300
    segments = highlight(text, [Mark(0, 2, "a"), Mark(9, 11, "b"), Mark(27, 29, "c")], limit=10)
    assert joined(segments) == clip(text, 10)
    assert marked(segments) == [("ab", "a")]


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
