"""Directories of this machine for what a process makes and then gives away.

Each process has a folder of its own under the temporary directory, and holds a lock in it for as
long as it lives. Whoever starts next removes the folders that nobody holds any more, so a killed
process does not fill the disk.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_LOCK = "lock"


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """An empty directory, removed on leaving the context."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=_folder(os.getpid())) as folder:
        yield Path(folder)


def given_away(prefix: str) -> Path:
    """An empty directory that whoever takes it over removes."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_folder(os.getpid())))


@cache
def _folder(_pid: int) -> Path:
    """The process's own, which a forked child does not share."""
    root = Path(tempfile.gettempdir(), f"tinysql-scratch-{os.getuid()}")
    root.mkdir(mode=0o700, exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise PermissionError(f"{root} belongs to somebody else: remove it, or set TMPDIR")
    with (root / _LOCK).open("w") as all_of_them:
        fcntl.flock(all_of_them, fcntl.LOCK_EX)  # nobody makes one while another looks
        for folder in root.iterdir():
            if folder.is_dir() and not _is_held(folder):
                shutil.rmtree(folder, ignore_errors=True)
        own = Path(tempfile.mkdtemp(dir=root))
        held = os.open(own / _LOCK, os.O_CREAT | os.O_RDWR)  # never closed: so long as it lives
        fcntl.flock(held, fcntl.LOCK_EX)
    atexit.register(_remove, own, os.getpid())
    return own


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a fork has its parent's exit handlers
        shutil.rmtree(folder, ignore_errors=True)


def _is_held(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
