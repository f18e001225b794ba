"""Untrusted text cut into marked segments; the page escapes each segment when it is written."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Segment:
    """A piece of text and the CSS class of its mark ("" for plain text)."""

    text: str
    mark: str = ""


def clip(text: str, limit: int = 600) -> str:
    """The text cut at `limit` characters, with a note of how many are left out."""
    return text if len(text) <= limit else f"{text[:limit]} [{len(text) - limit:,} more]"


def visible(text: str) -> str:
    """The text with a visible sign for every control and writing-direction character."""
    return _CONTROL.sub("\ufffd", text)


@dataclass(frozen=True)
class Mark:
    """A run of characters and the CSS class of its mark."""

    start: int
    end: int
    name: str


def highlight(text: str, marks: Iterable[Mark], limit: int = 600) -> tuple[Segment, ...]:
    """The clipped text, marked; marks do not overlap."""
    shown = clip(text, limit)
    segments: list[Segment] = []
    done = 0
    for mark in sorted(marks, key=lambda mark: mark.start):
        if mark.end > min(len(text), limit):
            break
        segments.append(Segment(shown[done : mark.start]))
        segments.append(Segment(shown[mark.start : mark.end], mark.name))
        done = mark.end
    return _merged([*segments, Segment(shown[done:])])


def diff(gold: str, pred: str) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Both texts, with the tokens that the other one lacks marked "missing" and "extra"."""
    a, b = _TOKEN.findall(gold), _TOKEN.findall(pred)
    left: list[Segment] = []
    right: list[Segment] = []
    for kind, a0, a1, b0, b1 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        same = kind == "equal"
        left.append(Segment("".join(a[a0:a1]), "" if same else "missing"))
        right.append(Segment("".join(b[b0:b1]), "" if same else "extra"))
    return _merged(left), _merged(right)


def _merged(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """Empty segments dropped; marks never begin or end with white space."""
    merged: list[Segment] = []
    for segment in segments:
        core = segment.text.strip()
        if not segment.mark or not core or core == segment.text:
            merged.append(segment)
            continue
        before, after = segment.text.split(core, 1)
        merged += [Segment(before), Segment(core, segment.mark), Segment(after)]
    return tuple(segment for segment in merged if segment.text)
