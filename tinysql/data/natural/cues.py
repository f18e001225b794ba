"""Words that tell what a free question asks: an aggregate, a direction, a comparison, a negation.

A cue is necessary, not sufficient: whatever asks for a sum has one of the words of SUM somewhere.
In the lists "*" is any ending and "_" a blank; names are those of the dataset's records. Every
phrase of phrasing.py has the cue of what it tells.
"""

import re
from functools import cache

_NOT = """
    not no never none neither nor without except exclud* outside beyond other_than different differ*
    apart aside unlike lack* minus leav*_out omit* skip* non missing absent false
"""
_MORE = """
    more above over greater higher exceed* after later beyond past larger bigger longer older newer
    better heavier
"""
_LESS = "less below under fewer lower smaller before earlier shorter cheaper younger prior lighter"
_AT_LEAST = """
    at_least no_less no_earlier no_fewer no_lower no_smaller not_less not_below not_under not_before
    not_earlier not_smaller or_more or_above or_over or_later or_higher or_greater or_larger
    or_after minimum from since starting onward* and_up
"""
_AT_MOST = """
    at_most no_more no_later no_greater no_higher no_larger not_more not_above not_over not_after
    not_later not_exceed* not_greater up_to or_less or_below or_under or_fewer or_earlier or_lower
    or_smaller or_before maximum until till by within
"""
_LOW = "low lowest small smallest least early earliest old oldest few fewest cheap* short* a"
_HIGH = "high highest large largest big biggest great* most late latest new newest recent long* z"

_LISTS = {
    "COUNT": "count* number how_many tally tallies total",
    "SUM": "sum* total* combined altogether overall",
    "AVG": "average* mean typical* avg",
    "MIN": """
        lowest least minimum min smallest earliest first oldest fewest shortest cheapest youngest
    """,
    "MAX": """
        highest most maximum max largest latest last newest biggest greatest longest top peak best
        recent
    """,
    "ASC": """
        ascend* increas* rising going_up upward* lowest smallest least earliest oldest fewest
        shortest cheapest youngest bottom alphabetical* chronological*
    """,
    "DESC": """
        descend* decreas* falling going_down downward* highest largest biggest greatest most latest
        newest recent longest best top reverse*
    """,
    "DISTINCT": "distinct different unique* duplicate* repeat* repetition* once",
    "OR": "or either neither nor any one_of",
    "EACH": "each per by every for group* across",
    "NOT": _NOT,
    ">": _MORE,
    "<": _LESS,
    ">=": _AT_LEAST,
    "<=": _AT_MOST,
    "<>": _NOT,
    "NOT >": _AT_MOST + _NOT,
    "NOT <": _AT_LEAST + _NOT,
    "BETWEEN": "between from within rang* through",
    "NOT BETWEEN": _NOT,
    "IN": "or any either among one_of in",
    "NOT IN": _NOT,
    "LIKE x%": "start* begin* open* first prefix*",
    "LIKE %x": "end* finish* clos* last suffix*",
    "LIKE %x%": "contain* includ* mention* with in has have having appear* featur*",
    "NOT LIKE": _NOT,
    "IS NULL": _NOT + "unknown empty blank null unrecorded unset undefined unspecified",
    "IS NOT NULL": """
        known recorded available present has have having with given set exist* specified filled not
        no non
    """,
    "> SELECT": _MORE,
    "< SELECT": _LESS,
    "NOT IN SELECT": _NOT,
    "EXISTS": "have has having with exist* there match* any at_least some",
    "NOT EXISTS": _NOT,
    "UNION": "or together united merged joined plus also and along including with",
    "INTERSECT": "also both and too as_well only same",
    "EXCEPT": _NOT,
    "1 row": """
        one single top first last highest lowest most least largest smallest biggest latest earliest
        newest oldest best
    """,
}


def has_cue(name: str, text: str) -> bool:
    """Whether the lower-case text tells this; true for what needs no word, such as "="."""
    if name in ("ASC", "DESC"):
        rising, falling = _ranges()
        own, other = (rising, falling) if name == "ASC" else (falling, rising)
        if own.search(text):
            return True
        text = other.sub(" ", text)
    wanted = _pattern(name)
    return wanted is None or wanted.search(text) is not None


@cache
def _pattern(name: str) -> re.Pattern[str] | None:
    return re.compile(rf"\b(?:{_any_of(_LISTS[name])})\b") if name in _LISTS else None


@cache
def _ranges() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Ways to say "from low to high", and "from high to low" or the reverse of an order."""
    low, high = _any_of(_LOW), _any_of(_HIGH)
    rising = rf"\b(?:{low}) (?:to|through) (?:{high})\b"
    falling = rf"\b(?:(?:{high}) (?:to|through) (?:{low})|reverse[ds]? (?:alphabet|chrono)\w*)\b"
    return re.compile(rising), re.compile(falling)


def _any_of(words: str) -> str:
    return "|".join(word.replace("*", r"\w*").replace("_", " ") for word in words.split())
