"""English sentence shapes: how a question names its table, its columns and the order of its rows.

A shape is text with the slots [columns] and [table], once each in any order, and [order] after
both. Direction phrases are keyed by direction and by the family of the column's SQL type, so that
only text is sorted alphabetically and only dates run from earliest to latest.
"""

from dataclasses import dataclass

SHAPES = (
    "Show me the [columns] from the [table] table[order].",
    "Show [columns] for every row of [table][order].",
    "List the [columns] of all [table][order].",
    "List [columns] from [table][order]",
    "Give me the [columns] stored in [table][order].",
    "Give me a list of [columns] from the [table] table[order].",
    "Get the [columns] from [table][order].",
    "Get [columns] out of the [table] table[order]",
    "Fetch [columns] for all [table][order].",
    "Fetch the [columns] recorded in [table][order].",
    "Return the [columns] of each of the [table][order].",
    "Return [columns] from the table [table][order]",
    "Find the [columns] of every entry in [table][order].",
    "Find [columns] in [table][order].",
    "Retrieve the [columns] held in the [table] table[order].",
    "Retrieve [columns] from [table][order]",
    "Display the [columns] of [table][order].",
    "Display [columns] for the [table] we have[order].",
    "Print [columns] for each row in [table][order].",
    "Read the [columns] from [table][order].",
    "Pull the [columns] out of [table][order].",
    "Pull up [columns] for all our [table][order].",
    "Look up the [columns] in the [table] table[order].",
    "I need the [columns] from [table][order].",
    "I want to see [columns] for all [table][order].",
    "I would like the [columns] of the [table][order].",
    "We need a report with [columns] from [table][order].",
    "Please list the [columns] found in [table][order].",
    "Please show [columns] from the [table] table[order].",
    "Could you give me the [columns] of [table][order]?",
    "Could you pull [columns] from the [table] table[order]?",
    "Can you show me [columns] for the [table][order]?",
    "Can I have the [columns] of all [table][order]?",
    "What are the [columns] of the [table][order]?",
    "What are the [columns] in [table][order]?",
    "What [columns] do we have in [table][order]?",
    "Which [columns] are recorded for the [table][order]?",
    "From [table], show the [columns][order].",
    "From the [table] table, list [columns][order]",
    "From [table] get me the [columns][order].",
    "In the [table] table, what are the [columns][order]?",
    "In [table], find the [columns][order].",
    "For all [table], give the [columns][order].",
    "For every row of [table] print [columns][order].",
    "Using the [table] table, report [columns][order].",
    "Take the [table] table and return its [columns][order].",
    "Go through [table] and collect the [columns][order].",
    "Open [table] and read out [columns][order].",
)

NUMBER_NEUTRAL = tuple(
    number for number, shape in enumerate(SHAPES) if " are " not in shape
)
"""Shapes that read well with a single column, which is not "what are the price"."""

JOINERS = (" and ", ", and ", " and also ", " along with ", " plus ", " as well as ")
"""What stands before the last of several columns; commas stand between the others. Between two
columns a joiner loses its own comma."""

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

DIRECTIONS = ("ASC", "DESC")

_NEUTRAL = {
    "ASC": ("ascending", "in ascending order", "going up", "in increasing order"),
    "DESC": ("descending", "in descending order", "going down", "in decreasing order"),
}
_OF_FAMILY: dict[str, dict[str, tuple[str, ...]]] = {
    "number": {
        "ASC": ("from smallest to largest", "lowest first", "from low to high"),
        "DESC": ("from largest to smallest", "highest first", "from high to low"),
    },
    "text": {
        "ASC": ("alphabetically", "from A to Z", "in alphabetical order"),
        "DESC": ("in reverse alphabetical order", "from Z to A", "reverse alphabetically"),
    },
    "date": {
        "ASC": ("from earliest to latest", "oldest first", "in chronological order"),
        "DESC": ("from latest to earliest", "newest first", "in reverse chronological order"),
    },
    "other": {"ASC": (), "DESC": ()},
}
FAMILIES = tuple(_OF_FAMILY)


def type_family(sql_type: str) -> str:
    """The family ("number", "text", "date" or "other") whose direction phrases fit a column."""
    base = sql_type.split("(")[0]
    if base in {"INTEGER", "BIGINT", "SMALLINT", "REAL", "FLOAT", "DOUBLE", "DECIMAL", "NUMERIC"}:
        return "number"
    if base in {"TEXT", "VARCHAR", "CHAR"}:
        return "text"
    if base in {"DATE", "DATETIME", "TIMESTAMP"}:
        return "date"
    return "other"


def direction_phrases(direction: str, family: str) -> tuple[str, ...]:
    """The phrases that tell `direction` for a column of that type family."""
    return _NEUTRAL[direction] + _OF_FAMILY[family][direction]


@dataclass(frozen=True)
class Shape:
    """A sentence shape cut at its slots: before, slot, between, slot, tail, [order], end."""

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
    tail, end = rest.split("[order]")
    return Shape(before, between, tail, end, columns_first)
