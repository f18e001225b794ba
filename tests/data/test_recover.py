"""The checker of free questions: takes every templated one, misses nothing that is taken out."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from tinysql.data import phrasing
from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_mentions, generate_rows
from tinysql.data.natural import spotting
from tinysql.data.natural.cues import has_cue
from tinysql.data.natural.needs import allowed_columns, names, needed_columns, needed_tables
from tinysql.data.natural.recover import MAX_CHARS, Reason, clean, complaints

Row = dict[str, Any]
SETS = [("default", number) for number in range(1, 9)] + [("paper", number) for number in (3, 5)]


@cache
def rows_of(variant: Any, command_set: int, split: str = "train") -> list[Row]:
    config = DatasetConfig(
        variant=variant,
        command_sets=(command_set,),
        table_synonym_rate=0.8,
        column_synonym_rate=0.5,
        generalization_rows={"held_phrases": 40},
    )
    numbers = np.arange(40)
    rows = generate_rows(config, split, numbers)
    spans = generate_mentions(config, split, numbers)["mentions"]
    return rows.append_column("mentions", spans).to_pylist()


def reasons(question: str, row: Row) -> set[Reason]:
    return {complaint.reason for complaint in complaints(question, row)}


def without(question: str, row: Row, phrases: set[str]) -> str:
    """The row's question with "it" in the place of every mention by one of these phrases."""
    spans = [
        (mention["start"], mention["end"])
        for mention in row["mentions"]
        if mention["key"].startswith("question.")
        and question[mention["start"] : mention["end"]] in phrases
    ]
    for start, end in sorted(spans, reverse=True):
        question = f"{question[:start]}it{question[end:]}"
    return question


@pytest.mark.parametrize("split", ["train", "held_phrases"])
@pytest.mark.parametrize(("variant", "command_set"), SETS)
def test_templated_question_tells_everything(variant: str, command_set: int, split: str) -> None:
    for row in rows_of(variant, command_set, split):
        assert complaints(f"Hello, {row['question']}", row) == []
        assert reasons(row["question"], row) == {Reason.UNCHANGED}


@pytest.mark.parametrize(("variant", "command_set"), SETS)
def test_question_without_one_of_its_names_is_refused(variant: str, command_set: int) -> None:
    checked = 0
    for row in rows_of(variant, command_set):
        for named in names(row):
            place = named.position
            if named.kind == "column":
                column = row["columns"][place]["table"], named.name
                used, reason = column in needed_columns(row), Reason.COLUMN
            else:
                used, reason = place in needed_tables(row), Reason.TABLE
            if used:
                lost = without(row["question"], row, {named.name, *named.phrases})
                assert reason in reasons(lost, row), lost
                checked += 1
    assert checked > 60


@pytest.mark.parametrize(("variant", "command_set"), SETS)
def test_question_with_a_value_or_the_limit_changed_is_refused(
    variant: str, command_set: int
) -> None:
    for row in rows_of(variant, command_set):
        question = row["question"]
        for mention in row["mentions"]:
            text, _, part = mention["key"].partition(".")
            if text == "question" and part.partition(".")[0] in ("value", "having_value", "limit"):
                if question[mention["start"] : mention["end"]] in ("true", "false"):
                    continue
                changed = f"{question[: mention['start']]}98765{question[mention['end'] :]}"
                assert {Reason.OTHER_VALUE} <= reasons(changed, row), changed


@pytest.mark.parametrize(("variant", "command_set"), SETS)
def test_question_with_another_column_or_number_is_refused(variant: str, command_set: int) -> None:
    for row in rows_of(variant, command_set):
        allowed = {name for _, name in allowed_columns(row)}
        for named in names(row):
            if named.kind == "column" and named.name not in allowed:
                more = f"Besides the {named.phrases[-1]}: {row['question']}"
                assert Reason.OTHER_COLUMN in reasons(more, row), more
        assert Reason.OTHER_VALUE in reasons(f"In 98765 words, {row['question']}", row)


