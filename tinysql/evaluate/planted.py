"""A database for a generated row on which all of its query's conditions hold together somewhere.

Random databases seldom do that where conditions are many, and a query that answers with nothing
tells no mistake. It needs the row's records, which tell what each condition is about.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from tinysql.data.verify.populate import populate
from tinysql.sql.engine import insert_sql
from tinysql.sql.snapshot import prepare


def planted_database(row: Mapping[str, Any], *, num_rows: int, seed: int) -> bytes:
    """A snapshot with rows planted for the query of a dataset row."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(prepare(row["schema_sql"])[0])
        connection.executescript(insert_sql(populate(row, num_rows=num_rows, seed=seed)))
        return connection.serialize()
