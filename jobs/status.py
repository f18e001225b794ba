"""The status verb: which runs there are, who makes what, what has stopped, what it all cost.

    python -m jobs.status --store s3://bucket/prefix --kubernetes
"""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from cluster.errors import UserError
from cluster.manifest import Manifest, list_manifests
from cluster.status import Unfinished, unfinished
from cluster.store import find_store
from cluster.submission import Run
from jobs.clusters import Address, Kubernetes, Namespace, find_cluster, within_reach
from jobs.entry import DEFAULT_STORE, Json, StoreUri, main, wants_json

_HOUR = 3600.0
_STYLES = {
    "working": "green", "stalled": "red", "left": "yellow",
    "waiting": "yellow", "running": "green", "succeeded": "dim", "failed": "red",
}  # fmt: skip

CpuPrice = Annotated[float, typer.Option(help="Price of an hour of one CPU core.", min=0.0)]
GpuPrice = Annotated[float, typer.Option(help="Price of an hour of one GPU.", min=0.0)]


def status(
    store: StoreUri = DEFAULT_STORE,
    cpu_price: CpuPrice = 0.0,
    gpu_price: GpuPrice = 0.0,
    address: Address = None,
    kubernetes: Kubernetes = False,
    namespace: Namespace = "tinysql",
    json_output: Json = None,
) -> None:
    """Show a cluster's runs, who works on what, what has stalled, and hours and cost of artifacts.

    Example: tinysql status --store s3://bucket/prefix --kubernetes --gpu-price 2.5
    """
    if kubernetes and address:
        raise UserError("expected one of --address http://HEAD:8265 and --kubernetes, or neither")
    runs = _runs(address, namespace) if kubernetes or address else None
    found = find_store(store)
    waiting = unfinished(found)
    costs = [
        _cost(path, manifest, cpu_price, gpu_price)
        for path, manifest in sorted(
            list_manifests(found).items(), key=lambda item: item[1].timings.finished
        )
    ]
    if wants_json(json_output):
        about = {
            "store": store,
            "runs": None if runs is None else [asdict(each) for each in runs],
            "unfinished": [asdict(each) for each in waiting],
        }
        print(json.dumps({**about, "artifacts": costs}))  # noqa: T201
        return
    console = Console()
    if runs is not None:
        console.print(_run_table(runs) if runs else "no runs")
    console.print(_unfinished_table(waiting) if waiting else "nothing is unfinished")
    console.print(_cost_table(costs))


def _runs(address: str | None, namespace: str) -> list[Run]:
    with within_reach():
        return find_cluster(address, namespace).runs()


def _run_table(runs: list[Run]) -> Table:
    table = Table("run", "state", "submitted", Column("why", overflow="fold"), title="Runs",
                  title_justify="left")  # fmt: skip
    for each in runs:
        state = f"[{_STYLES[each.state]}]{each.state}[/]"
        table.add_row(each.name, state, _minute(each.submitted), each.why)
    return table


def _minute(utc: object) -> str:
    return str(utc)[:16].replace("T", " ")


def _cost(path: str, manifest: Manifest, cpu_price: float, gpu_price: float) -> dict[str, object]:
    cpu_hours, gpu_hours = manifest.cpu_seconds / _HOUR, manifest.gpu_seconds / _HOUR
    return {
        "path": path,
        "finished": manifest.timings.finished,
        "seconds": manifest.timings.seconds,
        "cpu_hours": cpu_hours,
        "gpu_hours": gpu_hours,
        "cost": cpu_hours * cpu_price + gpu_hours * gpu_price,
    }


def _unfinished_table(waiting: list[Unfinished]) -> Table:
    table = Table(
        Column("artifact", overflow="fold"), "state", "owner", "attempt", "last beat", "shards",
        title="Unfinished", title_justify="left",
    )  # fmt: skip
    for each in waiting:
        state = f"[{_STYLES[each.state]}]{each.state}[/]"
        beat = f"{each.beat_seconds:.0f} s ago"
        table.add_row(each.path, state, each.owner, str(each.attempt), beat, str(each.shards))
    return table


def _cost_table(costs: list[dict[str, object]]) -> Table:
    table = Table(
        Column("artifact", overflow="fold"), "finished", "took", "CPU hours", "GPU hours", "cost",
        title="Finished", title_justify="left",
    )  # fmt: skip
    sums = dict.fromkeys(("cpu_hours", "gpu_hours", "cost"), 0.0)
    for each in costs:
        for name in sums:
            sums[name] += float(str(each[name]))
        took = f"{float(str(each['seconds'])):.1f} s"
        numbers = (f"{float(str(each[name])):.3f}" for name in sums)
        table.add_row(str(each["path"]), _minute(each["finished"]), took, *numbers)
    table.add_section()
    table.add_row("all", "", "", *(f"{value:.3f}" for value in sums.values()))
    return table


if __name__ == "__main__":
    main(status)
