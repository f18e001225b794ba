"""A row's text as named pieces, and the role of every token in it.

The mentions of a row tell which characters of its question, schema and SQL are which table, column,
phrase or value (tinysql/data/mentions.py). A token has the role of its first character that is not
blank.

| role | tokens |
|---|---|
| template | the fixed words of the prompt |
| question_word | words of the question that mention nothing |
| question_table, question_join_table | the first table of FROM, and any other, in the question |
| question_column_target | the column that the answer depends on, in the question |
| question_column_other | other columns, in the question |
| question_direction_target, _other | the direction phrase that the answer depends on, and others |
| question_aggregate_target, question_aggregate | the same of aggregate phrases |
| question_operator_target, question_operator | the same of phrases of a condition |
| question_value_target, question_value | the same of values of a condition |
| question_limit, question_distinct, question_set_operation | what tells these |
| schema_keyword_target | CREATE, where the answer depends on it |
| schema_keyword | CREATE, TABLE, REFERENCES |
| schema_table | the first table of FROM, where the schema creates it or refers to it |
| schema_join_table, schema_table_other | other tables of FROM, and tables outside of it |
| schema_column_target | the column that is the clean answer, in the schema |
| schema_column_corrupted | the column that is the corrupted answer, where the schema has both |
| schema_column_other | other columns, in the schema |
| schema_type | SQL types, PRIMARY KEY |
| separator_target, separator | commas, parentheses and dots of schema and SQL |
| sql_keyword | SELECT, FROM, ORDER BY, ASC, DESC and other keywords of no other role |
| sql_table, sql_column, sql_aggregate, sql_operator, sql_value | the same in the SQL |
| sql_alias | aliases of tables and of aggregates, and columns that a JOIN is on |
| last | the final position, whatever is there: the answer is predicted here |
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from typing import Any, NamedTuple

from tinysql.data.prompts import format_completion, format_prompt


class Piece(NamedTuple):
    """A run of characters of one role; `key` names a mention, such as "question.select.1"."""

    text: str
    role: str
    key: str = ""


Row = Mapping[str, Any]
"""One row of a dataset with its mentions, by column name."""

_ROLES = {
    "question.select": "question_column_other",
    "question.filter": "question_column_other",
    "question.group": "question_column_other",
    "question.having": "question_column_other",
    "question.order": "question_column_other",
    "question.operand": "question_column_other",
    "question.join0": "question_column_other",
    "question.join1": "question_column_other",
    "question.operand_table": "question_join_table",
    "question.select_aggregate": "question_aggregate",
    "question.order_aggregate": "question_aggregate",
    "question.having_aggregate": "question_aggregate",
    "question.operand_aggregate": "question_aggregate",
    "question.outer": "question_aggregate",
    "question.direction": "question_direction_other",
    "question.operator": "question_operator",
    "question.having_operator": "question_operator",
    "question.value": "question_value",
    "question.having_value": "question_value",
    "question.limit": "question_limit",
    "question.distinct": "question_distinct",
    "question.set_operation": "question_set_operation",
    "schema.create": "schema_keyword",
    "schema.column": "schema_column_other",
    "schema.type": "schema_type",
    "schema.separator": "separator",
    "sql.from": "sql_table",
    "sql.select": "sql_column",
    "sql.filter": "sql_column",
    "sql.group": "sql_column",
    "sql.having": "sql_column",
    "sql.order": "sql_column",
    "sql.alias": "sql_alias",
    "sql.aggregate": "sql_aggregate",
    "sql.having_aggregate": "sql_aggregate",
    "sql.outer": "sql_aggregate",
    "sql.operator": "sql_operator",
    "sql.having_operator": "sql_operator",
    "sql.value": "sql_value",
    "sql.having_value": "sql_value",
    "sql.limit": "sql_value",
}
"""The role of a mention by the first two parts of its key; tables have theirs by their position."""


def row_pieces(row: Row) -> list[Piece] | None:
    """The prompt and the completion of a row, or None if its mentions overlap."""
    texts = {"question": row["question"], "schema": row["schema_sql"], "sql": row["gold_sql"]}
    opening, rest = format_prompt("\0", "\1").split("\0")
    between, cue = rest.split("\1")
    before_sql, _ = format_completion("\0").split("\0")
    parts = {name: list(_text_pieces(name, text, row)) for name, text in texts.items()}
    pieces = [
        Piece(opening, "template"),
        *parts["question"],
        Piece(between, "template"),
        *parts["schema"],
        Piece(cue, "template"),
        Piece(before_sql, "separator"),
        *parts["sql"],
    ]
    whole = format_prompt(row["question"], row["schema_sql"]) + format_completion(row["gold_sql"])
    return [piece for piece in pieces if piece.text] if text_of(pieces) == whole else None


def text_of(pieces: Sequence[Piece]) -> str:
    """The characters of the pieces, joined."""
    return "".join(piece.text for piece in pieces)


def replace_pieces(pieces: Sequence[Piece], texts: Mapping[str, str]) -> list[Piece]:
    """The pieces with the words of each named mention replaced; blanks around them stay."""
    return [
        piece._replace(text=_replaced(piece.text, texts[piece.key]))
        if piece.key in texts
        else piece
        for piece in pieces
    ]


def _replaced(old: str, new: str) -> str:
    if not new:
        return ""
    words = old.strip()
    return old.replace(words, new, 1)


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


def _text_pieces(name: str, text: str, row: Row) -> Iterator[Piece]:
    """The mentions of one text and what stands between them."""
    own = (mention for mention in row["mentions"] if mention["key"].startswith(f"{name}."))
    done = 0
    for mention in sorted(own, key=lambda mention: mention["start"]):
        start, end, key = mention["start"], mention["end"], mention["key"]
        yield from _gap_pieces(name, text[done:start], row)
        yield Piece(text[start:end], _role(key, row), key)
        done = end
    yield from _gap_pieces(name, text[done:], row)


def _role(key: str, row: Row) -> str:
    name, part, *numbers = key.split(".")
    if part == "table":
        return _table_role(name, int(numbers[0]), row)
    if part == "operand" and name == "sql":
        # What a sub-query begins with: an aggregate to compare with, or else its table.
        return "sql_aggregate" if row["filters"][int(numbers[0])]["aggregate"] else "sql_table"
    return _ROLES.get(f"{name}.{part}", "question_word" if name == "question" else "sql_keyword")


def _table_role(name: str, table: int, row: Row) -> str:
    if table == row["from_tables"][0]:
        return f"{name}_table"
    joined = name == "question" or table in row["from_tables"]
    return f"{name}_join_table" if joined else f"{name}_table_other"


def _gap_pieces(name: str, text: str, row: Row) -> Iterator[Piece]:
    """What stands between mentions, cut into words and the characters between words."""
    if name == "question":
        yield Piece(text, "question_word")
        return
    tables = {table["name"]: number for number, table in enumerate(row["tables"])}
    for is_word, characters in groupby(text, lambda c: c.isalnum() or c == "_"):
        run = "".join(characters)
        if not is_word:
            yield Piece(run, "separator")
        elif run.isupper():
            yield Piece(run, f"{name}_keyword")
        elif name == "sql":
            yield Piece(run, "sql_table" if run in tables else "sql_alias")
        elif run in tables:
            # A name after REFERENCES: the table, or its key.
            yield Piece(run, _table_role(name, tables[run], row), f"schema.reference.{tables[run]}")
        else:
            yield Piece(run, "schema_column_other")
