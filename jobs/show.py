"""The show verb: everything known of one artifact.

    python -m jobs.show model/adamw-300x64-0123456789ab --store runs --out model
"""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from cluster.artifact import ArtifactRef
from cluster.errors import UserError
from cluster.manifest import Manifest, list_manifests
from cluster.store import Store, find_store
from jobs.entry import DEFAULT_STORE, Json, StoreUri, main, wants_json

ArtifactName = Annotated[
    str, typer.Argument(metavar="ARTIFACT", help="How its path or its identity starts.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Copy its files to this new directory, their hashes checked."),
]


def show(
    artifact: ArtifactName,
    store: StoreUri = DEFAULT_STORE,
    out: Out = None,
    json_output: Json = None,
) -> None:
    """Show the manifest of an artifact: what made it, from what, and what is in it; or take it out.

    Example: tinysql show model/adamw-300x64-0123456789ab --store runs --out model
    """
    if out is not None and out.exists():
        raise UserError(f"--out {out}: is there already, expected a new directory")
    there = find_store(store)
    path, manifest = _find(artifact, there)
    if out is not None:
        files = ArtifactRef(there, path, manifest.sha256).local_dir()
        # Those of the cache are read-only.
        shutil.copytree(files, out, copy_function=shutil.copyfile)
    if wants_json(json_output):
        print(json.dumps({"path": path, **manifest.model_dump(mode="json")}))  # noqa: T201
        return
    console = Console()
    console.print(f"[bold]{path}[/]")
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(manifest).items():
        facts.add_row(f"[dim]{name}[/]", value)
    console.print(facts)
    objects = Table("object", "rows", "size", "sha256")
    for ref in manifest.objects:
        rows = "" if ref.rows is None else str(ref.rows)
        objects.add_row(ref.name, rows, decimal(ref.bytes), ref.sha256[:12])
    console.print(objects)


def _find(artifact: str, store: Store) -> tuple[str, Manifest]:
    manifests = list_manifests(store)
    found = {
        path: manifest
        for path, manifest in manifests.items()
        if path.startswith(artifact.strip("/")) or manifest.identity.startswith(artifact)
    }
    if len(found) != 1:
        matches = ", ".join(found) or "none"
        raise UserError(
            f"artifact {artifact!r} in {store.uri}: expected one match, got {matches}; "
            "see `tinysql ls`"
        )
    return next(iter(found.items()))


def _facts(manifest: Manifest) -> dict[str, str]:
    return {
        "identity": manifest.identity,
        "content": manifest.content_sha256,
        "finished": manifest.timings.finished,
        "took": f"{manifest.timings.seconds:.1f} s, {manifest.cpu_seconds:.1f} CPU s, "
        f"{manifest.gpu_seconds:.1f} GPU s, peak {decimal(manifest.peak_memory_bytes)}",
        "attempt": manifest.attempt,
        "code": f"{manifest.code.sha256[:12]}, commit {manifest.code.git_commit or 'unknown'}",
        "parents": ", ".join(ref.path for ref in manifest.parents.values()) or "none",
        "config": json.dumps(manifest.config),
        "metrics": json.dumps(manifest.metrics),
    }


if __name__ == "__main__":
    main(show)
