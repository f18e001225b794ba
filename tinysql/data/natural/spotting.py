"""Finding names and values in a free question, whatever their grammatical form.

A name is found as a run of its words, singular or plural, also turned around ("date of the order"
for "order date"). A value is found as it is written in SQL, numbers also with separators or as a
word, dates also spelled out.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import NamedTuple

MASK = "\0"
"""What stands for text that was understood; a run of it is one token that no name has."""

_TOKEN = re.compile(rf"[a-z0-9]+|{MASK}+|[,.;:!?()]")
_IRREGULAR = {
    "people": "person", "children": "child", "men": "man", "women": "woman", "feet": "foot",
    "teeth": "tooth", "mice": "mouse", "analyses": "analysis", "criteria": "criterion",
    "indices": "index", "matrices": "matrix", "vertices": "vertex", "leaves": "leaf",
    "shelves": "shelf", "lives": "life", "wives": "wife", "knives": "knife",
}  # fmt: skip
_BETWEEN = frozenset({"the", "a", "an", "each", "every", "any", "all", "their", "its", "this"})
_NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
)  # fmt: skip
_NUMBER = re.compile(r"(?<![\w.])(?<!\w-)-?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")


class Span(NamedTuple):
    """Characters [start, stop) of a question."""

    start: int
    stop: int


class Words(NamedTuple):
    """The words of a text: their stems, and where they are."""

    stems: list[str]
    spans: list[Span]


def words_of(text: str) -> Words:
    """The words of a text, in order, and the signs that part them; a genitive "'s" is no word."""
    found = list(_TOKEN.finditer(re.sub(r"'s\b", "  ", text.lower())))
    return Words([stem(match[0]) for match in found], [Span(*match.span()) for match in found])


@cache
def stem(word: str) -> str:
    """What the singular and the plural of a lower-case word have in common."""
    word = _IRREGULAR.get(word, word)
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if word.endswith(("se", "xe", "ze", "che", "she")) and len(word) > 3:
        word = word[:-1]
    return re.sub(r"(?<=\w\w)(?:y|ie)$", "i", word)


def find_phrase(phrase: str, words: Words) -> list[Span]:
    """Where a name or a phrase for it stands among the words."""
    parts = _parts(phrase)
    return [
        Span(words.spans[at].start, words.spans[at + len(parts) - 1].stop)
        for at in _places(parts[0], words)
        if words.stems[at : at + len(parts)] == parts
    ]


def has_turned(phrase: str, words: Words) -> bool:
    """Whether "date of each order" is there, for the phrase "order date"."""
    *rest, last = _parts(phrase)
    for at in _places(last, words) if rest else ():
        start = at + 2
        start += words.stems[start : start + 1] != [] and words.stems[start] in _BETWEEN
        is_of = words.stems[at + 1 : at + 2] == ["of"]
        if is_of and words.stems[start : start + len(rest)] == rest:
            return True
    return False


def _places(stemmed: str, words: Words) -> list[int]:
    return [at for at, each in enumerate(words.stems) if each == stemmed]


@cache
def _parts(phrase: str) -> list[str]:
    return [stem(word) for word in re.split(r"[ _-]", phrase.lower())]


def mask(text: str, spans: Iterable[Span]) -> str:
    """The text with these spans blacked out, as long as before."""
    for start, stop in spans:
        text = text[:start] + MASK * (stop - start) + text[stop:]
    return text


def find_text(literal: str, text: str, *, is_pattern: bool = False) -> list[Span]:
    """Where the text of an SQL literal in quotes stands; of a LIKE pattern the word alone."""
    value = literal[1:-1].replace("''", "'")
    if is_pattern:
        word = _whole(re.escape(value.strip("%")))
        return _spans(word, text) or _spans(word, text, re.IGNORECASE)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return _spans(_date_forms(date.fromisoformat(value)), text, re.IGNORECASE)
    if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", value):
        moment = datetime.fromisoformat(value)
        forms = rf"{_date_forms(moment.date())}(?:,| at|T)? ?{_time_forms(moment)}"
        return _spans(forms, text, re.IGNORECASE)
    return _spans(_whole(re.escape(value)), text)


def _spans(pattern: str, text: str, flags: int = 0) -> list[Span]:
    return [Span(*match.span()) for match in re.finditer(pattern, text, flags)]


def _whole(pattern: str) -> str:
    return rf"(?<!\w){pattern}(?!\w)"


def _date_forms(day: date) -> str:
    month = rf"{day:%B}" if day.month == 5 else rf"(?:{day:%B}|{day:%b}\.?)"
    number = rf"0?{day.day}(?:st|nd|rd|th)?"
    forms = (
        day.isoformat(),
        rf"{month} {number},? {day.year}",
        rf"(?:the )?{number}(?: of)? {month},? {day.year}",
    )
    return _whole(f"(?:{'|'.join(forms)})")


def _time_forms(moment: datetime) -> str:
    seconds = rf"(?::{moment:%S})" + ("?" if moment.second == 0 else "")
    half = rf"0?{int(f'{moment:%I}')}:{moment:%M}{seconds} ?{f'{moment:%p}'[0]}\.?m\.?"
    return rf"(?:{half}|{moment:%H:%M}{seconds}(?! ?[ap]\.?m))(?!\w)"


def numbers(text: str) -> list[tuple[Decimal, Span]]:
    """The numbers in figures, with or without separators of thousands."""
    found = _NUMBER.finditer(text)
    return [(Decimal(match[0].replace(",", "")), Span(*match.span())) for match in found]


def number_words(words: Words) -> set[Decimal]:
    """The small numbers written as words."""
    return {Decimal(n) for n, word in enumerate(_NUMBER_WORDS) if stem(word) in words.stems}
