"""Whether a free question still tells all that its query needs, and nothing more.

Every table, column, value, aggregate, direction, comparison and limit of the row's records must be
recoverable from the words, and no other column of the schema and no other number may be named. A
name inside the longer name of something else does not count ("price" in "price lists"). What words
can tell is a matter of lists (cues.py), so this is one half of the check; the other half reads the
question back as SQL and runs it (rewriting.py).
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import NamedTuple

from tinysql.data.natural import spotting
from tinysql.data.natural.cues import has_cue
from tinysql.data.natural.needs import (
    Named,
    Row,
    allowed_columns,
    literals,
    names,
    needed_columns,
    needed_cues,
    needed_tables,
)
from tinysql.data.natural.spotting import Span, Words

MAX_CHARS = 800

_PLAIN = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-",
    "\u2212": "-", "\u2026": "...",
})  # fmt: skip
_MARKERS = ("###", "<|", "|>", "[INST]", "```")
_SQL = re.compile(
    r"\b(?:SELECT|FROM|WHERE|JOIN|GROUP BY|ORDER BY|HAVING|LIMIT|COUNT|SUM|AVG|MIN|MAX|NULL)\b"
    r"|[`;=<>*{}\[\]|\\#]"
)
_IDIOMS = re.compile(
    r"\border(?:ed|ing)?\b(?= by| of)|(?<=\bin )(?:\w+ ){0,3}order\b|(?:would|'d|i|we) like\b"
)


class Reason(StrEnum):
    """Why an answer was refused."""

    TRUNCATED = "truncated"
    """The model was cut off."""
    FORM = "form"
    """Empty, too long, not plain text, with prompt markers or SQL in it."""
    UNCHANGED = "unchanged"
    """The words of the templated question."""
    TABLE = "table"
    """A table is not mentioned."""
    COLUMN = "column"
    """A column is not mentioned."""
    OTHER_COLUMN = "other_column"
    """A column is mentioned that the query does not use."""
    VALUE = "value"
    """A value of a condition, or the limit, is lost."""
    OTHER_VALUE = "other_value"
    """A number is mentioned that the query does not have."""
    WORDS = "words"
    """No word tells an aggregate, a direction, a comparison, ..."""
    EXECUTION = "execution"
    """Read back as SQL it answers otherwise."""
    UNTESTABLE = "untestable"
    """The row's query answers nothing on any database, so no execution could tell."""
    REQUEST = "request"
    """The endpoint refuses to answer about this row."""


class Complaint(NamedTuple):
    """One thing wrong with a question; the text is for who wrote it."""

    reason: Reason
    text: str


def clean(answer: str) -> str:
    """The question in a model's answer: one line, without thoughts, label and quotes around it."""
    text = answer.rpartition("</think>")[2]
    text = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    text = " ".join(text.split())
    text = re.sub(r"^(?:question|request)\s*:\s*", "", text, flags=re.IGNORECASE)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return text


def complaints(question: str, row: Row) -> list[Complaint]:
    """All that is wrong with a cleaned question for this row; [] when everything is recoverable."""
    if found := list(_form_complaints(question, row)):
        return found
    spelled, lost = _spell_values(question.replace("n't", " not"), row)
    # The order of rows is no mention of a table of orders.
    idioms = (Span(*match.span()) for match in _IDIOMS.finditer(spelled.lower()))
    said = spotting.words_of(spotting.mask(spelled, idioms))
    spans = _spans_of_names(said, row)
    rest = spotting.mask(spelled, (span for found in spans.values() for span in found))
    return [
        *_name_complaints(set(spans), said, row),
        *lost,
        *_number_complaints(rest, row),
        *_cue_complaints(rest.lower(), row),
        *_sql_complaints(rest),
    ]


