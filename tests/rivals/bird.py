"""BIRD's execution accuracy: the prediction and then the gold on one writable connection.

Source: bird-bench/mini_dev, evaluation/evaluation_utils.py (execute_sql) and evaluation_ex.py
(calculate_ex). The answers are compared as sets of rows: duplicates and order do not count, the
order of columns does. What the prediction deletes is gone when the gold is asked.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from rivals.connections import writable


def accepts(
    gold_sql: str, pred_sql: str, databases: Sequence[bytes], _row: Mapping[str, Any]
) -> bool:
    """Whether EX is 1 on the first database, the only one that there is in BIRD."""
    with writable(databases[0]) as connection:
        cursor = connection.cursor()
        try:
            cursor.execute(pred_sql)
            pred = cursor.fetchall()
            cursor.execute(gold_sql)
            gold = cursor.fetchall()
        except (sqlite3.Error, sqlite3.Warning, UnicodeError):
            return False
    return set(pred) == set(gold)
