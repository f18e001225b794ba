"""Sentence shapes and direction phrases, checked as data."""

import itertools

import pytest

from tinysql.data import phrasing, words


@pytest.mark.parametrize("text", phrasing.SHAPES)
def test_parsed_shape_put_together_is_the_shape(text: str) -> None:
    shape = phrasing.parse_shape(text)
    slots = ("[columns]", "[table]") if shape.columns_first else ("[table]", "[columns]")
    parts = [shape.before, slots[0], shape.between, slots[1], shape.tail, "[order]", shape.end]
    assert "".join(parts) == text


def test_shapes_are_distinct_and_leave_blanks_to_one() -> None:
    assert len(set(phrasing.SHAPES)) == len(phrasing.SHAPES)
    assert [text for text in phrasing.SHAPES if "  " in text or text != text.strip()] == []


def test_direction_phrases_of_any_family_name_one_direction_only() -> None:
    ascending, descending = (
        {p for family in phrasing.FAMILIES for p in phrasing.direction_phrases(direction, family)}
        for direction in phrasing.DIRECTIONS
    )
    assert ascending & descending == set()


def test_direction_phrases_of_two_families_share_the_neutral_ones_only() -> None:
    for direction in phrasing.DIRECTIONS:
        neutral = set(phrasing.direction_phrases(direction, "other"))
        assert neutral
        for one, two in itertools.combinations(phrasing.FAMILIES, 2):
            shared = set(phrasing.direction_phrases(direction, one)) & set(
                phrasing.direction_phrases(direction, two)
            )
            assert shared == neutral


@pytest.mark.parametrize(
    ("sql_type", "family"),
    [
        ("INTEGER", "number"),
        ("DECIMAL(10,2)", "number"),
        ("VARCHAR(100)", "text"),
        ("TEXT", "text"),
        ("DATE", "date"),
        ("TIMESTAMP", "date"),
        ("BOOLEAN", "other"),
    ],
)
def test_type_family_of_a_type_is_known(sql_type: str, family: str) -> None:
    assert phrasing.type_family(sql_type) == family


def test_type_family_other_holds_booleans_only() -> None:
    types = {sql_type for column in words.columns() for sql_type in column.types}
    assert {each for each in types if phrasing.type_family(each) == "other"} == {"BOOLEAN"}
