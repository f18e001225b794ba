"""Training checkpoints in the store: which files each rank wrote, and the newest that is whole.

A checkpoint is <root>/checkpoint-<step>-<token>/, filled by all ranks. Rank r adds files-<r>.json
with the world size and the SHA-256 of every file it wrote. A checkpoint counts only when the lists
of all ranks are there and every file is what its list says, so a rank that died while writing, or
a damaged object, costs one checkpoint and never a training run.
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from cluster.store import Store

_SNAPSHOT = "checkpoint_manager_snapshot.json"
_NAME = re.compile(r"checkpoint-(\d+)-\w+")
_log = logging.getLogger(__name__)


def checkpoint_name(step: int, token: str) -> str:
    """Directory name; token differs between starts of the group, so their files never mix."""
    return f"checkpoint-{step:08d}-{token}"


def list_files(folder: Path, rank: int, world_size: int) -> None:
    """Writes the rank's list of what it puts into the checkpoint, beside the files."""
    names = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    record = {
        "world_size": world_size,
        "files": {path.relative_to(folder).as_posix(): _sha256(path) for path in names},
    }
    (folder / f"files-{rank}.json").write_text(json.dumps(record, indent=1))


def find_checkpoint(store: Store, root: str, folder: Path, warn: Callable[[str], None]) -> str:
    """Name of the newest whole checkpoint, left in folder; "" and no folder when there is none."""
    newest: dict[str, tuple[int, float]] = {}
    for stored in store.list(f"{root}/"):
        name = stored.key.removeprefix(f"{root}/").split("/")[0]
        if match := _NAME.fullmatch(name):
            order = (int(match[1]), stored.modified)
            newest[name] = max(order, newest.get(name, order))
    for name in sorted(newest, key=lambda name: newest[name], reverse=True):
        damage = load_checkpoint(store, f"{root}/{name}", folder)
        if not damage:
            return name
        warn(f"{name} is not usable ({damage}), trying the one before")
    shutil.rmtree(folder, ignore_errors=True)
    return ""


def load_checkpoint(store: Store, prefix: str, folder: Path) -> str:
    """Copies the checkpoint into an emptied folder; says what is wrong with it, "" if nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    for stored in store.list(f"{prefix}/"):
        target = folder / stored.key.removeprefix(f"{prefix}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        store.download(stored.key, target)
    return _damage(folder)


def _damage(folder: Path) -> str:
    rank, world_size = 0, 1
    while rank < world_size:
        listed = folder / f"files-{rank}.json"
        try:
            record = json.loads(listed.read_text())
            world_size, files = int(record["world_size"]), dict(record["files"])
        except FileNotFoundError:
            return f"rank {rank} did not finish writing it"
        except (ValueError, KeyError, TypeError):
            return f"{listed.name} is damaged"
        for name, sha256 in files.items():
            path = folder / name
            if not path.is_file() or _sha256(path) != sha256:
                return f"{name} is missing or damaged"
        rank += 1
    return ""


def drop_unusable_snapshot(store: Store, root: str, ray_version: str) -> None:
    """Removes Ray Train's own list of checkpoints where it would stop Ray Train from starting.

    It is rewritten in place, so a kill can cut it short; and another Ray version refuses it. Only
    the clean-up of old checkpoints depends on it.
    """
    key = f"{root}/{_SNAPSHOT}"
    try:
        text = store.read(key)
    except FileNotFoundError:
        return
    try:
        state = json.loads(text)
        results = state["checkpoint_results"]
        names = [result["checkpoint_dir_name"] for result in results]
        # Numbers that JSON does not have come back as null, which cannot be compared.
        compared = not any(None in result["metrics"].values() for result in results)
        usable = state["ray_version"] == ray_version and compared
    except (ValueError, KeyError, TypeError, AttributeError):
        usable, names = False, []
    if not usable or not all(store.list(f"{root}/{name}/") for name in names):
        _log.warning("%s is not usable, dropping it", key)
        store.delete(key)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
