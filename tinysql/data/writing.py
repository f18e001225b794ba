"""Files and folders that are there whole or not at all.

What is written has a temporary name beside its target, is flushed to the disk and renamed. A killed
process leaves at most something hidden. A place that cannot be written to is an InputError.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tinysql.errors import InputError

_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A temporary path in the target's folder, which becomes the target if the block ends well.

    Raises InputError when nothing can be written there, or the disk is full.
    """
    if target.is_dir():
        raise InputError(f"cannot write {str(target)!r}: it is a directory; name a file")
    # The file is made at once: where that fails, nothing has to be computed first.
    with _temporary(target, Path.touch) as temporary:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """The same for a new folder; raises InputError when the target has something in it, too."""
    with _told(target):
        target = target.resolve()
        in_use = target.exists() and (not target.is_dir() or any(target.iterdir()))
    if in_use:
        raise InputError(f"{str(target)!r} is not empty: give a new or an empty directory")
    with _temporary(target, Path.mkdir) as temporary:
        yield temporary
        for file in sorted(temporary.iterdir()):
            _flush(file)
        os.replace(temporary, target)


@contextmanager
def _temporary(target: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    with _told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        make(temporary)
    try:
        yield temporary
    except OSError as error:
        # Any other error of the block's own is no matter of where it writes to.
        if error.errno in _DISK_IS_FULL or str(error.filename).startswith(str(temporary)):
            raise _cannot_write(target, error) from error
        raise
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


@contextmanager
def _told(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_write(target, error) from error


def _cannot_write(target: Path, error: OSError) -> InputError:
    return InputError(f"cannot write {str(target)!r}: {error.strerror or error}")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