def test_every_phrase_of_the_templates_has_its_cue() -> None:
    for family in phrasing.FAMILIES:
        for aggregate in phrasing.AGGREGATES:
            for phrase in phrasing.aggregate_phrases(aggregate, family):
                assert has_cue(aggregate, phrase), phrase
        for direction, other in (("ASC", "DESC"), ("DESC", "ASC")):
            for phrase in phrasing.direction_phrases(direction, family):
                assert has_cue(direction, phrase.lower()), phrase
                assert not has_cue(other, phrase.lower()), phrase
    for operator in phrasing.OPERATORS:
        name = "NOT LIKE" if operator.sql == "NOT LIKE" else operator.name
        for phrase in (each for group in operator.phrases.values() for each in group):
            assert has_cue(name, phrase), phrase
    for name, phrases in {**phrasing.SET_OPERATIONS, **phrasing.OUTER_AGGREGATES}.items():
        assert all(has_cue(name, phrase) for phrase in phrases)


def column(name: str, sql_type: str) -> Row:
    return {"table": 0, "name": name, "type": sql_type, "kind": "", "key": ""}


def condition(name: str, operator: str, *values: str) -> Row:
    return {
        "scope": 0, "table": 0, "column": name, "operator": operator, "values": list(values),
        "aggregate": "", "phrase": None, "operator_phrase": None,
    }  # fmt: skip


ROW: Row = {
    "split": "train",
    "question": "List the full_name and height_cm of customers.",
    "schema_sql": "CREATE TABLE customers ( full_name TEXT, height_cm INTEGER, birth_date DATE, "
    "city_name TEXT, is_urgent BOOLEAN, nickname TEXT )",
    "gold_sql": "",
    "tables": [{"name": "customers", "phrase": None}],
    "columns": [
        column("full_name", "TEXT"), column("height_cm", "INTEGER"), column("birth_date", "DATE"),
        column("city_name", "TEXT"), column("is_urgent", "BOOLEAN"), column("nickname", "TEXT"),
    ],
    "from_tables": [0],
    "joins": [],
    "select": [
        {"table": 0, "column": "full_name", "aggregate": ""},
        {"table": 0, "column": "height_cm", "aggregate": ""},
    ],
    "distinct": False,
    "outer_aggregate": "",
    "where_form": "A AND B AND C",
    "filters": [
        condition("birth_date", ">", "'1990-03-05'"),
        condition("city_name", "=", "'New Haven'"),
        condition("is_urgent", "=", "FALSE"),
    ],
    "set_operation": "",
    "group_by": [],
    "having": [],
    "order_by": [{"table": 0, "column": "height_cm", "aggregate": "", "direction": "DESC"}],
    "limit": 5,
}  # fmt: skip
GOOD = (
    "Who are the five tallest shoppers from a town name of New Haven, with a birthday after March "
    "5, 1990, who aren't urgent? Give the full name and body height, highest first."
)


@pytest.mark.parametrize(
    "question",
    [
        GOOD,
        GOOD.replace("March 5, 1990", "1990-03-05"),
        GOOD.replace("March 5, 1990", "5th of March 1990").replace("five", "5"),
        GOOD.replace("March 5, 1990", "Mar. 5 1990").replace("full name", "full_name"),
        GOOD.replace("shoppers", "customer's entries").replace("a birthday", "birth dates"),
        GOOD.replace("body height, highest first", "stature, sorted by that from high to low"),
        GOOD.replace("a town name of New Haven", "New Haven (the name of the city)"),
        GOOD.replace("Who are", "I'd like to see"),
    ],
)
def test_free_question_that_tells_everything_is_taken(question: str) -> None:
    assert complaints(question, ROW) == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("shoppers", "people", Reason.TABLE),
        ("shoppers", "patrons", Reason.TABLE),  # held out
        ("body height", "size", Reason.COLUMN),
        ("town name of ", "", Reason.COLUMN),
        ("urgent", "in haste", Reason.COLUMN),
        ("a town name", "an urban locality", Reason.COLUMN),  # held out
        ("full name", "full name, pet name", Reason.OTHER_COLUMN),
        ("full name", "informal name", Reason.COLUMN),
        ("New Haven", "new haven", Reason.VALUE),
        ("New Haven", "New Havens", Reason.VALUE),
        ("March 5", "March 6", Reason.VALUE),
        ("March 5, 1990", "05.03.1990", Reason.VALUE),
        ("1990", "1991", Reason.VALUE),
        ("five", "six", Reason.VALUE),
        ("five", "5 or 10", Reason.OTHER_VALUE),
        (" after ", " on ", Reason.WORDS),
        ("aren't", "are", Reason.WORDS),
        ("highest first", "in that order", Reason.WORDS),
        ("highest first", "from low to high", Reason.WORDS),
        ("Give", "### Response: give", Reason.FORM),
        ("Give", "<|end|> give", Reason.FORM),
        ("Give", "SELECT", Reason.FORM),
        ("full name", "`full name`", Reason.FORM),
        ("Give", "G\u0131ve", Reason.FORM),
        ("Give", "Give\x07", Reason.FORM),
        ("Give", "Give " + "very " * (MAX_CHARS // 5), Reason.FORM),
        (GOOD, "", Reason.FORM),
        (GOOD, "list the FULL_name and height_cm of customers!", Reason.UNCHANGED),
    ],
)
def test_free_question_that_loses_or_adds_something_is_refused(
    old: str, new: str, reason: Reason
) -> None:
    assert old in GOOD
    assert reason in reasons(GOOD.replace(old, new), ROW)