def _form_complaints(question: str, row: Row) -> Iterator[Complaint]:
    if not question:
        yield Complaint(Reason.FORM, "it is empty")
    if len(question) > MAX_CHARS:
        yield Complaint(Reason.FORM, f"it is longer than {MAX_CHARS} characters")
    if not (question.isascii() and question.isprintable()):
        yield Complaint(Reason.FORM, "it has characters other than plain ASCII letters and signs")
    if any(marker in question for marker in _MARKERS):
        yield Complaint(Reason.FORM, "it has markers such as ###")
    if re.findall(r"\w+", question.lower()) == re.findall(r"\w+", row["question"].lower()):
        yield Complaint(Reason.UNCHANGED, "it is the request as it was; use words of your own")


def _sql_complaints(rest: str) -> Iterator[Complaint]:
    if found := _SQL.search(rest):
        yield Complaint(Reason.FORM, f"{found[0]} is SQL; use everyday words")


def _spans_of_names(said: Words, row: Row) -> dict[Named, list[Span]]:
    """Where each name stands that is not part of a longer one."""
    found = {
        named: [span for each in named.phrases for span in spotting.find_phrase(each, said)]
        for named in names(row)
    }
    return {
        named: kept
        for named, spans in found.items()
        if (kept := [span for span in spans if not _inside_other(span, named, found)])
    }


def _inside_other(span: Span, named: Named, found: Mapping[Named, list[Span]]) -> bool:
    return any(
        other.start <= span.start and span.stop <= other.stop and other != span
        for owner, spans in found.items()
        if owner != named
        for other in spans
    )


def _name_complaints(found: set[Named], said: Words, row: Row) -> Iterator[Complaint]:
    tables, needed = needed_tables(row), needed_columns(row)
    allowed = {name for _, name in allowed_columns(row)}
    for named in names(row):
        if named.kind == "table":
            is_needed, reason = named.position in tables, Reason.TABLE
        else:
            place = (row["columns"][named.position]["table"], named.name)
            is_needed, reason = place in needed, Reason.COLUMN
            if named in found and named.name not in allowed:
                text = f"it mentions the column {named.name}, which the query does not use"
                yield Complaint(Reason.OTHER_COLUMN, text)
        there = named in found or any(spotting.has_turned(each, said) for each in named.phrases)
        if is_needed and not there:
            called = ", ".join(f'"{phrase}"' for phrase in named.phrases)
            text = f"the {named.kind} {named.name} is not mentioned; call it one of {called}"
            yield Complaint(reason, text)


def _spell_values(question: str, row: Row) -> tuple[str, list[Complaint]]:
    """The question with its texts and dates blacked out, and those that are not in it."""
    quoted = [pair for pair in literals(row) if pair[0].startswith("'")]
    lost, spans = [], []
    text = question
    # The longest first: "North" in "North Harbor" is no value of its own.
    for literal, is_pattern in sorted(quoted, key=lambda pair: (-len(pair[0]), pair)):
        found = spotting.find_text(literal, text, is_pattern=is_pattern)
        if not found:
            complaint = f"the value {literal} is not there; write it exactly so, without quotes"
            lost.append(Complaint(Reason.VALUE, complaint))
        spans += found
        text = spotting.mask(text, found)
    return text, lost


def _number_complaints(rest: str, row: Row) -> Iterator[Complaint]:
    wanted = {number for literal, _ in literals(row) if (number := _number(literal)) is not None}
    limit = Decimal(row["limit"])
    written = {number for number, _ in spotting.numbers(rest)}
    understood = written | spotting.number_words(spotting.words_of(rest))
    told_by_words = limit == 1 and has_cue("1 row", rest.lower())
    for number in sorted(wanted | ({limit} if limit and not told_by_words else set())):
        if number not in understood:
            yield Complaint(Reason.VALUE, f"the number {number} is not there")
    for number in sorted(written - wanted - {limit}):
        yield Complaint(Reason.OTHER_VALUE, f"the query has no number {number}")


def _number(literal: str) -> Decimal | None:
    try:
        return Decimal(literal)
    except InvalidOperation:
        return None


def _cue_complaints(rest: str, row: Row) -> Iterator[Complaint]:
    for name in sorted(needed_cues(row)):
        if not has_cue(name, rest):
            yield Complaint(Reason.WORDS, f"no word in it tells {name}")
