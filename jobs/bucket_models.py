"""Models in a bucket, as directories of this machine: what follows treats them like any other."""

import shutil
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

from cluster.artifact import default_cache_dir
from cluster.errors import UserError
from cluster.store import find_store
from tinysql.train.config import MODEL_FILES


def local_copy(uri: str) -> Path:
    """A directory with the model files right below s3://bucket/prefix, fetched when they change.

    Raises UserError when the bucket is out of reach, or is written to meanwhile.
    """
    store = find_store(uri)

    def listed() -> dict[str, tuple[int, float]]:
        return {
            one.key: (one.bytes, one.modified)
            for one in store.list("")
            if "/" not in one.key and any(fnmatch(one.key, name) for name in MODEL_FILES)
        }

    files = listed()
    # Content cannot be listed: like make, this trusts sizes and times.
    target = default_cache_dir() / "models" / sha256(repr((uri, files)).encode()).hexdigest()
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name in files:
            store.download(name, partial / name)
        if listed() != files:
            raise FileNotFoundError("what was listed is not there any more")
        partial.rename(target)
    except FileNotFoundError as error:
        raise UserError(f"base.source {uri!r} changed while it was read: run again") from error
    except OSError:
        if not target.is_dir():  # else another process was faster
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target
