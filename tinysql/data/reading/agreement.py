"""Whether a row's question, records and SQL say the same, each read on its own."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import zip_longest
from typing import Any

from tinysql.data.reading.derive import DeriveError, derive_from
from tinysql.data.reading.records import Reading, read_schema, stored_reading, stored_schema
from tinysql.data.reading.render import write_sql


def disagreements(row: Mapping[str, Any]) -> list[str]:
    """What the question or the SQL says otherwise than the row's records; empty if nothing."""
    try:
        schema = read_schema(row["schema_sql"])
    except ValueError as error:
        return [f"schema_sql: {error}"]
    found = []
    for name, of_text, of_records in zip(schema._fields, schema, stored_schema(row), strict=True):
        found += _differences(name, of_text, of_records)
    try:
        said = derive_from(row["question"], schema)
    except DeriveError as error:
        return [*found, f"question: {error}"]
    stored = stored_reading(row)
    if said != stored:
        for field in fields(Reading):
            found += _differences(
                field.name, getattr(said, field.name), getattr(stored, field.name)
            )
    sql = write_sql(said, schema, aliases=row["variant"] != "paper")
    if sql != row["gold_sql"]:
        found.append(f"gold_sql: the question asks for {sql}, the row has {row['gold_sql']}")
    return found


def _differences(name: str, said: Any, stored: Any) -> list[str]:
    """One line per part that is lost, added or other."""
    if said == stored:
        return []
    if not isinstance(said, Sequence) or isinstance(said, str):
        return [f"{name}: the text says {said!r}, the records {stored!r}"]
    return [
        f"{name} {number}: the text says {_shown(one)}, the records {_shown(other)}"
        for number, (one, other) in enumerate(zip_longest(said, stored))
        if one != other
    ]


def _shown(part: Any) -> str:
    return "nothing" if part is None else str(part)
