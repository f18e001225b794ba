"""What a query on SQLite may do, and for how many steps: an authorizer and a progress handler."""

import sqlite3
import time

from tinysql.sql.functions import REPLACED
from tinysql.sql.result import Limits

STEPS_PER_TICK = 100
_ALLOWED_ACTIONS = (sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE)
# Left out on purpose: load_extension and fts3_tokenizer (they load code); random and randomblob
# (the same query must give the same answer twice); changes, total_changes and last_insert_rowid
# (they tell of the connection).
_FUNCTION_NAMES = """
    abs char coalesce concat concat_ws glob hex ifnull iif instr length like likelihood likely lower
    ltrim max min nullif octet_length quote replace round rtrim sign soundex substr substring trim
    typeof unicode unlikely upper zeroblob
    avg count group_concat string_agg sum total
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
    row_number
    acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2
    mod pi pow power radians sin sinh sqrt tan tanh trunc
    json json_array json_array_length json_extract json_group_array json_group_object json_object
    json_quote json_type json_valid -> ->>
"""
_ALLOWED_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())


class Guard:
    """The authorizer and progress handler of a connection, and why they stopped the last query."""

    __slots__ = ("deadline", "denied", "is_extended", "ticks", "wants_extension")

    def __init__(self) -> None:
        self.is_extended = False
        """Whether the connection has what execute.py gives it."""

    def start(self, limits: Limits) -> None:
        """Forget the last query."""
        self.ticks = limits.max_steps // STEPS_PER_TICK
        self.deadline = time.monotonic() + limits.max_seconds
        self.denied: str | None = None
        self.wants_extension = False

    @property
    def expired(self) -> bool:
        return self.ticks < 0

    def tick(self) -> bool:
        """Count one tick; true, also for every later call, once the budget is spent."""
        self.ticks -= 1
        if time.monotonic() > self.deadline:
            self.ticks = -1
        return self.ticks < 0

    def authorize(
        self, action: int, first: str | None, second: str | None, _schema: object, _via: object
    ) -> int:
        # Nested CTEs can grow exponentially while SQLite still compiles, before any step runs.
        self.ticks -= 1
        if self.ticks < 0:
            return sqlite3.SQLITE_DENY
        if action in _ALLOWED_ACTIONS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and second:
            name = second.lower()
            if name in _ALLOWED_FUNCTIONS or (self.is_extended and name in REPLACED):
                return sqlite3.SQLITE_OK
            self.wants_extension |= name in REPLACED
        # SQLite asks for this when it declares a table-valued function.
        self.wants_extension |= action == sqlite3.SQLITE_UPDATE and first == "sqlite_master"
        self.denied = self.denied or f"not a pure read: {second or first or action}"
        return sqlite3.SQLITE_DENY
