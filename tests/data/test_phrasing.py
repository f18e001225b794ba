"""The words of questions, checked as data: no phrase tells two things, alone or in its place."""

import itertools
from collections.abc import Callable, Iterable

import pytest

from tinysql.data import phrasing, words

FAMILIES = ("number", "text", "date", "boolean")
Told = dict[str, object]


def first_words(phrases: Iterable[str]) -> set[str]:
    return {phrase.split()[0] for phrase in phrases}


def column_phrases() -> list[str]:
    return [phrase for column in words.columns() for phrase in (column.name, *column.phrases)]


def table_phrases() -> list[str]:
    return [phrase for table in words.tables() for phrase in (table.name, *table.phrases)]


def values_of(family: str) -> list[str]:
    """How every value of that family may be written in a question."""
    literals = [
        literal
        for kind in words.kinds().values()
        if ("date" if kind.family == "timestamp" else kind.family) == family
        for literal in kind.literals
    ]
    return [literal.strip("'").lower() if family == "boolean" else literal.strip("'")
            for literal in literals]  # fmt: skip


def told_by(groups: dict[object, Iterable[str]]) -> tuple[Told, list[str]]:
    """What each phrase of the groups tells, and the phrases that tell two things."""
    told: Told = {}
    twice = []
    for meaning, phrases in groups.items():
        for phrase in phrases:
            if told.setdefault(phrase.strip(), meaning) != meaning:
                twice.append(phrase)
    return told, twice


def operators(family: str) -> dict[object, Iterable[str]]:
    return {
        operator.name: phrasing.operator_phrases(operator.name, family)
        for operator in phrasing.OPERATORS
        if not operator.name.endswith("EXISTS")
    }


def aggregates(family: str) -> dict[object, Iterable[str]]:
    return {name: phrasing.aggregate_phrases(name, family) for name in phrasing.AGGREGATES}


def directions(family: str) -> dict[object, Iterable[str]]:
    return {name: phrasing.direction_phrases(name, family) for name in phrasing.DIRECTIONS}


def leads() -> dict[object, Iterable[str]]:
    return {
        "where": phrasing.WHERE_LEADS,
        **phrasing.SET_OPERATIONS,
        "group": phrasing.GROUP_LEADS,
        "having": phrasing.HAVING_LEADS,
        "order": phrasing.ORDER_LEADS,
        **{f"limit{after}": (before,) for before, after in phrasing.LIMITS},
        "next order key": phrasing.ORDER_LINKS,
        "next condition": (" and ", " or ", " nor ", ", and "),
    }


def confusions(told: Told, followers: set[str]) -> list[str]:
    """The phrases that go on where another, of other meaning, may end and be followed."""
    return [
        f"{longer!r} begins like {shorter!r}"
        for shorter, longer in itertools.permutations(told, 2)
        if told[shorter] != told[longer]
        and longer.startswith(shorter + " ")
        and longer[len(shorter) :].split()[0] in followers
    ]


# Sentence shapes.


@pytest.mark.parametrize("text", phrasing.SHAPES)
def test_parsed_shape_put_together_is_the_shape(text: str) -> None:
    shape = phrasing.parse_shape(text)
    slots = ("[columns]", "[table]") if shape.columns_first else ("[table]", "[columns]")
    parts = [shape.before, slots[0], shape.between, slots[1], shape.tail, "[clauses]", shape.end]
    assert "".join(parts) == text


def test_shapes_are_distinct_and_leave_blanks_to_one() -> None:
    assert len(set(phrasing.SHAPES)) == len(phrasing.SHAPES)
    assert [text for text in phrasing.SHAPES if "  " in text or text != text.strip()] == []


def test_no_shape_begins_like_another_up_to_a_column_or_table() -> None:
    # "Show [columns]" beside "Show the [columns]" is harmless, for no column begins with "the".
    starts = first_words(column_phrases() + table_phrases() + list(phrasing.DISTINCT_WORDS))
    starts |= first_words(phrase for family in FAMILIES for each in aggregates(family).values()
                          for phrase in each)  # fmt: skip
    starts |= first_words(p for each in phrasing.OUTER_AGGREGATES.values() for p in each)
    befores = {phrasing.parse_shape(text).before for text in phrasing.SHAPES}
    assert [
        (one, other)
        for one, other in itertools.permutations(befores, 2)
        if other.startswith(one) and other[len(one) :].split()[0] in starts
    ] == []