def test_name_inside_a_longer_name_does_not_count() -> None:
    columns = [column("height_cm", "INTEGER"), column("stature_note", "TEXT")]
    row = {
        **ROW, "columns": columns, "select": ROW["select"][1:], "filters": [], "order_by": [],
        "limit": 0, "where_form": "",
    }  # fmt: skip
    assert reasons("Which stature do customers have?", row) == set()
    assert reasons("Which stature note do customers have?", row) == {
        Reason.COLUMN, Reason.OTHER_COLUMN,
    }  # fmt: skip


def test_name_does_not_run_over_a_comma() -> None:
    said = spotting.words_of("badge, number of rows; badge number, unit-price")
    assert len(spotting.find_phrase("badge_number", said)) == 1
    assert len(spotting.find_phrase("unit price", said)) == 1


@pytest.mark.parametrize(
    ("answer", "question"),
    [
        ('  "Who is it?"\n', "Who is it?"),
        ("Question: Who\nis   it?", "Who is it?"),
        ("<think>Hm.\nWell.</think>\n\nWho is it?", "Who is it?"),
        ("Who\u2019s \u201cit\u201d \u2013 now?", "Who's \"it\" - now?"),
        ("\uff37ho is it?", "Who is it?"),
        ("", ""),
    ],
)
def test_clean_leaves_the_question_alone(answer: str, question: str) -> None:
    assert clean(answer) == question


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("city", "cities"), ("purchase", "purchases"), ("address", "addresses"), ("box", "boxes"),
        ("status", "statuses"), ("movie", "movies"), ("day", "days"), ("branch", "branches"),
        ("person", "people"), ("house", "houses"), ("bus", "buses"),
    ],
)  # fmt: skip
def test_singular_and_plural_have_one_stem(one: str, many: str) -> None:
    assert spotting.stem(one) == spotting.stem(many)


@pytest.mark.parametrize(("one", "other"), [("plan", "plane"), ("rat", "rate"), ("car", "care")])
def test_different_words_have_different_stems(one: str, other: str) -> None:
    assert spotting.stem(one) != spotting.stem(other)


@pytest.mark.parametrize(
    ("literal", "text", "there"),
    [
        ("'2021-03-04 15:30:00'", "at 2021-03-04 15:30:00.", True),
        ("'2021-03-04 15:30:00'", "on March 4, 2021 at 3:30 pm", True),
        ("'2021-03-04 15:30:00'", "on March 4, 2021 at 15:30", True),
        ("'2021-03-04 15:30:00'", "on March 4, 2021 at 3:30 am", False),
        ("'2021-03-04 15:30:00'", "on March 4, 2021", False),
        ("'2021-03-04 15:30:20'", "on 2021-03-04 15:30", False),
        ("'2021-03-04'", "on 2021-03-041", False),
        ("'2021-05-14'", "on the 14th May 2021", True),
        ("'2021-05-14'", "on May 4, 2021", False),
        ("'O''Hara'", "of O'Hara", True),
    ],
)
def test_text_is_found_in_its_written_forms_only(literal: str, text: str, there: bool) -> None:
    assert bool(spotting.find_text(literal, text)) == there


def test_numbers_are_read_with_separators_signs_and_fractions() -> None:
    text = "1,500 or 2.5, -3; not 4th, v5, 6-7 or 2021-03-04"
    assert [str(number) for number, _ in spotting.numbers(text)] == [
        "1500", "2.5", "-3", "6", "2021",
    ]  # fmt: skip
