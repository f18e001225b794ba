"""Queries that differ from a gold query in one place, as a model's mistakes do.

A set of databases is as good as the mutants it tells from the gold: the share of them is its
mutation score. Source of the idea: Tuya, Suarez-Cabal and de la Riva 2007, "Mutating database
queries", and the neighbour queries of Zhong et al. 2020, "Semantic Evaluation for Text-to-SQL with
Distilled Test Suites". Some mutants are equivalent to the gold whatever the data, so that a score
below 1 may still be the best there is.

Mutants are cut from the gold's text by its tokens, which is a hundred times faster than copying
and printing trees. Some are no SQL; those that do not run count for nothing.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise, zip_longest
from typing import NamedTuple

import sqlglot
from sqlglot.tokens import Token, TokenType

from tinysql.sql.catalog import Table

_AGGREGATES = ("COUNT", "SUM", "AVG", "MIN", "MAX")
_FUNCTIONS = ("LOWER", "UPPER", "TRIM", "LTRIM", "RTRIM", "ABS", "ROUND", "LENGTH")
_SWAPPED = {
    "=": ("<>", ">"), "<>": ("=",), "!=": ("=",), ">": (">=", "<"), ">=": (">", "<="),
    "<": ("<=", ">"), "<=": ("<", ">="), "AND": ("OR",), "OR": ("AND",), "ASC": ("DESC",),
    "DESC": ("ASC",), "UNION": ("INTERSECT", "EXCEPT", "UNION ALL"),
    "INTERSECT": ("UNION", "EXCEPT"), "EXCEPT": ("UNION", "INTERSECT"),
    "DISTINCT": ("",), "NOT": ("",), "IN": ("NOT IN",), "LIKE": ("NOT LIKE",),
    "BETWEEN": ("NOT BETWEEN",), "IS": ("IS NOT",), "EXISTS": ("NOT EXISTS",), "LEFT": ("",),
    "SELECT": ("SELECT DISTINCT",), "JOIN": ("LEFT JOIN",),
}  # fmt: skip
_BEFORE_TEXTS = frozenset(
    ("=", "<>", "!=", "<", ">", "<=", ">=", "LIKE", "GLOB", "IS", "NOT", "BETWEEN", "AND", "(", ",")
)
"""In double quotes, what stands anywhere else is more likely an alias."""
_CLAUSES = {"WHERE", "GROUP BY", "HAVING", "ORDER BY", "LIMIT", "UNION", "INTERSECT", "EXCEPT"}


class Mutant(NamedTuple):
    """A query and what was changed."""

    change: str
    sql: str


class _Place(NamedTuple):
    """A token with what it means: its text in capitals, and how many parentheses it is in."""

    token: Token
    word: str
    depth: int


def mutants(sql: str, tables: Sequence[Table], *, most: int = 32) -> list[Mutant]:
    """Mutants of a query, each once; where there are many, `most` of them, every kind in turn.

    Raises sqlglot.errors.TokenError: the query cannot even be tokenized.
    """
    places = _places(sql)
    columns = _columns(places, tables)
    texts = _texts_in_double_quotes(places, tables) if '"' in sql else set()
    kinds: dict[str, list[Mutant]] = {}
    seen = {sql}
    for change, start, stop, text in _edits(sql, places, columns, texts):
        mutated = f"{sql[:start]}{text}{sql[stop:]}"
        if mutated not in seen:
            seen.add(mutated)
            kinds.setdefault(change, []).append(Mutant(change, mutated))
    by_turns = zip_longest(*kinds.values())
    return [mutant for turn in by_turns for mutant in turn if mutant is not None][:most]


def _places(sql: str) -> list[_Place]:
    places, depth = [], 0
    for token in sqlglot.tokenize(sql, read="sqlite"):
        depth -= token.token_type == TokenType.R_PAREN
        word = sql[token.start : token.end + 1]
        places.append(_Place(token, " ".join(word.upper().split()), depth))
        depth += token.token_type == TokenType.L_PAREN
    return places


_Edit = tuple[str, int, int, str]
"""What is changed, from where to where in the text, and into what."""


def _edits(
    sql: str,
    places: Sequence[_Place],
    columns: dict[int, Sequence[str]],
    texts: Collection[int],
) -> Iterator[_Edit]:
    yield from _clauses(places)
    yield from _order_keys(sql, places)
    between = 0
    for number, place in enumerate(places):
        start, stop = place.token.start, place.token.end + 1
        after = places[number + 1].word if number + 1 < len(places) else ""
        kind = place.token.token_type
        between += place.word == "BETWEEN"
        if place.word == "AND" and between:
            between -= 1
        elif kind == TokenType.STRING or number in texts:
            yield from _other_texts(sql, start, stop)
        elif kind == TokenType.NUMBER:
            yield from _other_numbers(sql, start, stop)
        elif place.word in _AGGREGATES and after == "(":
            yield from _other_aggregates(places, number)
        elif place.word in _FUNCTIONS and after == "(":
            yield "function dropped", start, stop, ""
        elif number in columns:
            yield from (("column", start, stop, name) for name in columns[number])
        elif place.word == "SELECT" and after == "DISTINCT":
            continue
        elif place.word == "NOT" or after != "NOT":
            for other in _SWAPPED.get(place.word, ()):
                yield place.word.lower(), start, stop, other


def _other_texts(sql: str, start: int, stop: int) -> Iterator[_Edit]:
    quote = sql[stop - 1]
    yield "text", stop - 1, stop, f"x{quote}"
    if stop - start > len("''"):
        yield "text", stop - 2, stop, quote


def _other_numbers(sql: str, start: int, stop: int) -> Iterator[_Edit]:
    text = sql[start:stop]
    if text.isdigit():
        yield "number", start, stop, str(int(text) + 1)
        yield "number", start, stop, str(int(text) - 1)
    else:
        yield "number", start, stop, f"{text}1"


def _other_aggregates(places: Sequence[_Place], number: int) -> Iterator[_Edit]:
    token = places[number].token
    inside = places[number + 2]
    if inside.word == "*":
        return
    for other in _AGGREGATES:
        if other != places[number].word:
            yield "aggregate", token.start, token.end + 1, other
    if places[number].word == "COUNT" and inside.word != "DISTINCT":
        yield "distinct", inside.token.start, inside.token.start, "DISTINCT "


def _clauses(places: Sequence[_Place]) -> Iterator[_Edit]:
    """Clauses left out, and the first or last of the conditions of one."""
    for number, place in enumerate(places):
        if place.word not in _CLAUSES - {"GROUP BY", "UNION", "INTERSECT", "EXCEPT"}:
            continue
        stop = _end_of_clause(places, number)
        end = places[stop - 1].token.end + 1
        yield f"{place.word.lower()} dropped", place.token.start, end, ""
        links = _links(places, number, stop)
        if place.word in ("WHERE", "HAVING") and links:
            first, last = links[0], links[-1]
            yield "condition dropped", place.token.end + 1, first.token.end + 1, ""
            yield "condition dropped", last.token.start, end, ""


def _end_of_clause(places: Sequence[_Place], start: int) -> int:
    depth = places[start].depth
    for number in range(start + 1, len(places)):
        place = places[number]
        if place.depth < depth or (place.depth == depth and place.word in _CLAUSES | {";"}):
            return number
    return len(places)


def _links(places: Sequence[_Place], start: int, stop: int) -> list[_Place]:
    """The ANDs and ORs that combine the conditions of a clause, without those of BETWEEN."""
    found, between = [], 0
    for place in places[start + 1 : stop]:
        if place.depth != places[start].depth:
            continue
        between += place.word == "BETWEEN"
        if place.word == "AND" and between:
            between -= 1
        elif place.word in ("AND", "OR"):
            found.append(place)
    return found


def _order_keys(sql: str, places: Sequence[_Place]) -> Iterator[_Edit]:
    """Sort keys rotated, the last one dropped, and directions where none is written."""
    for number, place in enumerate(places):
        if place.word != "ORDER BY":
            continue
        stop = _end_of_clause(places, number)
        inside = places[number + 1 : stop]
        commas = [p.token for p in inside if p.word == "," and p.depth == place.depth]
        begin, end = inside[0].token.start, inside[-1].token.end + 1
        bounds = [begin, *(comma.end + 1 for comma in commas)]
        ends = [*(comma.start for comma in commas), end]
        keys = [sql[low:high].strip() for low, high in zip(bounds, ends, strict=True)]
        if len(keys) > 1:
            yield "order key dropped", commas[-1].start, end, ""
            yield "order keys rotated", begin, end, ", ".join([*keys[1:], keys[0]])
        for key, high in zip(keys, ends, strict=True):
            if not key.upper().endswith(("ASC", "DESC")):
                yield "asc", high, high, " DESC"


def _columns(places: Sequence[_Place], tables: Sequence[Table]) -> dict[int, Sequence[str]]:
    """The tokens that name a column, with the other columns of its table."""
    names = {table.name.lower(): [column.name for column in table.columns] for table in tables}
    called = _tables_called(places, names)
    found: dict[int, Sequence[str]] = {}
    for number, place in enumerate(places):
        before = places[number - 1].word if number else ""
        if before in ("AS", "FROM", "JOIN"):
            continue
        owners = list(called.values())
        if before == ".":
            owners = [called.get(places[number - 2].token.text.lower(), "")]
        name = place.token.text.lower()
        for owner in owners:
            columns = names.get(owner, ())
            if any(column.lower() == name for column in columns):
                found[number] = [column for column in columns if column.lower() != name]
    return found


def _texts_in_double_quotes(places: Sequence[_Place], tables: Sequence[Table]) -> set[int]:
    """The tokens that SQLite takes for texts, for want of a column or table of that name."""
    names = {table.name.lower() for table in tables}
    names |= {column.name.lower() for table in tables for column in table.columns}
    return {
        number
        for number, (before, place) in enumerate(pairwise(places), start=1)
        if before.word in _BEFORE_TEXTS
        and place.word.startswith('"')
        and place.token.text.lower() not in names
    }


def _tables_called(places: Sequence[_Place], names: dict[str, list[str]]) -> dict[str, str]:
    """The tables of a query by what it calls them."""
    called = {}
    for number, place in enumerate(places[:-1]):
        table = places[number + 1].token.text.lower()
        if place.word not in ("FROM", "JOIN", ",") or table not in names:
            continue
        called[table] = table
        alias = number + 2 + (number + 2 < len(places) and places[number + 2].word == "AS")
        if alias < len(places) and places[alias].token.token_type == TokenType.VAR:
            called[places[alias].token.text.lower()] = table
    return called
