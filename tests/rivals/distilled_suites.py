"""Test-suite accuracy, taoyds/test-suite-sql-eval with its default settings.

Source: evaluation.py and exec_eval.py. Answers are compared as bags, or as lists if the gold's
text has "order by" anywhere; columns may be permuted. Each database must agree. Habits that are
reproduced: every DISTINCT is taken out of both queries, "value" becomes "1" anywhere in the
prediction, what follows its first semicolon is dropped (sqlparse.parse(...)[0]), two empty answers
are equal whatever their columns, and each query runs on a writable connection.

Permutations are pruned by all rows instead of 20 random ones, which changes the time but no answer.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rivals.connections import Rows, writable

_TOKENS = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/|\w+|.""", re.DOTALL
)
_MAX_PERMUTATIONS = 100_000


def accepts(
    gold_sql: str, pred_sql: str, databases: Sequence[bytes], _row: Mapping[str, Any]
) -> bool:
    """Whether the answers agree on every database.

    Raises:
        sqlite3.Error: the gold does not run; the original ends there, too.
    """
    gold_sql = _without_distinct(_joined_operators(gold_sql))
    pred_sql = _without_distinct(_joined_operators(pred_sql.replace("value", "1")))
    if not pred_sql.strip():
        return False
    is_ordered = "order by" in gold_sql.lower()
    return all(_agree(gold_sql, pred_sql, database, is_ordered) for database in databases)


def _joined_operators(sql: str) -> str:
    return sql.replace("> =", ">=").replace("< =", "<=").replace("! =", "!=")


def _without_distinct(sql: str) -> str:
    """The first statement, without the word DISTINCT."""
    kept = []
    for token in _TOKENS.findall(sql):
        if token.lower() != "distinct":
            kept.append(token)
        if token == ";":
            break
    return "".join(kept)


def _agree(gold_sql: str, pred_sql: str, database: bytes, is_ordered: bool) -> bool:
    gold = _answer(gold_sql, database)
    try:
        pred = _answer(pred_sql, database)
    except (sqlite3.Error, sqlite3.Warning, UnicodeError):
        return False
    return result_eq(gold, pred, is_ordered)


def _answer(sql: str, database: bytes) -> Rows:
    with writable(database) as connection:
        connection.text_factory = lambda text: text.decode(errors="ignore")
        return connection.execute(sql).fetchall()


def result_eq(gold: Rows, pred: Rows, is_ordered: bool) -> bool:
    """Whether some permutation of the predicted columns gives the gold's rows."""
    if not gold and not pred:
        return True
    if len(gold) != len(pred) or len(gold[0]) != len(pred[0]):
        return False
    if not _has_same_cells(gold, pred, is_ordered):
        return False
    for permutation in _permutations(gold, pred):
        permuted = [tuple(row[column] for column in permutation) for row in pred]
        if gold == permuted if is_ordered else Counter(gold) == Counter(permuted):
            return True
    return False


def _has_same_cells(gold: Rows, pred: Rows, is_ordered: bool) -> bool:
    """Whether the rows agree with their cells sorted as text, which 1 and 1.0 can prevent."""
    left, right = ([tuple(sorted(row, key=_as_text)) for row in rows] for rows in (gold, pred))
    return left == right if is_ordered else set(left) == set(right)


def _as_text(cell: Any) -> str:
    return f"{cell}{type(cell)}"


def _permutations(gold: Rows, pred: Rows) -> Iterator[tuple[int, ...]]:
    """Each choice of a predicted column per gold column that has the same set of values."""
    width = len(gold[0])
    values = [{row[column] for row in pred} for column in range(width)]
    options = [
        [column for column in range(width) if values[column] == {row[place] for row in gold}]
        for place in range(width)
    ]
    waiting: list[tuple[int, ...]] = [()]
    for _ in range(_MAX_PERMUTATIONS):
        if not waiting:
            return
        chosen = waiting.pop()
        if len(chosen) == width:
            yield chosen
        else:
            further = options[len(chosen)]
            waiting += [(*chosen, column) for column in further if column not in chosen]
