"""Plausible rows for the tables of one dataset row, on which its query has something to answer.

Rows are planted in blocks, the same positions in every table (see wishes.py), and a foreign key
inside a block refers to the same block, so conditions on several tables hold jointly after a join.
With HAVING, the groups are the blocks. All other rows are drawn from small pools of values, which
hold every constant of the query and its neighbors, so rows tie, repeat and lie just beside a bound.
Sort keys under LIMIT have no NULL, which engines put at different ends.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from tinysql.data.verify.pools import pool_of
from tinysql.data.verify.predicates import fits
from tinysql.data.verify.wishes import Blocks, Place, Test, Wish, blocks_of, wishes_of
from tinysql.sql.result import Cell, Row

_NULL_SHARE = 0.1
_REPEATED_SHARE = 0.15
_CHILDLESS_SHARE = 0.2
_MOST_GROUPS = 5


def populate(row: Mapping[str, Any], *, num_rows: int = 16, seed: int = 0) -> dict[str, list[Row]]:
    """Rows by table name, parents before children; a function of row, num_rows and seed alone.

    Args:
        row: one row of a dataset, with the records of its schema and its query.
        num_rows: about the rows of each table; more where the query counts to more.
    """
    rng = random.Random(f"{seed}/{row['id']}")
    blocks = blocks_of(row, num_rows)
    wishes = wishes_of(row, blocks)
    parents = {
        (key["table"], key["column"]): (key["parent"], key["parent_column"])
        for key in row["foreign_keys"]
    }
    filled: dict[Place, list[Cell]] = {}
    rows = {}
    for number, table in enumerate(row["tables"]):
        own = [column for column in row["columns"] if column["table"] == number]
        size = max(num_rows, blocks.third + 4) + rng.randrange(8)
        for column in own:
            place = (number, column["name"])
            if column["key"] == "primary":
                filled[place] = _primary_keys(column["type"], size, rng)
            elif column["key"] == "foreign":
                keys = filled[parents[place]]
                filled[place] = _foreign_keys(keys, number, wishes[place], blocks, size, rng)
            else:
                filled[place] = _values(column, wishes[place], blocks, size, rng)
                if (partner := wishes[place].partner) is not None:
                    _share_values(filled[place], filled[partner], column["type"], blocks, rng)
        _repeat_rows([filled[number, each["name"]] for each in own if each["key"] == ""],
                     blocks, rng)  # fmt: skip
        rows[table["name"]] = list(zip(*(filled[number, each["name"]] for each in own),
                                       strict=True))  # fmt: skip
    for table_rows in rows.values():
        # In order of the keys, an answer would be sorted without an ORDER BY.
        rng.shuffle(table_rows)
    return rows


def _primary_keys(sql_type: str, size: int, rng: random.Random) -> list[Cell]:
    start = rng.randrange(1, 900)
    if "CHAR" in sql_type or sql_type == "TEXT":
        letter = rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        return [f"{letter}{start + position:03d}" for position in range(size)]
    return [start + position for position in range(size)]


def _foreign_keys(
    keys: Sequence[Cell], table: int, wish: Wish, blocks: Blocks, size: int, rng: random.Random
) -> list[Cell]:
    """Keys of the parent's rows: of the same block inside a block, of any row else, or NULL."""
    # The rest must not join the groups, whose sizes are counted, nor whom NOT EXISTS is about.
    first = 0 if wish.refers and not blocks.has_groups else blocks.second
    stop = max(first + 1, int(len(keys) * (1 - _CHILDLESS_SHARE)))
    chosen: list[Cell] = []
    for position in range(size):
        if position >= blocks.third and rng.random() < _NULL_SHARE:
            chosen.append(None)
        elif position >= blocks.third or not wish.refers:
            chosen.append(keys[rng.randrange(first, stop)])
        elif not blocks.has_groups:
            # Two children and none, in turn.
            chosen.append(keys[max(blocks.start(position), position - position % 2)])
        else:
            chosen.append(keys[blocks.start(position) if table == blocks.counted else position])
    return chosen


