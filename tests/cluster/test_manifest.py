"""A manifest reads back exactly, and nothing else passes for one."""

import json
import sys
from pathlib import Path

import pytest

from cluster.errors import IntegrityError
from cluster.manifest import (
    Manifest,
    Meter,
    ObjectRef,
    ParentRef,
    capture_provenance,
    code_sha256,
    content_sha256,
    decode_manifest,
    read_manifest,
)
from cluster.store import Store

OBJECTS = (
    ObjectRef(name="a.parquet", key="k/data/a0001/a.parquet", bytes=3, sha256="aa", rows=1),
    ObjectRef(name="card.json", key="k/data/a0001/card.json", bytes=2, sha256="bb"),
)


def manifest(**changes: object) -> Manifest:
    provenance = capture_provenance(git_commit="c0ffee", image_digest="sha256:1")
    meter = Meter()
    fields = {
        "kind": "dataset", "version": 1, "identity": "ab" * 32, "slug": "cs1",
        "config": {"rows": 3, "rate": 1.0, "names": ["\u00e9"], "more": None},
        "parents": {"base": ParentRef(identity="cd", path="base/x", manifest_sha256="ef")},
        "objects": OBJECTS, "content_sha256": content_sha256(OBJECTS), "metrics": {"rows": 3},
        "code": provenance.code, "environment": provenance.environment,
        "attempt": "a0001-3f9c", "timings": meter.timings(),
        **meter.usage().model_dump(), **changes,
    }  # fmt: skip
    return Manifest.model_validate(fields)


def test_manifest_reads_back_equal_with_the_hash_of_its_bytes(local_store: Store) -> None:
    first = manifest()
    local_store.create("dataset/x/manifest.json", first.encode())
    second = read_manifest(local_store, "dataset/x")
    assert second == first
    assert second is not None
    assert second.sha256 == first.sha256


def test_read_manifest_of_an_uncommitted_path_is_none(local_store: Store) -> None:
    assert read_manifest(local_store, "dataset/x") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema version 2"),
        ({"surprise": 1}, "surprise"),
        ({"version": "1"}, "version"),
        ({"kind": None}, "kind"),
    ],
)
def test_manifest_of_another_shape_is_refused(change: dict[str, object], message: str) -> None:
    data = json.dumps({**json.loads(manifest().encode()), **change}).encode()
    with pytest.raises(IntegrityError, match=message):
        decode_manifest(data, "here")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", manifest().encode()[:-9]])
def test_damaged_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="^here "):
        decode_manifest(data, "here")


def test_reformatted_manifest_is_refused() -> None:
    pretty = json.dumps(json.loads(manifest().encode()), indent=1).encode()
    with pytest.raises(IntegrityError, match="edited"):
        decode_manifest(pretty, "here")


def test_metric_that_is_no_number_refuses_to_be_recorded() -> None:
    with pytest.raises(TypeError, match=r"metrics\.loss is nan"):
        manifest(metrics={"loss": float("nan")}).encode()


def test_content_sha256_ignores_layout_and_order_but_not_content() -> None:
    moved = [ref.model_copy(update={"key": "elsewhere/" + ref.name}) for ref in OBJECTS]
    assert content_sha256(reversed(moved)) == content_sha256(OBJECTS)
    changed = [OBJECTS[0].model_copy(update={"sha256": "cc"}), OBJECTS[1]]
    assert content_sha256(changed) != content_sha256(OBJECTS)


def test_code_sha256_follows_the_sources_and_not_their_place(tmp_path: Path) -> None:
    for place in ("one", "two"):
        package = tmp_path / place / "pkg"
        package.mkdir(parents=True)
        (package / "a.py").write_text("x = 1\n")
        (package / "notes.txt").write_text(place)
    hashes = [code_sha256([tmp_path / place / "pkg"]) for place in ("one", "two")]
    assert hashes[0] == hashes[1]
    (tmp_path / "two" / "pkg" / "a.py").write_text("x = 2\n")
    assert code_sha256([tmp_path / "two" / "pkg"]) != hashes[0]


def test_provenance_records_the_software_that_runs() -> None:
    environment = capture_provenance(image_digest="sha256:1").environment
    assert environment.python == sys.version.split()[0]
    assert environment.image_digest == "sha256:1"
    assert "pydantic" in environment.packages


def test_meter_measures_cpu_and_memory() -> None:
    meter = Meter()
    sum(n * n for n in range(1_000_000))
    usage = meter.usage()
    assert 0 < usage.cpu_seconds < 60
    assert usage.peak_memory_bytes > 1 << 20
