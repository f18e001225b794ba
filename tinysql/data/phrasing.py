"""The words of questions: sentence shapes, and for every clause the ways to say it.

A shape is text with the slots [columns] and [table], once each in any order, and [clauses] after
both. Phrases that tell something are keyed by what they tell and by the family of the column, so
that only text is sorted alphabetically and only dates run from earliest to latest; no phrase tells
two things. The last phrase of a group of three or more, and every eighth shape, are held out: only
the split that tests unseen wording uses them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SHAPES = (
    "Show me the [columns] from the [table] table[clauses].",
    "Show [columns] for every row of [table][clauses].",
    "List the [columns] of all [table][clauses].",
    "List [columns] from [table][clauses]",
    "Give me the [columns] stored in [table][clauses].",
    "Give me a list of [columns] from the [table] table[clauses].",
    "Get the [columns] from [table][clauses].",
    "Get [columns] out of the [table] table[clauses]",
    "Fetch [columns] for all [table][clauses].",
    "Fetch the [columns] recorded in [table][clauses].",
    "Return the [columns] of each of the [table][clauses].",
    "Return [columns] from the table [table][clauses]",
    "Find the [columns] of every entry in [table][clauses].",
    "Find [columns] in [table][clauses].",
    "Retrieve the [columns] held in the [table] table[clauses].",
    "Retrieve [columns] from [table][clauses]",
    "Display the [columns] of [table][clauses].",
    "Display [columns] for the [table] we have[clauses].",
    "Print [columns] for each row in [table][clauses].",
    "Read the [columns] from [table][clauses].",
    "Pull the [columns] out of [table][clauses].",
    "Pull up [columns] for all our [table][clauses].",
    "Look up the [columns] in the [table] table[clauses].",
    "I need the [columns] from [table][clauses].",
    "I want to see [columns] for all [table][clauses].",
    "I would like the [columns] of the [table][clauses].",
    "We need a report with [columns] from [table][clauses].",
    "Please list the [columns] found in [table][clauses].",
    "Please show [columns] from the [table] table[clauses].",
    "Could you give me the [columns] of [table][clauses]?",
    "Could you pull [columns] from the [table] table[clauses]?",
    "Can you show me [columns] for the [table][clauses]?",
    "Can I have the [columns] of all [table][clauses]?",
    "What are the [columns] of the [table][clauses]?",
    "What are the [columns] in [table][clauses]?",
    "What [columns] do we have in [table][clauses]?",
    "Which [columns] are recorded for the [table][clauses]?",
    "From [table], show the [columns][clauses].",
    "From the [table] table, list [columns][clauses]",
    "From [table] get me the [columns][clauses].",
    "In the [table] table, what are the [columns][clauses]?",
    "In [table], find the [columns][clauses].",
    "For all [table], give the [columns][clauses].",
    "For every row of [table] print [columns][clauses].",
    "Using the [table] table, report [columns][clauses].",
    "Take the [table] table and return its [columns][clauses].",
    "Go through [table] and collect the [columns][clauses].",
    "Open [table] and read out [columns][clauses].",
)

HELD_SHAPE_EVERY = 8


def held_shape(number: int) -> bool:
    """Whether a sentence shape is kept for the split of unseen wording."""
    return number % HELD_SHAPE_EVERY == HELD_SHAPE_EVERY - 1


def fits_one_column(shape: str) -> bool:
    """Whether a shape reads well with a single column, which is not "what are the price"."""
    return " are " not in shape


def fits_join(shape: str) -> bool:
    """Whether "orders joined with customers" may stand for the table."""
    return not any(words in shape for words in ("[table] table", "table [table]", "each of the"))


def split_held(phrases: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The phrases of a group for the usual splits, and those held out (none of a small group)."""
    return (phrases[:-1], phrases[-1:]) if len(phrases) >= 3 else (phrases, ())


JOINERS = (" and ", ", and ", " and also ", " along with ", " plus ", " as well as ")
"""What stands before the last of several columns; commas stand between the others. Between two
columns a joiner loses its own comma."""

DISTINCT_WORDS = ("distinct ", "different ", "unique ")
JOIN_LINKS = (" joined with ", " combined with ", " linked to ", " matched with ")
WHERE_LEADS = (" where ", ", where ", " for which ", ", but only where ", " such that ")
GROUP_LEADS = (", for each ", ", grouped by ", ", per ")
HAVING_LEADS = (
    ", keeping only groups whose ", ", with only the groups whose ", ", leaving just groups whose ",
)  # fmt: skip
LIMITS = (
    (", limited to ", " rows"),
    (", only the first ", ""),
    (", showing no more than ", " rows"),
    (", stopping after ", " rows"),
)
"""What stands before and after the number of rows."""