def _values(
    column: Mapping[str, Any], wish: Wish, blocks: Blocks, size: int, rng: random.Random
) -> list[Cell]:
    """The cells of a column, block by block."""
    if wish.is_group_key:
        num_values = _MOST_GROUPS
    elif wish.is_selected and blocks.has_operands:
        num_values = 2 * size  # few are in both halves by chance
    else:
        num_values = rng.randint(_MOST_GROUPS, max(_MOST_GROUPS, size // 2))
    pool = pool_of(column, wish, num_values, rng)
    tests = wish.first + _extreme_tests(pool, wish)
    nulls = [None] * max(1, round(len(pool) * _NULL_SHARE)) if wish.may_be_null else []
    anything = [*pool, *nulls]
    group = [wish.group] if wish.group else []
    good = _meeting([*pool, None], tests) if tests else anything
    bad = _apart(pool, tests) or _apart(nulls, tests) or anything
    if wish.is_group_key and blocks.has_groups:
        one = rng.choice(_of_group(good, pool, wish))
        unlike = [value for value in good if value != one]
        unlike = unlike or [value for value in pool if value != one] or good
        other = rng.choice(_apart(unlike, group) or unlike)
        others = [value for value in pool if value not in (one, other)] or pool
        return [
            *[one] * blocks.first,
            *[other] * (blocks.second - blocks.first),
            *rng.choices(others, k=size - blocks.second),
        ]
    third = bad if tests else anything
    if wish.second:
        second = _meeting([*pool, None], wish.second)
        third = [value for value in second if value in third] or second
    cells = [
        *_first_block(good, pool, wish, blocks, rng),
        *rng.choices(_apart(good, group) or good, k=blocks.second - blocks.first),
        *rng.choices(third, k=blocks.third - blocks.second),
        *rng.choices(anything, k=size - blocks.third),
    ]
    if blocks.has_operands and wish.is_selected and not wish.first and not wish.second:
        # What both halves of the set operation select.
        common = min(blocks.first, blocks.third - blocks.second) // 2
        cells[blocks.second : blocks.second + common] = cells[:common]
    return cells


def _first_block(
    good: Sequence[Cell], pool: Sequence[Cell], wish: Wish, blocks: Blocks, rng: random.Random
) -> list[Cell]:
    """The cells of the rows that the query accepts; half of them also its second half."""
    if not wish.second:
        return rng.choices(_of_group(good, pool, wish), k=blocks.first)
    good = good if wish.first else [*good, None]
    both = [value for value in good if all(test(value) for test in wish.second)] or good
    only = [value for value in good if not all(test(value) for test in wish.second)] or good
    common = blocks.first // 2
    return [*rng.choices(both, k=common), *rng.choices(only, k=blocks.first - common)]


def _of_group(good: Sequence[Cell], pool: Sequence[Cell], wish: Wish) -> Sequence[Cell]:
    """Those that meet HAVING: of the good ones, else of all, for WHERE may have another way."""
    if wish.group is None:
        return good
    meeting = [value for value in pool if wish.group(value)]
    return [value for value in meeting if value in good] or meeting or good


def _apart(values: Sequence[Cell], tests: Sequence[Test]) -> list[Cell]:
    """Those that meet none of the tests."""
    return [value for value in values if not any(test(value) for test in tests)]


def _meeting(values: Sequence[Cell], tests: Sequence[Test]) -> list[Cell]:
    """Those that meet all tests, or else any of them."""
    meeting_all = [value for value in values if all(test(value) for test in tests)]
    return meeting_all or [value for value in values if any(test(value) for test in tests)] or [
        *values
    ]


def _extreme_tests(pool: Sequence[Cell], wish: Wish) -> list[Test]:
    """The test that picks the far end of a pool of numbers."""
    if not wish.extreme:
        return []
    ordered = sorted({value for value in pool if isinstance(value, int | float)})
    ends = {
        "highest": set(ordered[-1:]),
        "high": set(ordered[-(len(ordered) // 3) - 1 :]),
        "lowest": set(ordered[:1]),
        "low": set(ordered[: len(ordered) // 3 + 1]),
    }
    return [ends[wish.extreme].__contains__]


def _share_values(
    cells: list[Cell], partners: Sequence[Cell], sql_type: str, blocks: Blocks, rng: random.Random
) -> None:
    """Take over the partner's cells in the planted rows, and some of them else, in place."""
    for position in range(len(cells)):
        if position < blocks.third:
            source = max(blocks.start(position), position - position % 2)
        else:
            source = rng.randrange(len(partners))
        if fits(sql_type, partners[source]) and (position < blocks.third or rng.random() < 0.5):
            cells[position] = partners[source]


def _repeat_rows(columns: Sequence[list[Cell]], blocks: Blocks, rng: random.Random) -> None:
    """Let some of the rows that are not planted repeat another but for the keys, in place."""
    size = len(columns[0]) if columns else 0
    for position in range(blocks.third + 1, size):
        if rng.random() < _REPEATED_SHARE:
            source = rng.randrange(blocks.third, position)
            for cells in columns:
                cells[position] = cells[source]