def test_held_out_shapes_and_phrases_are_disjoint_from_the_usual_ones() -> None:
    held = [text for n, text in enumerate(phrasing.SHAPES) if phrasing.held_shape(n)]
    assert len(held) == len(phrasing.SHAPES) // phrasing.HELD_SHAPE_EVERY
    assert phrasing.split_held(("a", "b", "c")) == (("a", "b"), ("c",))
    assert phrasing.split_held(("a", "b")) == (("a", "b"), ())


# One phrase, one meaning.


@pytest.mark.parametrize("family", phrasing.FAMILIES)
@pytest.mark.parametrize("groups", [operators, aggregates, directions])
def test_no_phrase_of_a_family_tells_two_things(
    groups: Callable[[str], dict[object, Iterable[str]]], family: str
) -> None:
    assert told_by(groups(family))[1] == []


def test_no_direction_phrase_tells_one_direction_here_and_the_other_there() -> None:
    everywhere = {
        name: {p for family in FAMILIES for p in phrasing.direction_phrases(name, family)}
        for name in phrasing.DIRECTIONS
    }
    assert told_by(everywhere)[1] == []


def test_no_aggregate_phrase_tells_one_aggregate_here_and_another_there() -> None:
    everywhere = {
        name: {p for family in FAMILIES for p in phrasing.aggregate_phrases(name, family)}
        for name in phrasing.AGGREGATES
    }
    assert told_by(everywhere)[1] == []


def test_no_operator_phrase_tells_one_thing_here_and_another_there() -> None:
    everywhere = {
        name: {phrase for family in phrasing.FAMILIES for phrase in operators(family)[name]}
        for name in operators("number")
    }
    assert told_by(everywhere)[1] == []


def test_no_opening_of_a_clause_opens_another() -> None:
    assert told_by(leads())[1] == []


def test_outer_aggregates_and_existence_tell_one_thing_each() -> None:
    assert told_by(dict(phrasing.OUTER_AGGREGATES))[1] == []
    existence = {name: phrasing.operator_phrases(name, "") for name in ("EXISTS", "NOT EXISTS")}
    assert told_by(existence)[1] == []


@pytest.mark.parametrize(
    ("aggregate", "families"),
    [
        ("COUNT", {*FAMILIES, "key"}),
        ("SUM", {"number"}),
        ("AVG", {"number"}),
        ("MIN", {"number", "text", "date"}),
        ("MAX", {"number", "text", "date"}),
    ],
)
def test_aggregates_are_said_of_the_families_where_they_make_sense(
    aggregate: str, families: set[str]
) -> None:
    said = {f for f in phrasing.FAMILIES if phrasing.aggregate_phrases(aggregate, f)}
    assert said == families


def test_what_is_ordered_as_text_is_not_said_of_numbers_or_dates() -> None:
    for family in ("number", "date", "boolean"):
        for direction in phrasing.DIRECTIONS:
            said = " ".join(phrasing.direction_phrases(direction, family))
            assert "alphabet" not in said and " A" not in said and " Z" not in said


# One meaning where one phrase begins like another.


@pytest.mark.parametrize("family", FAMILIES)
def test_an_operator_cannot_be_a_shorter_one_and_a_value(family: str) -> None:
    # In any case: nobody should need the capital to tell "is Missing" from "is missing".
    told, _ = told_by(operators(family))
    starts = {value.split()[0].lower() for value in values_of(family)}
    assert confusions(told, starts | {"the"}) == []


def test_a_like_cannot_be_a_shorter_one_and_a_word_to_look_for() -> None:
    told, _ = told_by(operators("text"))
    likes = {phrase: name for phrase, name in told.items() if "LIKE" in str(name)}
    assert len(likes) >= 4
    said = {word.lower() for value in values_of("text") for word in value.split()}
    assert confusions(likes, said) == []