SET_OPERATIONS = {
    "UNION": (
        ", merged without repeats with the values found where ",
        ", united without repeats with the values found where ",
        ", joined without repeats by the values found where ",
    ),
    "INTERSECT": (
        ", keeping only values also found where ",
        ", only the values also found where ",
        ", as far as the same values are also found where ",
    ),
    "EXCEPT": (
        ", leaving out values also found where ",
        ", without the values also found where ",
        ", minus the values found where ",
    ),
}
"""How the second half of a set operation begins; a condition follows. They speak of values, not of
rows, because that is what SQL compares, and it drops repeats."""

ORDER_LEADS = (
    ", sorted by ",
    ", ordered by ",
    " sorted by ",
    " ordered by ",
    ", arranged by ",
    ", with the rows sorted by ",
    ", listed by ",
)
ORDER_LINKS = (", then by ", " and then by ", ", then ", " and within that by ")

FAMILIES = ("number", "text", "date", "boolean", "key")
"""What decides which phrases fit a column: its kind's family, timestamps counting as dates; "key"
for primary and foreign keys."""

DIRECTIONS = ("ASC", "DESC")

_NEUTRAL = {
    "ASC": ("ascending", "in ascending order", "in increasing order"),
    "DESC": ("descending", "in descending order", "in decreasing order"),
}
_OF_FAMILY: dict[str, dict[str, tuple[str, ...]]] = {
    "number": {
        "ASC": ("from smallest to largest", "lowest first", "going up", "from low to high"),
        "DESC": ("from largest to smallest", "highest first", "going down", "from high to low"),
    },
    "text": {
        "ASC": ("alphabetically", "from A to Z", "in alphabetical order"),
        "DESC": ("in reverse alphabetical order", "from Z to A", "reverse alphabetically"),
    },
    "date": {
        "ASC": ("from earliest to latest", "oldest first", "in chronological order"),
        "DESC": ("from latest to earliest", "newest first", "in reverse chronological order"),
    },
}


def direction_phrases(direction: str, family: str) -> tuple[str, ...]:
    """The phrases that tell `direction` for a column of that family."""
    return _NEUTRAL[direction] + _OF_FAMILY.get(family, {}).get(direction, ())


def split_directions(direction: str, family: str) -> tuple[Sequence[str], Sequence[str]]:
    """direction_phrases for the usual splits, and those held out: the same for every family."""
    neutral = split_held(_NEUTRAL[direction])
    own = split_held(_OF_FAMILY.get(family, {}).get(direction, ()))
    return (*neutral[0], *own[0]), (*neutral[1], *own[1])


AGGREGATES = ("COUNT", "SUM", "AVG", "MIN", "MAX")

_AGGREGATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("SUM", "number"): ("total", "sum of", "summed"),
    ("AVG", "number"): ("average", "mean", "averaged"),
    ("MIN", "number"): ("lowest", "smallest", "minimum"),
    ("MAX", "number"): ("highest", "largest", "maximum"),
    ("MIN", "date"): ("earliest", "first", "oldest"),
    ("MAX", "date"): ("latest", "most recent", "newest"),
    ("MIN", "text"): ("alphabetically first", "alphabetically earliest"),
    ("MAX", "text"): ("alphabetically last", "alphabetically latest"),
}
_COUNT = ("number of", "count of", "tally of")


def aggregate_phrases(aggregate: str, family: str) -> tuple[str, ...]:
    """The phrases for an aggregate of a column of that family, () where it makes no sense."""
    return _COUNT if aggregate == "COUNT" else _AGGREGATES.get((aggregate, family), ())


STAR_PHRASES = ("rows", "entries", "records")
"""What COUNT(*) counts."""

OUTER_AGGREGATES = {
    "AVG": ("average of the", "mean of the", "mean over the"),
    "MIN": ("lowest of the", "smallest of the", "minimum of the"),
    "MAX": ("highest of the", "largest of the", "maximum of the"),
}
"""An aggregate over the groups of a grouped query."""


