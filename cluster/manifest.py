"""The record of one finished artifact, written once, last, with create-if-absent.

Its existence means complete. It names every object by key, size, SHA-256 and row count, so readers
follow it and never list a directory. The text is canonical JSON and reading it back is strict: an
unknown schema or key, or a text that is not the canonical one of its content, is refused, since a
half-understood record must never pass for a finished artifact.
"""

import hashlib
import json
import platform
import re
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from cluster.errors import IntegrityError
from cluster.identity import canonical_json
from cluster.store import Store

SCHEMA = 1
MANIFEST_NAME = "manifest.json"
ARTIFACT_OBJECT = re.compile(r"([a-z][a-z0-9_]*/[^/]+-[0-9a-f]{12})/(.+)")
"""The key of an object of an artifact: the artifact's path, and the rest."""
_PACKAGES = (
    "deepspeed", "nnsight", "numpy", "pyarrow", "pydantic", "ray", "s3fs", "torch", "transformers"
)  # fmt: skip
_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
_SHIPPED = ("cluster", "jobs", "tinysql")


class Record(BaseModel):
    """Frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ObjectRef(Record):
    """One stored file: its name inside the artifact, its key in the store, what it must hold."""

    name: str
    key: str
    bytes: int
    sha256: str
    rows: int | None = None


class ParentRef(Record):
    identity: str
    path: str
    manifest_sha256: str


class Usage(Record):
    """What work cost; shard usages add up, except the peak."""

    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    peak_memory_bytes: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            gpu_seconds=self.gpu_seconds + other.gpu_seconds,
            peak_memory_bytes=max(self.peak_memory_bytes, other.peak_memory_bytes),
        )


class Timings(Record):
    """started and finished are UTC, for people; seconds comes from a monotonic clock."""

    started: str
    finished: str
    seconds: float


class Code(Record):
    """sha256 covers the shipped *.py files; git_commit is None where the caller knows none."""

    sha256: str
    git_commit: str | None


class Environment(Record):
    python: str
    platform: str
    packages: dict[str, str]
    image_digest: str | None


class Provenance(Record):
    code: Code
    environment: Environment


class Manifest(Record):
    schema_version: int = SCHEMA
    kind: str
    version: int
    identity: str
    slug: str
    config: dict[str, JsonValue]
    parents: dict[str, ParentRef]
    objects: tuple[ObjectRef, ...]
    content_sha256: str
    metrics: dict[str, JsonValue]
    code: Code
    environment: Environment
    attempt: str
    timings: Timings
    cpu_seconds: float
    gpu_seconds: float
    peak_memory_bytes: int

    def encode(self) -> bytes:
        """Canonical bytes. Raises TypeError naming a metric that is NaN or infinite."""
        return canonical_json(self.model_dump()).encode()

    @property
    def sha256(self) -> str:
        """Hash of the stored bytes: what references to this artifact carry."""
        return hashlib.sha256(self.encode()).hexdigest()


class Meter:
    """Time, CPU and memory of this process and the children it waited for, since creation."""

    def __init__(self) -> None:
        self._started = datetime.now(UTC)
        self._clock = time.monotonic()
        self._cpu = _cpu_seconds()

    def timings(self) -> Timings:
        return Timings(
            started=self._started.isoformat(timespec="seconds"),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - self._clock, 3),
        )

    def usage(self) -> Usage:
        unit = 1 if sys.platform == "darwin" else 1024  # getrusage: macOS bytes, Linux kibibytes
        peaks = [resource.getrusage(who).ru_maxrss * unit for who in _WHO]
        return Usage(cpu_seconds=round(_cpu_seconds() - self._cpu, 3), peak_memory_bytes=max(peaks))


def decode_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in data; IntegrityError when it is not one that this code wrote."""
    try:
        fields: Any = json.loads(data)
        found = fields.get("schema_version") if isinstance(fields, dict) else None
        if found != SCHEMA:
            raise IntegrityError(
                f"{where} has schema version {found!r}, this code reads {SCHEMA}: "
                "use the code that wrote it"
            )
        manifest = Manifest.model_validate_json(data)
    except (ValidationError, ValueError) as error:
        reason = "; ".join(str(error).split("\n")[:3])
        raise IntegrityError(f"{where} is not a manifest: {reason}") from error
    if manifest.content_sha256 != content_sha256(manifest.objects):
        # Readers name their copies by it: a wrong one would be served as another artifact.
        raise IntegrityError(f"{where} has a content_sha256 that is not that of its objects")
    if manifest.encode() != data:
        raise IntegrityError(f"{where} was edited: its text is not the canonical one")
    return manifest


def read_manifest(store: Store, path: str) -> Manifest | None:
    """The manifest of the artifact at path, or None when it is not committed."""
    key = f"{path}/{MANIFEST_NAME}"
    try:
        data = store.read(key)
    except FileNotFoundError:
        return None
    return decode_manifest(data, key)


def list_manifests(store: Store) -> dict[str, Manifest]:
    """Every committed artifact of a store: path -> manifest. Other files there do not count."""
    objects = (ARTIFACT_OBJECT.fullmatch(found.key) for found in store.list(""))
    paths = [match[1] for match in objects if match and match[2] == MANIFEST_NAME]
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda path: read_manifest(store, path), paths)
    return {path: manifest for path, manifest in zip(paths, found, strict=True) if manifest}


def content_sha256(objects: Iterable[ObjectRef]) -> str:
    """Hash of the names and contents alone: the same for any key layout."""
    pairs = sorted([ref.name, ref.sha256] for ref in objects)
    return hashlib.sha256(canonical_json(pairs).encode()).hexdigest()


def capture_provenance(
    roots: Sequence[Path] | None = None,
    *,
    git_commit: str | None = None,
    image_digest: str | None = None,
) -> Provenance:
    """What code and software runs here. roots None means the shipped packages beside this one."""
    if roots is None:
        beside = Path(__file__).resolve().parent.parent
        roots = [beside / name for name in _SHIPPED if (beside / name).is_dir()]
    return Provenance(
        code=Code(sha256=code_sha256(roots), git_commit=git_commit),
        environment=Environment(
            python=platform.python_version(),
            platform=platform.platform(),
            packages=_package_versions(),
            image_digest=image_digest,
        ),
    )


def code_sha256(roots: Sequence[Path]) -> str:
    """Hash of the *.py files under roots, by path relative to each root's parent."""
    files = sorted(
        [file.relative_to(root.parent).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()]
        for root in roots
        for file in root.rglob("*.py")
    )
    return hashlib.sha256(canonical_json(files).encode()).hexdigest()


def _package_versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # which of the optional packages are present is part of the record
    return versions


def _cpu_seconds() -> float:
    spent = [resource.getrusage(who) for who in _WHO]
    return sum(use.ru_utime + use.ru_stime for use in spent)
