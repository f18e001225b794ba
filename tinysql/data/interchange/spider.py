"""The schemas of Spider (taoyds/spider): tables.json, a list of databases.

A database has parallel lists of names; columns and keys are numbers into `column_names_original`,
whose first entry is "*". Types are four words.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from tinysql.data.interchange.ddl import render_schema
from tinysql.data.interchange.records import read_records
from tinysql.data.interchange.schema import ForeignKey, Table
from tinysql.errors import InputError

_INTERNAL = "sqlite_"
"""What the tables of SQLite itself are called, of which some databases list one."""
_SPIDER_TYPES = {"text": "TEXT", "number": "NUMERIC", "time": "TIMESTAMP", "boolean": "BOOLEAN"}


def spider_schemas(path: Path) -> dict[str, str]:
    """The CREATE TABLE text of every database of a tables.json."""
    schemas: dict[str, str] = {}
    for line, values in read_records(path):
        try:
            schemas[str(values["db_id"])] = render_schema(_spider_tables(values))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"{path}:{line}: not a database of Spider: {type(error).__name__} {error}; "
                "expected db_id, table_names_original, column_names_original, column_types, "
                "primary_keys and foreign_keys"
            ) from error
    return schemas


def _spider_tables(values: Mapping[str, Any]) -> list[Table]:
    names = [str(name) for name in values["table_names_original"]]
    columns = [(int(table), str(name)) for table, name in values["column_names_original"]]
    types = [_SPIDER_TYPES.get(kind, "TEXT") for kind in values["column_types"]]
    keys: dict[int, list[str]] = defaultdict(list)
    for number in chain.from_iterable(map(_flat, values["primary_keys"])):
        table, name = columns[number]
        keys[table].append(name)
    foreign: dict[int, list[ForeignKey]] = defaultdict(list)
    for child, parent in values["foreign_keys"]:
        (table, name), (parent_table, parent_name) = columns[child], columns[parent]
        foreign[table].append(ForeignKey((name,), names[parent_table], (parent_name,)))
    listed = list(zip(columns, types, strict=True))
    return [
        Table(
            name,
            tuple((column, declared) for (table, column), declared in listed if table == place),
            tuple(keys[place]),
            tuple(dict.fromkeys(foreign[place])),
        )
        for place, name in enumerate(names)
        if not name.startswith(_INTERNAL)
    ]


def _flat(key: int | Sequence[int]) -> Sequence[int]:
    """Newer files of this format write a key of several columns as a list."""
    return [key] if isinstance(key, int) else key
