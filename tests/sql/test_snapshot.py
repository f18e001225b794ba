import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from shutil import copyfile

import pytest

from tinysql.errors import InputError
from tinysql.sql import snapshot
from tinysql.sql.execute import run
from tinysql.sql.snapshot import read_snapshot

COUNT = "SELECT COUNT(*), SUM(a) FROM t"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder in an empty folder."""
    (tmp_path / "given").mkdir()
    return tmp_path / "given"


def leave(folder: Path, mode: str, *, endings: tuple[str, ...]) -> Path:
    """A database as a process that died would leave it: two rows committed, one of them late."""
    working, file = folder.parent / "working.db", folder / "shops.db"
    with closing(sqlite3.connect(working, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.executescript("CREATE TABLE t ( a INTEGER ); INSERT INTO t VALUES (1)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("INSERT INTO t VALUES (10)")
        for ending in ("", *endings):
            copyfile(f"{working}{ending}", f"{file}{ending}")
    return file


def disk(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        file.name: (file.stat().st_mtime_ns, hashlib.sha256(file.read_bytes()).hexdigest())
        for file in [folder, *folder.iterdir()]
        if file.is_file()
    } | {".": (folder.stat().st_mtime_ns, "")}


@pytest.mark.parametrize("folder_mode", [0o755, 0o555])
@pytest.mark.parametrize(
    ("mode", "endings", "rows"),
    [
        ("DELETE", (), [(2, 11)]),
        ("WAL", (), [(1, 1)]),
        ("WAL", ("-wal",), [(2, 11)]),
        ("WAL", ("-wal", "-shm"), [(2, 11)]),
    ],
)
def test_read_snapshot_reads_what_is_committed_and_writes_nothing(
    folder: Path, mode: str, endings: tuple[str, ...], rows: list, folder_mode: int
) -> None:
    file = leave(folder, mode, endings=endings)
    assert file.read_bytes()[18:20] == (b"\2\2" if mode == "WAL" else b"\1\1")
    os.chmod(folder, folder_mode)
    before = disk(folder)
    database, tables = read_snapshot(file)
    assert disk(folder) == before
    assert database[18:20] == b"\1\1"
    assert [table.name for table in tables] == ["t"]
    assert run(COUNT, database).rows == rows
    os.chmod(folder, 0o755)


def test_read_snapshot_rolls_back_what_was_not_committed(folder: Path) -> None:
    working, file = folder.parent / "working.db", folder / "shops.db"
    with closing(sqlite3.connect(working, isolation_level=None)) as connection:
        connection.executescript(
            "PRAGMA cache_size=1; CREATE TABLE t ( a INTEGER, b TEXT ); "
            "INSERT INTO t VALUES (1, ''); BEGIN; "
            "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r WHERE x < 1000) "
            "INSERT INTO t SELECT x, hex(zeroblob(500)) FROM r"
        )
        for ending in ("", "-journal"):
            copyfile(f"{working}{ending}", f"{file}{ending}")
    before = disk(folder)
    assert run(COUNT, read_snapshot(file)[0]).rows == [(1, 1)]
    assert disk(folder) == before


def test_read_snapshot_through_a_link_finds_the_log(folder: Path) -> None:
    file = leave(folder, "WAL", endings=("-wal",))
    link = folder.parent / "link.db"
    link.symlink_to(file)
    assert run(COUNT, read_snapshot(link)[0]).rows == [(2, 11)]


def test_read_snapshot_counts_the_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = leave(folder, "WAL", endings=("-wal",))
    monkeypatch.setattr(snapshot, "MAX_FILE_BYTES", file.stat().st_size)
    with pytest.raises(InputError, match="give a smaller one"):
        read_snapshot(file)


@pytest.mark.parametrize("content", [None, b"not a database" * 1000])
def test_read_snapshot_refuses_what_is_no_database(folder: Path, content: bytes | None) -> None:
    file = folder / "shops.db"
    if content is not None:
        file.write_bytes(content)
    before = os.listdir(folder)
    with pytest.raises(InputError, match="cannot be read"):
        read_snapshot(file)
    assert os.listdir(folder) == before
