"""Artifacts that are manifests and little else."""

from collections.abc import Sequence

from cluster.manifest import (
    Manifest,
    Meter,
    ObjectRef,
    ParentRef,
    capture_provenance,
    content_sha256,
)
from cluster.store import Store

_PROVENANCE = capture_provenance([])


def commit(
    store: Store, path: str, objects: Sequence[ObjectRef] = (), parents: Sequence[str] = ()
) -> None:
    """Commits an artifact of these objects, made from those at these paths."""
    meter = Meter()
    manifest = Manifest(
        kind=path.partition("/")[0], version=1, identity="ab" * 32, slug="x", config={},
        parents={
            f"role{number}": ParentRef(identity="cd" * 32, path=parent, manifest_sha256="ef" * 32)
            for number, parent in enumerate(parents)
        },
        objects=tuple(objects), content_sha256=content_sha256(objects), metrics={},
        code=_PROVENANCE.code, environment=_PROVENANCE.environment, attempt="a0001-aaaa",
        timings=meter.timings(), cpu_seconds=0.0, gpu_seconds=0.0, peak_memory_bytes=0,
    )  # fmt: skip
    store.create(f"{path}/manifest.json", manifest.encode())