@dataclass(frozen=True)
class Operator:
    """A condition on a column: `name` tells it from the others, `sql` is how SQL writes it.

    phrases are by family of the column; "" fits every family that may have the operator.
    """

    name: str
    sql: str
    phrases: dict[str, tuple[str, ...]]


OPERATORS = (
    Operator("=", "=", {
        "number": ("is", "equals", "is equal to", "is exactly"),
        "text": ("is", "equals", "is equal to", "is exactly"),
        "date": ("is", "equals", "falls on"),
        "boolean": ("is", "equals"),
    }),
    Operator("<>", "<>", {
        "number": ("is not", "differs from", "is other than"),
        "text": ("is not", "differs from", "is other than"),
        "date": ("is not", "differs from", "does not fall on"),
    }),
    Operator(">", ">", {
        "number": ("is above", "is greater than", "is more than", "exceeds"),
        "date": ("is after", "is later than", "comes after"),
    }),
    Operator("<", "<", {
        "number": ("is below", "is less than", "is smaller than", "is under"),
        "date": ("is before", "is earlier than", "comes before"),
    }),
    Operator(">=", ">=", {
        "number": ("is at least", "is no less than"),
        "date": ("is on or after", "is no earlier than"),
    }),
    Operator("<=", "<=", {
        "number": ("is at most", "is no more than"),
        "date": ("is on or before", "is no later than"),
    }),
    Operator("NOT >", "NOT >", {"number": ("is not above", "is not greater than")}),
    Operator("NOT <", "NOT <", {"number": ("is not below", "is not smaller than")}),
    Operator("BETWEEN", "BETWEEN", {
        "number": ("is between", "lies between", "ranges between"),
        "date": ("is between", "lies between", "falls between"),
    }),
    Operator("NOT BETWEEN", "NOT BETWEEN", {
        "number": ("is not between", "does not lie between", "is outside of the range between"),
        "date": ("is not between", "does not lie between", "does not fall between"),
    }),
    Operator("IN", "IN", {
        "number": ("is one of", "is any of", "is among"),
        "text": ("is one of", "is any of", "is among"),
    }),
    Operator("NOT IN", "NOT IN", {
        "number": ("is not one of", "is none of", "is not among"),
        "text": ("is not one of", "is none of", "is not among"),
    }),
    Operator("LIKE x%", "LIKE", {"text": ("starts with", "begins with", "opens with")}),
    Operator("LIKE %x", "LIKE", {"text": ("ends with", "finishes with", "closes with")}),
    Operator("LIKE %x%", "LIKE", {"text": ("contains", "includes", "mentions")}),
    Operator("NOT LIKE %x%", "NOT LIKE", {
        "text": ("does not contain", "does not include", "does not mention"),
    }),
    Operator("IS NULL", "IS NULL", {"": ("is missing", "is not recorded", "is unknown")}),
    Operator("IS NOT NULL", "IS NOT NULL", {"": ("is known", "is recorded", "is not missing")}),
    Operator("IN SELECT", "IN", {"key": ("refers to", "points to", "leads to")}),
    Operator("NOT IN SELECT", "NOT IN", {
        "key": ("does not refer to", "does not point to", "does not lead to"),
    }),
    Operator("EXISTS", "EXISTS", {"": (
        "there are matching", "there exist matching", "we have matching",
    )}),
    Operator("NOT EXISTS", "NOT EXISTS", {"": (
        "there are no matching", "there exist no matching", "we have no matching",
    )}),
)  # fmt: skip
"""Every operator. "x%", "%x" and "%x%" tell what a LIKE pattern looks like."""

OPERATOR = {operator.name: operator for operator in OPERATORS}


def operator_phrases(operator: str, family: str) -> tuple[str, ...]:
    """The phrases for an operator (by its name in OPERATORS), () where it does not fit."""
    phrases = OPERATOR[operator].phrases
    return phrases.get(family, phrases.get("", ()))


@dataclass(frozen=True)
class Shape:
    """A sentence shape cut at its slots: before, slot, between, slot, tail, [clauses], end."""

    before: str
    between: str
    tail: str
    end: str
    columns_first: bool


def parse_shape(text: str) -> Shape:
    """Cut a sentence shape at its slots."""
    columns_first = text.index("[columns]") < text.index("[table]")
    first, second = ("[columns]", "[table]") if columns_first else ("[table]", "[columns]")
    before, rest = text.split(first)
    between, rest = rest.split(second)
    tail, end = rest.split("[clauses]")
    return Shape(before, between, tail, end, columns_first)
