"""What a place that holds objects must do, and how a local directory does it.

A file is written elsewhere under the root, synced, then hard-linked to its name, which is exclusive
and shows only whole files; replace compares the content's hash under a file lock. Nothing is ever
open for writing under its final name. What is out of reach raises some OSError.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pyarrow import fs as arrow_fs

STAGING = ".staging"


@dataclass(frozen=True)
class Tagged:
    """An object's bytes and the tag of exactly that state."""

    data: bytes
    tag: str


@dataclass(frozen=True)
class StoredObject:
    """modified is in seconds since 1970 by the store's clock."""

    key: str
    bytes: int
    modified: float


Listing = list[StoredObject]


class Backend(Protocol):
    def read_tagged(self, key: str) -> Tagged: ...
    def write(self, key: str, data: bytes) -> None: ...
    def create(self, key: str, data: bytes) -> bool: ...
    def replace(self, key: str, data: bytes, tag: str) -> bool: ...
    def upload(self, key: str, path: Path) -> None: ...
    def download(self, key: str, path: Path) -> None: ...
    def exists(self, key: str) -> bool: ...
    def list(self, prefix: str) -> Iterator[StoredObject]: ...
    def delete(self, key: str) -> None: ...
    def arrow_filesystem(self) -> tuple[arrow_fs.FileSystem, str]: ...


class Directory:
    """A local directory. It and the staging area inside are made on the first write."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read_tagged(self, key: str) -> Tagged:
        data = (self._root / key).read_bytes()
        return Tagged(data, hashlib.sha256(data).hexdigest())

    def write(self, key: str, data: bytes) -> None:
        with self._staged(lambda file: file.write_bytes(data)) as file:
            self._place(file, key, os.replace)

    def create(self, key: str, data: bytes) -> bool:
        with self._staged(lambda file: file.write_bytes(data)) as file:
            return self._place(file, key, os.link)

    def replace(self, key: str, data: bytes, tag: str) -> bool:
        with self._locked():
            try:
                if self.read_tagged(key).tag != tag:
                    return False
            except FileNotFoundError:
                return False
            self.write(key, data)
            return True

    def upload(self, key: str, path: Path) -> None:
        with self._staged(lambda file: shutil.copyfile(path, file)) as file:
            self._place(file, key, os.replace)

    def download(self, key: str, path: Path) -> None:
        shutil.copyfile((self._root / key), path)

    def exists(self, key: str) -> bool:
        return (self._root / key).is_file()

    def list(self, prefix: str) -> Iterator[StoredObject]:
        top = self._root / prefix.rpartition("/")[0]
        for folder, _, names in os.walk(top):
            for name in names:
                file = Path(folder, name)
                key = file.relative_to(self._root).as_posix()
                if key.startswith(prefix):
                    with suppress(FileNotFoundError):  # deleted since os.walk saw it
                        status = file.stat()
                        yield StoredObject(key, status.st_size, status.st_mtime)

    def delete(self, key: str) -> None:
        with self._locked():
            (self._root / key).unlink(missing_ok=True)
            with suppress(OSError):  # the first folder that is not empty ends the pruning
                for folder in [*Path(key).parents][:-1]:
                    (self._root / folder).rmdir()

    def arrow_filesystem(self) -> tuple[arrow_fs.FileSystem, str]:
        return arrow_fs.LocalFileSystem(), str(self._root)

    @contextmanager
    def _staged(self, fill: Callable[[Path], object]) -> Iterator[Path]:
        """A complete, synced file beside the objects, removed afterwards."""
        file = self._root / STAGING / secrets.token_hex(8)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            fill(file)
            _sync(file)
            yield file
        finally:
            file.unlink(missing_ok=True)

    def _place(self, file: Path, key: str, put: Callable[[Path, Path], None]) -> bool:
        target = self._root / key
        while True:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                if target.parent.is_file():
                    raise
                continue  # delete() pruned it while mkdir looked
            try:
                put(file, target)
            except FileNotFoundError:
                if not file.exists():
                    raise
                continue  # delete() pruned the empty folder between the two calls
            except FileExistsError:
                return False
            _sync(target.parent)
            return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._root / ".lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
