"""Reads and writes whole objects under a root: a local directory or s3://bucket/prefix.

Everything that coordinates processes rests on two conditional writes. create makes an object only
if its key is free; replace swaps it only if its tag is still the one that was read. open_store
proves both on a probe object and refuses a store that does not honor them; find_store is for
whoever only reads. How each kind of store does it is in cluster.backends and cluster.bucket.
"""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pyarrow import fs as arrow_fs

from cluster.backends import Backend, Directory, Listing, Tagged
from cluster.errors import UserError

PROBE = ".probe"


@dataclass(frozen=True)
class Store:
    """Objects by key below uri. Picklable: each process makes its own connection on first use.

    Keys are relative POSIX paths. Reading what is absent raises FileNotFoundError; a store out of
    reach raises some OSError.
    """

    uri: str

    @property
    def is_directory(self) -> bool:
        """Whether it lies in a file system, which other machines may not have."""
        return not self.uri.startswith("s3://")

    def read(self, key: str) -> bytes:
        return self._backend.read_tagged(_valid(key)).data

    def read_tagged(self, key: str) -> Tagged | None:
        """The object with its tag for replace, or None when absent."""
        try:
            return self._backend.read_tagged(_valid(key))
        except FileNotFoundError:
            return None

    def write(self, key: str, data: bytes) -> None:
        """Writes the whole object at once, over whatever was there."""
        self._backend.write(_valid(key), data)

    def create(self, key: str, data: bytes) -> bool:
        """Writes the object only if its key is free; False when another writer has it."""
        return self._backend.create(_valid(key), data)

    def replace(self, key: str, data: bytes, tag: str) -> bool:
        """Writes the object only if it is still the one read with tag."""
        return self._backend.replace(_valid(key), data, tag)

    def upload(self, key: str, path: Path) -> None:
        self._backend.upload(_valid(key), path)

    def download(self, key: str, path: Path) -> None:
        self._backend.download(_valid(key), path)

    def exists(self, key: str) -> bool:
        return self._backend.exists(_valid(key))

    def list(self, prefix: str) -> Listing:
        """Objects whose key starts with prefix, as text, by key.

        Keys that start with a dot are the store's own: only a prefix with that dot shows them.
        """
        found = sorted(self._backend.list(prefix), key=lambda one: one.key)
        return [one for one in found if prefix[:1] == "." or one.key[0] != "."]

    def delete(self, key: str) -> None:
        """Removes the object; deleting what is absent is no error."""
        self._backend.delete(_valid(key))

    def arrow_filesystem(self) -> tuple[arrow_fs.FileSystem, str]:
        """An Arrow file system with this store's credentials, and the root's path in it."""
        return self._backend.arrow_filesystem()

    @property
    def _backend(self) -> Backend:
        return _connect(self.uri, os.getpid())


def open_store(uri: str) -> Store:
    """The proven store at a directory or s3://bucket/prefix. Raises UserError in one line."""
    store = Store(_absolute(uri))
    _prove(store, os.getpid())
    return store


def existing_store(uri: str) -> Store:
    """The proven store, of which the directory is there already. Raises UserError in one line."""
    store = Store(_absolute(uri))
    if store.is_directory and not Path(store.uri).is_dir():
        raise UserError(f"store {store.uri!r}: there is no such directory")
    return open_store(uri)


def find_store(uri: str) -> Store:
    """The store there, to be read only: nothing is proven and nothing written. Raises UserError."""
    store = Store(_absolute(uri))
    try:
        store.read_tagged(f"{PROBE}/absent")  # .probe itself is a folder while another run proves
        store.list(f"{PROBE}/")
    except (OSError, ValueError) as error:
        raise _unusable(store, error, "a directory or a bucket that exists") from error
    return store


def _absolute(uri: str) -> str:
    if not uri.strip():
        raise UserError("store '': expected a directory or s3://bucket/prefix")
    scheme, separator, rest = uri.partition("://")
    if not separator:
        uri = str(Path(uri).expanduser().absolute())
    elif scheme == "file" and rest.startswith("/"):
        uri = str(Path(rest))
    elif scheme != "s3" or not rest.strip("/"):
        raise UserError(
            f"store {uri!r}: expected a directory or s3://bucket/prefix; only these two have "
            "proven conditional writes, which keep two runs from committing the same step"
        )
    return uri.rstrip("/") or "/"


@cache
def _prove(store: Store, pid: int) -> None:  # noqa: ARG001 - a forked child proves it again
    """Raises UserError unless the store is writable and honors both conditional writes."""
    key = f"{PROBE}/{secrets.token_hex(8)}"
    try:
        try:
            honest = (
                store.create(key, b"first")
                and not store.create(key, b"second")
                and not store.replace(key, b"third", "0" * 32)
                and store.replace(key, b"fourth", _tag(store, key))
                and store.read(key) == b"fourth"
            )
        finally:
            with suppress(OSError):
                store.delete(key)
    except (OSError, ValueError) as error:
        raise _unusable(store, error, "a writable directory or bucket that exists") from error
    if not honest:
        raise UserError(
            f"store {store.uri!r} ignores conditional writes (If-None-Match, If-Match), so two "
            "runs could both commit a step: use a store that honors them"
        )


def _unusable(store: Store, error: Exception, expected: str) -> UserError:
    if getattr(error, "user_error", False):
        return UserError(str(error))
    reason = " ".join(str(error).split())
    return UserError(
        f"store {store.uri!r} is not usable: {type(error).__name__}: {reason}; "
        f"expected {expected}, check path, endpoint and credentials"
    )


def _tag(store: Store, key: str) -> str:
    found = store.read_tagged(key)
    return found.tag if found else ""


def _valid(key: str) -> str:
    if not key or any(part in ("", ".", "..") for part in key.split("/")):
        raise ValueError(f"key {key!r} must be a relative path without empty, . or .. parts")
    return key


@cache
def _connect(uri: str, pid: int) -> Backend:  # noqa: ARG001 - one per process, forks included
    if uri.startswith("s3://"):
        from cluster.bucket import Bucket  # noqa: PLC0415 - its client takes half a second to load

        return Bucket(uri.removeprefix("s3://"))
    return Directory(Path(uri))
