"""References to committed artifacts, and the write side of one attempt at producing them.

Reading: follow the manifest, copy into a per-machine cache, verify the size and SHA-256 of every
object, rename the finished directory into place. The cache is named by content, so the same
artifact from a laptop or from S3 is one directory. Files are copied even from a local store: a
reader that writes through a hard link would corrupt the store, and read-only modes do not stop
root, which containers run as. XDG_CACHE_HOME is read here and nowhere else.

Writing: every put_dir goes to a fresh folder, so no key is ever written twice, not even by a
zombie of the same attempt. A shard commits as objects first, then a receipt with create-if-absent:
a crash in between leaves only unreferenced objects, and a rerun does only the missing shards.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyarrow import parquet
from pydantic import JsonValue, ValidationError

from cluster.errors import IntegrityError
from cluster.identity import canonical_json
from cluster.manifest import (
    ARTIFACT_OBJECT,
    MANIFEST_NAME,
    Manifest,
    ObjectRef,
    Record,
    Usage,
    decode_manifest,
)
from cluster.store import Store

_SHARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Receipt(Record):
    """Proof that a shard is done: which attempt did it, its objects, metrics and cost."""

    shard: str
    attempt: str
    objects: tuple[ObjectRef, ...]
    metrics: dict[str, JsonValue]
    usage: Usage


@dataclass(frozen=True)
class ArtifactRef:
    """A committed artifact, by path and by the hash of its manifest."""

    store: Store
    path: str
    manifest_sha256: str

    def manifest(self) -> Manifest:
        """The manifest; IntegrityError when it is not the one this reference names."""
        key = f"{self.path}/{MANIFEST_NAME}"
        data = self.store.read(key)
        found = hashlib.sha256(data).hexdigest()
        if found != self.manifest_sha256:
            raise IntegrityError(
                f"{key} has sha256 {found[:12]}, the reference names {self.manifest_sha256[:12]}"
            )
        return decode_manifest(data, key)

    def read(self, name: str) -> bytes:
        """One object, verified; for what does not need the whole artifact."""
        (ref,) = (ref for ref in self.manifest().objects if ref.name == name)
        data = self.store.read(ref.key)
        found = hashlib.sha256(data).hexdigest()
        if found != ref.sha256:
            raise _damage(self.store, ref, f"has sha256 {found[:12]}")
        return data

    def local_dir(self, cache: Path | None = None) -> Path:
        """Directory with a verified copy of the files. cache None means default_cache_dir()."""
        manifest = self.manifest()
        root = cache or default_cache_dir()
        target = root / manifest.content_sha256
        if target.is_dir():
            return target
        root.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(root / f".{target.name}.lock"):
            if not target.is_dir():
                _fetch(self.store, manifest.objects, target)
        return target


@dataclass(frozen=True)
class Attempt:
    """One try at producing the artifact at path. Attempts never touch each other's objects."""

    store: Store
    path: str
    name: str

    def put_dir(self, local_dir: Path) -> list[ObjectRef]:
        """Uploads every file below local_dir; its relative path becomes the object's name."""
        folder = f"{self.path}/data/{self.name}/{secrets.token_hex(4)}"
        files = sorted(file for file in local_dir.rglob("*") if file.is_file())
        refs = [_describe(file, file.relative_to(local_dir).as_posix(), folder) for file in files]
        for file, ref in zip(files, refs, strict=True):
            self.store.upload(ref.key, file)
        return refs

    def commit_shard(
        self,
        shard: str,
        objects: Sequence[ObjectRef],
        metrics: Mapping[str, JsonValue],
        usage: Usage | None = None,
    ) -> Receipt:
        """Records the shard as done, unless it is: returns the receipt that counts."""
        receipt = Receipt(
            shard=shard,
            attempt=self.name,
            objects=tuple(objects),
            metrics=dict(metrics),
            usage=usage or Usage(),
        )
        data = canonical_json(receipt.model_dump()).encode()
        if self.store.create(self._receipt_key(shard), data):
            # As whoever reads it later sees it: what is made of receipts must not know which of
            # them an interrupted attempt left.
            return decode_receipt(data, self._receipt_key(shard))
        winner = self.receipt(shard)
        if winner is None:
            raise IntegrityError(f"{self._receipt_key(shard)} existed and is gone: collected?")
        return winner

    def receipt(self, shard: str) -> Receipt | None:
        """The committed receipt of the shard, by whichever attempt, or None."""
        key = self._receipt_key(shard)
        try:
            return decode_receipt(self.store.read(key), key)
        except FileNotFoundError:
            return None

    def _receipt_key(self, shard: str) -> str:
        if not _SHARD_NAME.fullmatch(shard):
            raise ValueError(f"shard name {shard!r} must match {_SHARD_NAME.pattern}")
        return f"{self.path}/receipts/{shard}.json"


def decode_receipt(data: bytes, where: str) -> Receipt:
    """The receipt in data; IntegrityError when it is not one."""
    try:
        return Receipt.model_validate_json(data)
    except ValidationError as error:
        reason = "; ".join(str(error).split("\n")[:3])
        raise IntegrityError(f"{where} is not a receipt: {reason}") from error


def default_cache_dir() -> Path:
    """$XDG_CACHE_HOME/tinysql or ~/.cache/tinysql; where that is read-only, in the temp directory.

    Containers often run as a user without a writable home.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    chosen = (Path(base) if base else Path.home() / ".cache") / "tinysql"
    try:
        chosen.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / f"tinysql-{os.getuid()}"
    return chosen


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Keeps a machine's workers from downloading one artifact many times; freed by a crash."""
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fetch(store: Store, objects: Sequence[ObjectRef], target: Path) -> None:
    # Under the lock: a directory left here was left by a process that died.
    for debris in target.parent.glob(f".{target.name}-*"):
        shutil.rmtree(debris)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for ref in objects:
            _download(store, ref, partial)
        partial.chmod(0o755)
        partial.rename(target)
    except OSError:
        # A cache on a file system without working locks: another machine may have won.
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _download(store: Store, ref: ObjectRef, folder: Path) -> None:
    file = folder / ref.name
    if not file.resolve().is_relative_to(folder.resolve()):
        raise IntegrityError(f"object name {ref.name!r} leaves its directory")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        store.download(ref.key, file)
    except FileNotFoundError as error:
        raise _damage(store, ref, "is missing") from error
    size, sha256 = file.stat().st_size, _file_sha256(file)
    if (size, sha256) != (ref.bytes, ref.sha256):
        raise _damage(store, ref, f"holds {size} bytes with sha256 {sha256[:12]}")
    file.chmod(0o444)


def _damage(store: Store, ref: ObjectRef, found: str) -> IntegrityError:
    # All of the artifact has to go: receipts would name the damaged object again.
    artifact = ARTIFACT_OBJECT.fullmatch(ref.key)
    return IntegrityError(
        f"{ref.key} {found}, its manifest says {ref.bytes} bytes with {ref.sha256[:12]}: delete "
        f"{store.uri}/{artifact[1] if artifact else ref.key}/ and run the same command again to "
        "make it anew"
    )


def _describe(file: Path, name: str, folder: str) -> ObjectRef:
    return ObjectRef(
        name=name,
        key=f"{folder}/{name}",
        bytes=file.stat().st_size,
        sha256=_file_sha256(file),
        rows=parquet.read_metadata(file).num_rows if file.suffix == ".parquet" else None,
    )


def _file_sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
