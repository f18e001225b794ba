"""Runs steps and says what came of it: a plan, lines on stderr, a summary as JSON on stdout."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from cluster.errors import UserError
from cluster.graph import Planned, Result, plan, run_steps
from cluster.manifest import Manifest, capture_provenance, list_manifests
from cluster.steps import Step
from cluster.store import Store, find_store, open_store
from jobs.console import headline, make_progress, plan_table, result_line, stderr_console


@dataclass(frozen=True)
class Options:
    """Where steps run and what is said of it."""

    store: str
    address: str | None
    dry_run: bool
    as_json: bool


Runner = Callable[[Options, Sequence[Step], Console], Iterator[Result]]
"""Runs steps and all they need, yielding each as it is there."""


def run_on_ray(
    options: Options, targets: Sequence[Step], console: Console
) -> Iterator[Result]:
    """Run the steps on the Ray cluster of the options, or one of this machine."""
    store = open_store(options.store)
    # Only now: connecting takes seconds, and a run that reuses everything needs no Ray.
    from cluster.connect import connect, num_nodes  # noqa: PLC0415

    connect(options.address)
    if store.is_directory and not options.store.startswith("file://") and num_nodes() > 1:
        raise UserError(
            f"store {options.store!r} is a directory of this machine and the cluster has "
            f"{num_nodes()} nodes: use s3://bucket/prefix, or file:///path if all nodes share it"
        )
    if store.is_directory and "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ and (
        store.uri.startswith(os.getcwd())
    ):
        console.print(
            f"warning: store {store.uri} is in the job's working directory, which Ray deletes "
            "later; give --store an absolute path or s3://bucket/prefix",
            highlight=False,
        )
    yield from _run(store, targets, console)


def run_in_process(
    options: Options, targets: Sequence[Step], console: Console
) -> Iterator[Result]:
    """Run steps that need no Ray in this process."""
    yield from _run(open_store(options.store), targets, console)


def run_targets(
    targets: Sequence[Step],
    options: Options,
    *,
    about: Mapping[str, str | None],
    run: Runner = run_on_ray,
    quiet: bool = False,
) -> list[Result]:
    """Run steps that are built already; prints the outcome. [] for a dry run.

    about: what the JSON says of them first. run: called where one is not committed yet. quiet:
    without the summary, since the caller has one of its own.
    """
    console = stderr_console()
    store = find_store(options.store)
    planned = plan(targets, store)
    if options.dry_run:
        _print_plan(about, options, planned, _newest(store, planned))
        return []
    finished: Iterator[Result]
    if all(entry.manifest for entry in planned):
        finished = (
            Result(entry.step, entry.manifest, reused=True) for entry in planned if entry.manifest
        )
    else:
        finished = run(options, targets, console)
    results = []
    for result in finished:
        results.append(result)
        console.print(result_line(result), highlight=False)
    if quiet:
        return results
    if all(result.reused for result in results):
        console.print("everything was reused, nothing ran", highlight=False)
    sentence = headline(results)
    if sentence:
        console.print(sentence, style="bold", markup=False, highlight=False, soft_wrap=True)
    if options.as_json:
        print(json.dumps(_summary(about, options, results)))  # noqa: T201
    return results


def _run(store: Store, targets: Sequence[Step], console: Console) -> Iterator[Result]:
    provenance = capture_provenance(
        git_commit=_git_commit(), image_digest=os.environ.get("TINYSQL_IMAGE_DIGEST")
    )
    progress = make_progress(console)
    yield from run_steps(targets, store, progress=progress, provenance=provenance)


def _git_commit() -> str | None:
    """The commit of the checkout or image this code runs from, None where nobody knows it."""
    if commit := os.environ.get("TINYSQL_COMMIT"):  # of an image, which has no git
        return commit
    checkout = Path(__file__).resolve().parent.parent
    command = ["git", "rev-parse", "--show-toplevel", "HEAD"]
    try:
        found = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    top, commit = found.stdout.split("\n")[:2]
    # An installed copy may lie inside somebody else's repository.
    return commit if Path(top) == checkout else None


def _newest(store: Store, planned: Sequence[Planned]) -> dict[str, Manifest]:
    """The artifact of each kind that was made last, where something is to be made."""
    if all(entry.manifest for entry in planned):
        return {}
    found = list_manifests(store).values()
    return {each.kind: each for each in sorted(found, key=lambda each: each.timings.finished)}


def _print_plan(
    about: Mapping[str, str | None],
    options: Options,
    planned: Sequence[Planned],
    newest: Mapping[str, Manifest],
) -> None:
    if options.as_json:
        steps = [
            {
                "name": entry.step.name,
                "kind": entry.step.kind.name,
                "identity": entry.step.identity,
                "path": entry.step.path,
                "committed": entry.manifest is not None,
                "resources": asdict(entry.step.resources),
            }
            | ({"note": note} if (note := entry.step.kind.note(entry.step.config)) else {})
            | _last_cost(None if entry.manifest else newest.get(entry.step.kind.name))
            for entry in planned
        ]
        print(json.dumps({**about, "store": options.store, "plan": steps}))  # noqa: T201
    else:
        Console().print(plan_table(planned, newest))


def _last_cost(last: Manifest | None) -> dict[str, Any]:
    if last is None:
        return {}
    took = {"cpu_seconds": last.cpu_seconds, "gpu_seconds": last.gpu_seconds}
    return {"last_one": {"seconds": last.timings.seconds, **took}}


def _summary(
    about: Mapping[str, str | None], options: Options, results: Sequence[Result]
) -> dict[str, Any]:
    return {
        **about,
        "store": options.store,
        "reused": all(result.reused for result in results),
        "steps": [
            {
                "name": result.step.name,
                "kind": result.step.kind.name,
                "identity": result.step.identity,
                "path": result.step.path,
                "content_sha256": result.manifest.content_sha256,
                "reused": result.reused,
                "seconds": result.manifest.timings.seconds,
                "metrics": result.manifest.metrics,
            }
            for result in results
        ],
    }
