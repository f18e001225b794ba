"""Readers get the committed bytes or an error; writers lose nothing to a crash."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from cluster.artifact import ArtifactRef, Attempt, default_cache_dir
from cluster.errors import IntegrityError
from cluster.manifest import Manifest, Meter, ObjectRef, Usage, capture_provenance, content_sha256
from cluster.store import Store

PROVENANCE = capture_provenance([])
PATH = "dataset/cs1-0123456789ab"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    parquet.write_table(pa.table({"id": [1, 2, 3]}), folder / "train-00000.parquet")
    (folder / "sub" / "card.json").write_text("{}")
    return folder


def attempt(store: Store, name: str = "a0001-aaaa") -> Attempt:
    return Attempt(store, PATH, name)


def commit(store: Store, objects: list[ObjectRef], path: str = PATH) -> ArtifactRef:
    """Writes a manifest over the objects, as the step runner does."""
    meter = Meter()
    manifest = Manifest(
        kind="dataset", version=1, identity="ab" * 32, slug="cs1", config={}, parents={},
        objects=tuple(objects), content_sha256=content_sha256(objects), metrics={},
        code=PROVENANCE.code, environment=PROVENANCE.environment, attempt="a0001-aaaa",
        timings=meter.timings(), cpu_seconds=0.0, gpu_seconds=0.0, peak_memory_bytes=0,
    )  # fmt: skip
    assert store.create(f"{path}/manifest.json", manifest.encode())
    return ArtifactRef(store, path, manifest.sha256)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_put_dir_records_names_sizes_and_parquet_rows(store: Store, files: Path) -> None:
    refs = attempt(store).put_dir(files)
    assert [(ref.name, ref.rows) for ref in refs] == [
        ("sub/card.json", None),
        ("train-00000.parquet", 3),
    ]
    for ref in refs:
        assert ref.key.startswith(f"{PATH}/data/a0001-aaaa/")
        assert len(store.read(ref.key)) == ref.bytes


def test_put_dir_twice_never_overwrites(local_store: Store, files: Path) -> None:
    first = attempt(local_store).put_dir(files)
    second = attempt(local_store).put_dir(files)
    assert {ref.key for ref in first}.isdisjoint(ref.key for ref in second)


def test_local_dir_holds_what_was_put(store: Store, files: Path, tmp_path: Path) -> None:
    ref = commit(store, attempt(store).put_dir(files))
    folder = ref.local_dir(tmp_path / "cache")
    assert contents(folder) == contents(files)
    assert folder.name == ref.manifest().content_sha256
    assert ref.local_dir(tmp_path / "cache") == folder


def test_local_dir_serves_the_same_content_once(
    local_store: Store, files: Path, tmp_path: Path
) -> None:
    objects = attempt(local_store).put_dir(files)
    twin = commit(local_store, objects, "dataset/other-0123456789ab")
    assert commit(local_store, objects).local_dir(tmp_path / "c") == twin.local_dir(tmp_path / "c")


@pytest.mark.parametrize("damage", [b"PAR0" * 100, b"", b"x" * 10])
def test_corrupted_object_is_named_and_nothing_is_cached(
    store: Store, files: Path, tmp_path: Path, damage: bytes
) -> None:
    objects = attempt(store).put_dir(files)
    ref = commit(store, objects)
    store.write(objects[1].key, damage)
    with pytest.raises(IntegrityError, match=objects[1].key):
        ref.local_dir(tmp_path / "cache")
    assert contents(tmp_path / "cache") == {f".{ref.manifest().content_sha256}.lock": b""}


def test_missing_object_is_named(store: Store, files: Path, tmp_path: Path) -> None:
    objects = attempt(store).put_dir(files)
    ref = commit(store, objects)
    store.delete(objects[0].key)
    with pytest.raises(IntegrityError, match=objects[0].key):
        ref.local_dir(tmp_path / "cache")


def test_manifest_other_than_the_referenced_one_is_refused(store: Store, files: Path) -> None:
    ref = commit(store, attempt(store).put_dir(files))
    with pytest.raises(IntegrityError, match="the reference names 000000000000"):
        ArtifactRef(store, ref.path, "0" * 64).manifest()


def test_object_name_cannot_leave_the_cache(local_store: Store, tmp_path: Path) -> None:
    local_store.write("x", b"evil")
    evil = ObjectRef(name="../../evil", key="x", bytes=4, sha256="00")
    with pytest.raises(IntegrityError, match="leaves its directory"):
        commit(local_store, [evil]).local_dir(tmp_path / "cache")
    assert not (tmp_path / "evil").exists()


def test_writing_through_a_local_copy_leaves_the_store_intact(
    local_store: Store, files: Path, tmp_path: Path
) -> None:
    ref = commit(local_store, attempt(local_store).put_dir(files))
    copy = ref.local_dir(tmp_path / "one") / "sub" / "card.json"
    assert not copy.stat().st_mode & 0o222
    copy.chmod(0o644)
    copy.write_text("changed")
    assert contents(ref.local_dir(tmp_path / "two")) == contents(files)


def test_concurrent_local_dirs_agree_and_leave_no_debris(
    store: Store, files: Path, tmp_path: Path
) -> None:
    ref = commit(store, attempt(store).put_dir(files))
    cache = tmp_path / "cache"
    dead = cache / f".{ref.manifest().content_sha256}-dead"
    dead.mkdir(parents=True)
    with ThreadPoolExecutor(6) as pool:
        folders = set(pool.map(lambda _: ref.local_dir(cache), range(6)))
    assert len(folders) == 1
    assert contents(folders.pop()) == contents(files)
    assert [entry.name for entry in cache.iterdir() if entry.is_dir()] == [
        ref.manifest().content_sha256
    ]


def test_default_cache_follows_the_xdg_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_dir() == Path("/somewhere/tinysql")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == Path.home() / ".cache" / "tinysql"


def test_first_receipt_counts_and_is_returned_to_the_second(store: Store, files: Path) -> None:
    first, second = attempt(store), attempt(store, "a0002-bbbb")
    mine = first.commit_shard("train-0", first.put_dir(files), {"rows": 3}, Usage(gpu_seconds=2.0))
    theirs = second.commit_shard("train-0", second.put_dir(files), {"rows": 4})
    assert theirs == mine
    assert second.receipt("train-0") == mine
    assert mine.usage.gpu_seconds == 2.0


def test_receipt_is_the_same_now_and_when_it_is_read_again(local_store: Store) -> None:
    """Down to the order of its numbers, which may end up in a file."""
    made = attempt(local_store).commit_shard("s", [], {"b": {"2": 1, "1": 2}, "a": 0})
    again = attempt(local_store).receipt("s")
    assert again is not None
    assert json.dumps(made.metrics) == json.dumps(again.metrics)


def test_shard_without_receipt_has_none(store: Store) -> None:
    assert attempt(store).receipt("train-0") is None


def test_shard_name_with_a_slash_raises(local_store: Store) -> None:
    with pytest.raises(ValueError, match="shard name"):
        attempt(local_store).receipt("a/../b")


def test_damaged_receipt_is_refused(local_store: Store) -> None:
    key = f"{PATH}/receipts/s.json"
    local_store.write(key, json.dumps({"shard": "s"}).encode())
    with pytest.raises(IntegrityError, match=key):
        attempt(local_store).receipt("s")


def test_crash_between_object_and_receipt_leaves_the_shard_to_be_done_again(
    store: Store, files: Path, tmp_path: Path, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from cluster.artifact import Attempt
from cluster.store import open_store
attempt = Attempt(open_store(sys.argv[1]), sys.argv[2], "a0001-dead")
attempt.commit_shard("s0", attempt.put_dir(Path(sys.argv[3])), {})
attempt.put_dir(Path(sys.argv[3]))
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = spawn(code, store.uri, PATH, str(files))
    assert process.wait(60) == -signal.SIGKILL
    again = attempt(store, "a0002-bbbb")
    done = again.receipt("s0")
    assert done is not None
    assert done.attempt == "a0001-dead"
    assert again.receipt("s1") is None
    os.rename(files / "train-00000.parquet", files / "train-00001.parquet")
    (files / "sub" / "card.json").unlink()
    redone = again.commit_shard("s1", again.put_dir(files), {})
    ref = commit(store, [*done.objects, *redone.objects])
    assert sorted(contents(ref.local_dir(tmp_path / "cache"))) == [
        "sub/card.json",
        "train-00000.parquet",
        "train-00001.parquet",
    ]
