"""A row's text as named pieces, and the role of every token in it.

The prompt and its gold SQL are rebuilt from the row's structured columns, so the characters of
each mention of a table, column or direction are known; a token has the role of its first
character that is not blank.

| role | tokens |
|---|---|
| template | the fixed words of the prompt |
| question_word | words of the question that name nothing |
| question_table | the table, in the question |
| question_column_target | the column or order key that the answer depends on, in the question |
| question_column_other | other columns, in the question |
| question_direction_target | the direction phrase that the answer depends on |
| question_direction_other | other direction phrases |
| schema_keyword | CREATE TABLE |
| schema_table | the table, in the schema |
| schema_column_target | the column that is the clean answer, in the schema |
| schema_column_corrupted | the column that is the corrupted answer, where the schema has both |
| schema_column_other | other columns, in the schema |
| schema_type | SQL types |
| separator | commas and parentheses of the schema and of the SQL |
| sql_keyword | SELECT, FROM, ORDER BY, ASC, DESC |
| sql_table, sql_column | names in the SQL before the answer |
| last | the final position, whatever is there: the answer is predicted here |
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from tinysql.data.phrasing import SHAPES, parse_shape
from tinysql.data.prompts import format_completion, format_prompt


class Piece(NamedTuple):
    """A run of characters of one role; `key` names a mention, such as "question.select.1"."""

    text: str
    role: str
    key: str = ""


Row = Mapping[str, Any]
"""One row of a dataset, by column name."""


def row_pieces(row: Row) -> list[Piece] | None:
    """The prompt and the completion of a row, or None if its texts have another layout."""
    question = _question_pieces(row)
    if question is None:
        return None
    prompt = format_prompt("\0", "\1")
    opening, rest = prompt.split("\0")
    between, cue = rest.split("\1")
    pieces = [
        Piece(opening, "template"),
        *question,
        Piece(between, "template"),
        *_schema_pieces(row),
        Piece(cue, "template"),
        *_sql_pieces(row),
    ]
    whole = format_prompt(row["question"], row["schema_sql"]) + format_completion(row["gold_sql"])
    return [piece for piece in pieces if piece.text] if text_of(pieces) == whole else None


def text_of(pieces: Sequence[Piece]) -> str:
    """The characters of the pieces, joined."""
    return "".join(piece.text for piece in pieces)


def replace_pieces(pieces: Sequence[Piece], texts: Mapping[str, str]) -> list[Piece]:
    """The pieces with the text of each named mention replaced."""
    return [piece._replace(text=texts.get(piece.key, piece.text)) for piece in pieces]


def token_pieces(
    text: str, offsets: Sequence[tuple[int, int]], pieces: Sequence[Piece]
) -> list[Piece | None]:
    """The piece each token belongs to; None for special tokens, which cover no characters."""
    starts = list(accumulate((len(piece.text) for piece in pieces[:-1]), initial=0))
    found: list[Piece | None] = []
    for start, end in offsets:
        blanks = len(text[start:end]) - len(text[start:end].lstrip())
        first = start + blanks if start + blanks < end else start
        found.append(pieces[bisect_right(starts, first) - 1] if end > start else None)
    return found


def token_roles(pieces: Sequence[Piece | None], targets: Mapping[str, str]) -> list[str]:
    """One role per token; `targets` gives the roles of the mentions the answer depends on."""
    roles = ["template" if p is None else targets.get(p.key, p.role) for p in pieces]
    return [*roles[:-1], "last"]


def _question_pieces(row: Row) -> list[Piece] | None:
    shape = parse_shape(SHAPES[row["template_id"]])
    gap = Piece("", "question_word")
    listing: list[Piece] = []
    for number, phrase in enumerate(row["select_phrases"]):
        listing += [gap] if number else []
        listing.append(Piece(phrase, "question_column_other", f"question.select.{number}"))
    order: list[Piece] = []
    for number, (name, phrase) in enumerate(
        zip(row["order_by"], row["order_phrases"], strict=True)
    ):
        order += [gap, Piece(name, "question_column_other", f"question.order.{number}")]
        order += [Piece(" ", "question_word")]
        order += [Piece(phrase, "question_direction_other", f"question.direction.{number}")]
    table = [Piece(row["table_phrase"], "question_table", "question.table")]
    first, second = (listing, table) if shape.columns_first else (table, listing)
    layout = [
        Piece(shape.before, "question_word"), *first, Piece(shape.between, "question_word"),
        *second, Piece(shape.tail, "question_word"), *order, Piece(shape.end, "question_word"),
    ]
    # The shape's own words anchor the match; only the joining words between mentions are free.
    pattern = "".join(
        "(.+?)" if piece is gap else f"({re.escape(piece.text)})" for piece in layout
    )
    match = re.fullmatch(pattern, row["question"])
    if match is None:
        return None
    return [p._replace(text=text) for p, text in zip(layout, match.groups(), strict=True)]


def _schema_pieces(row: Row) -> list[Piece]:
    pieces = [
        Piece("CREATE TABLE ", "schema_keyword"),
        Piece(row["table"], "schema_table", "schema.table"),
        Piece(" ( ", "separator"),
    ]
    for number, (name, sql_type) in enumerate(
        zip(row["columns"], row["column_types"], strict=True)
    ):
        pieces += [Piece(", ", "separator")] if number else []
        pieces.append(Piece(name, "schema_column_other", f"schema.column.{number}"))
        pieces.append(Piece(f" {sql_type}", "schema_type"))
    return [*pieces, Piece(" )", "separator")]


def _sql_pieces(row: Row) -> list[Piece]:
    pieces = [Piece(format_completion("SELECT "), "sql_keyword")]
    for number, name in enumerate(row["select"]):
        pieces += [Piece(", ", "separator")] if number else []
        pieces.append(Piece(name, "sql_column", f"sql.select.{number}"))
    pieces.append(Piece(" FROM ", "sql_keyword"))
    pieces.append(Piece(row["table"], "sql_table", "sql.table"))
    for number, (name, direction) in enumerate(
        zip(row["order_by"], row["order_directions"], strict=True)
    ):
        pieces.append(
            Piece(", ", "separator") if number else Piece(" ORDER BY ", "sql_keyword")
        )
        pieces.append(Piece(name, "sql_column", f"sql.order.{number}"))
        pieces.append(Piece(" ", "sql_keyword"))
        pieces.append(Piece(direction, "sql_keyword", f"sql.direction.{number}"))
    return pieces
