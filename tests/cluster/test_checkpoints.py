"""Only whole checkpoints count, newest first."""

import json
from pathlib import Path

import pytest

from cluster.checkpoints import (
    checkpoint_name,
    drop_unusable_snapshot,
    find_checkpoint,
    list_files,
)
from cluster.store import Store

ROOT = "model/x-0/train"


def put(store: Store, tmp_path: Path, step: int, ranks: int = 2, token: str = "a") -> str:
    """A checkpoint of two ranks, of which `ranks` finished."""
    name = checkpoint_name(step, token)
    for rank in range(ranks):
        folder = tmp_path / name / str(rank)
        folder.mkdir(parents=True)
        (folder / f"rank-{rank}.bin").write_text(f"{step} {token} {rank}")
        list_files(folder, rank, world_size=2)
        for file in folder.iterdir():
            store.upload(f"{ROOT}/{name}/{file.name}", file)
    return name


def find(store: Store, tmp_path: Path) -> tuple[str, list[str]]:
    warnings: list[str] = []
    return find_checkpoint(store, ROOT, tmp_path / "restore", warnings.append), warnings


def test_find_checkpoint_takes_the_newest(store: Store, tmp_path: Path):
    put(store, tmp_path, 2)
    newest = put(store, tmp_path, 10)
    assert find(store, tmp_path) == (newest, [])
    assert (tmp_path / "restore" / "rank-1.bin").read_text() == "10 a 1"


def test_find_checkpoint_skips_what_a_rank_did_not_finish(local_store: Store, tmp_path: Path):
    whole = put(local_store, tmp_path, 2)
    put(local_store, tmp_path, 4, ranks=1)
    found, warnings = find(local_store, tmp_path)
    assert (found, len(warnings)) == (whole, 1)
    assert "rank 1 did not finish" in warnings[0]


@pytest.mark.parametrize("name", ["rank-1.bin", "files-0.json"])
def test_find_checkpoint_skips_what_is_damaged(local_store: Store, tmp_path: Path, name: str):
    whole = put(local_store, tmp_path, 2)
    damaged = put(local_store, tmp_path, 4)
    local_store.write(f"{ROOT}/{damaged}/{name}", b"4 a")
    found, warnings = find(local_store, tmp_path)
    assert (found, len(warnings)) == (whole, 1)


def test_find_checkpoint_without_any_leaves_nothing(local_store: Store, tmp_path: Path):
    put(local_store, tmp_path, 4, ranks=1)
    assert find(local_store, tmp_path)[0] == ""
    assert not (tmp_path / "restore").exists()


@pytest.mark.parametrize(
    ("version", "text", "kept"),
    [
        ("1.0", {"validation_loss": 0.5}, True),
        ("2.0", {"validation_loss": 0.5}, False),
        ("1.0", {"validation_loss": None}, False),
        ("1.0", b'{"cut', False),
        ("1.0", b"{}", False),
    ],
)
def test_drop_unusable_snapshot(
    local_store: Store, tmp_path: Path, version: str, text: bytes | dict, kept: bool
):
    if isinstance(text, dict):
        result = {"checkpoint_dir_name": put(local_store, tmp_path, 2), "metrics": text}
        state = {"ray_version": "1.0", "checkpoint_results": [result]}
        text = json.dumps(state).encode()
    key = f"{ROOT}/checkpoint_manager_snapshot.json"
    local_store.write(key, text)
    drop_unusable_snapshot(local_store, ROOT, version)
    assert local_store.exists(key) == kept