def test_an_aggregate_cannot_be_a_shorter_one_and_a_column() -> None:
    followers = first_words(column_phrases()) | first_words(phrasing.STAR_PHRASES)
    everything = {("outer", name): each for name, each in phrasing.OUTER_AGGREGATES.items()}
    for family in FAMILIES:
        everything |= {(family, name): each for name, each in aggregates(family).items()}
    told = {
        phrase: meaning[1] if meaning[0] != "outer" else meaning
        for meaning, each in everything.items()
        for phrase in each
    }
    assert confusions(told, followers) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_direction_cannot_be_a_shorter_one_and_a_link(family: str) -> None:
    told, _ = told_by(directions(family))
    followers = first_words(phrasing.ORDER_LINKS) | first_words(b for b, _ in phrasing.LIMITS)
    assert confusions(told, followers) == []


def test_an_opening_cannot_be_a_shorter_one_and_what_it_opens() -> None:
    told, _ = told_by(leads())
    existence = [*phrasing.operator_phrases("EXISTS", ""),
                 *phrasing.operator_phrases("NOT EXISTS", "")]  # fmt: skip
    counted = [p for family in FAMILIES for each in aggregates(family).values() for p in each]
    followers = first_words(column_phrases() + existence + counted) | {"either", "neither"}
    assert confusions(told, followers) == []


# Phrases beside the words of the vocabulary.


def behind_a_column() -> set[str]:
    """The first words of everything that may follow a column."""
    said = [
        phrase
        for family in FAMILIES
        for group in (*operators(family).values(), *directions(family).values())
        for phrase in group
    ]
    shapes = [phrasing.parse_shape(text) for text in phrasing.SHAPES]
    said += [shape.between if shape.columns_first else shape.tail for shape in shapes]
    said += [phrase for each in leads().values() for phrase in each]
    said += [*phrasing.JOINERS, "for each", "of all"]
    return first_words(phrase for phrase in said if phrase.strip())


def behind_a_table() -> set[str]:
    """The first words of everything that may follow a table."""
    shapes = [phrasing.parse_shape(text) for text in phrasing.SHAPES]
    said = [shape.tail if shape.columns_first else shape.between for shape in shapes]
    said += [phrase for each in leads().values() for phrase in each]
    said += [*phrasing.JOIN_LINKS, "and", "whose"]
    return first_words(phrase for phrase in said if phrase.strip())


def extensions(phrases: Iterable[str]) -> set[tuple[str, str]]:
    """(phrase, the word behind it) for every phrase that another one begins with."""
    known = set(phrases)
    return {
        (" ".join(split[:n]), split[n])
        for split in (phrase.split(" ") for phrase in known)
        for n in range(1, len(split))
        if " ".join(split[:n]) in known
    }


def test_no_column_is_another_one_and_what_may_follow_it() -> None:
    following = behind_a_column()
    assert [each for each in extensions(column_phrases()) if each[1] in following] == []


def test_no_table_is_another_one_and_what_may_follow_it() -> None:
    following = behind_a_table()
    assert [each for each in extensions(table_phrases()) if each[1] in following] == []


def test_no_column_begins_like_what_may_stand_in_its_place() -> None:
    said = [p for family in FAMILIES for each in aggregates(family).values() for p in each]
    said += [p for each in phrasing.OUTER_AGGREGATES.values() for p in each]
    said += [word.strip() for word in phrasing.DISTINCT_WORDS]
    said += [p for name in ("EXISTS", "NOT EXISTS") for p in phrasing.operator_phrases(name, "")]
    said += ["either", "neither", "the"]
    assert [
        (column, phrase)
        for phrase in said
        for column in column_phrases()
        if column == phrase or column.startswith(phrase + " ")
    ] == []


def test_no_value_is_another_one_and_what_may_follow_it() -> None:
    following = first_words(phrase for each in leads().values() for phrase in each)
    for kind in words.kinds().values():
        clashes = [each for each in extensions(kind.values) if each[1] in following]
        assert clashes == [], kind.name


def test_rows_are_no_column() -> None:
    assert set(phrasing.STAR_PHRASES) & set(column_phrases()) == set()
