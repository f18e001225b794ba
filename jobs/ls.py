"""The ls verb: every committed artifact of a store.

    python -m jobs.ls --store runs
"""

import json

from rich.console import Console
from rich.filesize import decimal
from rich.table import Column, Table

from cluster.manifest import list_manifests
from cluster.store import find_store
from jobs.entry import DEFAULT_STORE, Json, StoreUri, main, wants_json


def ls(store: StoreUri = DEFAULT_STORE, json_output: Json = None) -> None:
    """List the committed artifacts of a store, oldest first.

    Example: tinysql ls --store s3://bucket/prefix
    """
    found = sorted(
        list_manifests(find_store(store)).items(), key=lambda item: item[1].timings.finished
    )
    if wants_json(json_output):
        artifacts = [
            {
                "path": path,
                "identity": manifest.identity,
                "content_sha256": manifest.content_sha256,
                "bytes": sum(ref.bytes for ref in manifest.objects),
                "finished": manifest.timings.finished,
                "metrics": manifest.metrics,
            }
            for path, manifest in found
        ]
        print(json.dumps({"store": store, "artifacts": artifacts}))  # noqa: T201
        return
    table = Table(Column("artifact", overflow="fold"), "finished", "took", "size", "content")
    for path, manifest in found:
        size = decimal(sum(ref.bytes for ref in manifest.objects))
        seconds = f"{manifest.timings.seconds:.1f} s"
        finished = manifest.timings.finished[:19]
        table.add_row(path, finished, seconds, size, manifest.content_sha256[:12])
    Console().print(table)


if __name__ == "__main__":
    main(ls)
