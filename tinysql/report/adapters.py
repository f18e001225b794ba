"""What the page says about adapters: sizes, changes by layer, algebra and what was forgotten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tinysql.report.heat import HeatMap, heat_map
from tinysql.report.lines import Series, line_chart
from tinysql.report.sections import read_json
from tinysql.report.svg import number, percent, size

_STYLES = ("blue", "orange", "gray")
"""Of the lines of singular values: the layers that changed most, in this order."""
_MOST_VALUES = 64
_MODULE_CHARS = 7
_PARTS = {"prompt": "question and schema", "sql": "SQL", "all": "whole row"}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class SizeRow:
    """One thing that adapters make smaller."""

    what: str
    adapters: str
    everything: str
    share: str


@dataclass(frozen=True)
class CheckRow:
    """Two ways to one model, and how far apart their logits are."""

    left: str
    right: str
    difference: str
    outcome: str


@dataclass(frozen=True)
class LossRow:
    """The loss of base and tuned model on one part of the held-out rows."""

    part: str
    tokens: str
    base: str
    tuned: str
    difference: str
    interval: str
    outcome: str


@dataclass(frozen=True)
class AdaptersView:
    """A study of adapters as the page shows it."""

    facts: tuple[tuple[str, str], ...]
    sizes: tuple[SizeRow, ...]
    changes_map: str
    largest_change: str
    values_chart: str
    checked_rows: str
    checks: tuple[CheckRow, ...]
    loss_rows: str
    losses: tuple[LossRow, ...]


def adapters_view(study: Path, steps: Sequence[Row]) -> AdaptersView:
    """What the study found.

    Args:
        study: directory of the artifact.
        steps: those of the run; the one named "model" tells the peak of its memory.
    """
    found = read_json(study / "study.json")
    layers = pq.read_table(study / "layers.parquet").to_pylist()
    return AdaptersView(
        facts=_facts(found["adapter"], layers, steps),
        sizes=_sizes(found["parameters"], found["bytes"]),
        changes_map=_changes_map(layers),
        largest_change=percent(max(layer["relative_norm"] for layer in layers)),
        values_chart=_values_chart(layers),
        checked_rows=number(found["checked_rows"]),
        checks=tuple(map(_check, found["checks"])),
        loss_rows=number(found["losses"]["rows"]),
        losses=tuple(_loss(found["losses"][part], title) for part, title in _PARTS.items()),
    )


def _facts(
    adapter: Row, layers: Sequence[Row], steps: Sequence[Row]
) -> tuple[tuple[str, str], ...]:
    facts = [
        ("method", adapter["method"]),
        ("rank", number(adapter["rank"])),
        ("alpha", number(adapter["alpha"])),
        ("adapted layers", number(len(layers))),
    ]
    peaks = [step["peak_memory_bytes"] for step in steps if step["name"] == "model"]
    facts += [("peak memory of a training process", size(peak)) for peak in peaks]
    return tuple(facts)


def _sizes(parameters: Row, sizes: Row) -> tuple[SizeRow, ...]:
    trained, total = parameters["trained"], parameters["total"]
    rows = [SizeRow("parameters", number(trained), number(total), percent(trained / total))]
    for what, small, whole in (
        ("file to keep for each task", "adapter", "model"),
        ("state of the optimizer", "optimizer", "optimizer_full"),
        ("weights, gradients and optimizer in training", "training", "training_full"),
    ):
        share = percent(sizes[small] / sizes[whole])
        rows.append(SizeRow(what, size(sizes[small]), size(sizes[whole]), share))
    return tuple(rows)


def _changes_map(layers: Sequence[Row]) -> str:
    """The change of every layer relative to its weight: modules x blocks."""
    modules = list(dict.fromkeys(layer["module"] for layer in layers))
    blocks = list(dict.fromkeys(layer["layer"] for layer in layers))
    cells = {(layer["module"], layer["layer"]): layer for layer in layers}
    grid = [[cells.get((module, block)) for block in blocks] for module in modules]
    data = HeatMap(
        rows=modules,
        columns=["-" if block is None else str(block) for block in blocks],
        values=[[cell["relative_norm"] if cell else None for cell in row] for row in grid],
        tips=[[_cell_tip(cell) if cell else "" for cell in row] for row in grid],
        column_title="layer",
    )
    limit = max(layer["relative_norm"] for layer in layers)
    return heat_map(data, label="Relative change by module and layer", limit=limit)


def _cell_tip(layer: Row) -> str:
    return (
        f"{layer['name']}: {percent(layer['relative_norm'])} of the weight's norm, "
        f"norm {number(layer['norm'])}, effective rank {number(layer['effective_rank'])}"
    )


def _values_chart(layers: Sequence[Row]) -> str:
    """Singular values of the largest changes, by their number."""
    largest = sorted(layers, key=lambda layer: -layer["relative_norm"])[: len(_STYLES)]
    series = [
        Series(
            _short_name(layer),
            style,
            [
                (float(index), value)
                for index, value in enumerate(layer["singular_values"][:_MOST_VALUES], start=1)
            ],
        )
        for layer, style in zip(largest, _STYLES, strict=False)
    ]
    label = "Singular values of the largest changes"
    return line_chart(series, label=label, x_title="number", y_title="value")


def _short_name(layer: Row) -> str:
    """As much of a layer's name as a legend has room for three times."""
    module = layer["module"].removesuffix("_proj")[:_MODULE_CHARS]
    return module if layer["layer"] is None else f"{layer['layer']}.{module}"


def _check(check: Row) -> CheckRow:
    return CheckRow(
        left=check["left"],
        right=check["right"],
        difference=f"{check['difference']:.1e}" if check["difference"] else "0",
        outcome="the same" if check["passed"] else "DIFFERENT",
    )


def _loss(loss: Row, part: str) -> LossRow:
    outcome = "not distinguishable"
    if loss["low"] > 0:
        outcome = "forgotten"
    if loss["high"] < 0:
        outcome = "improved"
    return LossRow(
        part=part,
        tokens=number(loss["tokens"]),
        base=f"{loss['base']:.3f}",
        tuned=f"{loss['tuned']:.3f}",
        difference=f"{loss['difference']:+.3f}",
        interval=f"{loss['low']:+.3f} to {loss['high']:+.3f}",
        outcome=outcome,
    )
