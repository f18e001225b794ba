"""Snapshots of SQLite databases: with the tables of a schema and no rows, or of a file.

A snapshot is the image that `sqlite3.Connection.serialize` gives; a query gets a copy of it.
"""

import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from tinysql.errors import InputError
from tinysql.sql.catalog import Table, read_tables

MAX_FILE_BYTES = 64 * 2**20
"""Of a database file; every query gets a copy of it in memory."""


_PAGE_BYTES = 1024
"""A table of a few dozen rows leaves most of the usual 4,096 empty, in every copy."""


@lru_cache(64)
def prepare(schema_sql: str) -> tuple[bytes, tuple[Table, ...]]:
    """A snapshot with the schema's tables, all of them empty, and what they are.

    Raises InputError: SQLite refuses the schema, or it creates no table.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        # Nothing in a schema may reach a file: ATTACH and VACUUM INTO need an attachment.
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
        try:
            connection.executescript(schema_sql)
        except sqlite3.Error as error:
            raise InputError(
                f"schema {schema_sql!r} fails in SQLite: {error}; give CREATE TABLE statements"
            ) from error
        tables = read_tables(connection)
        if not tables:
            raise InputError(
                f"schema {schema_sql!r} creates no table; give CREATE TABLE statements"
            )
        connection.commit()
        return connection.serialize(), tuple(tables)


def read_snapshot(file: Path) -> tuple[bytes, tuple[Table, ...]]:
    """A snapshot of a SQLite file, with what is committed in a log beside it, and its tables.

    SQLite would write beside the file to read such a log, so it gets a copy of both.

    Raises InputError: there is no such file, or it is no database.
    """
    try:
        found = file.resolve()
        logs = [Path(f"{found}{ending}") for ending in ("-wal", "-journal")]
        sources = [found, *filter(Path.exists, logs)]
        if sum(source.stat().st_size for source in sources) > MAX_FILE_BYTES:
            raise InputError(f"database {file}: over {MAX_FILE_BYTES} bytes; give a smaller one")
        with TemporaryDirectory() as folder:
            for source in sources:
                copyfile(source, Path(folder, source.name))
            with closing(sqlite3.connect(Path(folder, found.name))) as connection:
                # The image of a database with a write-ahead log cannot be deserialized.
                connection.execute("PRAGMA journal_mode=DELETE")
                tables = read_tables(connection)
                return connection.serialize(), tuple(tables)
    except (OSError, ValueError, sqlite3.Error) as error:
        raise InputError(f"database {file}: cannot be read: {error}") from error
