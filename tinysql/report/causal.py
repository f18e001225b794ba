"""What the page says about mechanism: activation patching heat maps and sparse autoencoders."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tinysql.interp.pair_files import read_pairs
from tinysql.report.heat import HeatMap, color_scale, heat_map
from tinysql.report.lines import sparkline
from tinysql.report.marking import Segment, clip, diff
from tinysql.report.sections import read_json, thin
from tinysql.report.svg import number, percent

SITE_TITLES = {
    "resid_pre": "Residual stream before each layer",
    "mlp_out": "MLP output",
    "z": "Attention heads (strongest role of each)",
}

NEAR_ZERO_SHARE = 1 / 3
TOLD_APART = 0.1
"""From this share near zero on, or below this share told apart, a feature carries a caution."""

SPARK_POINTS = 40

Row = Mapping[str, Any]


@dataclass(frozen=True)
class PatchMap:
    """One heat map with its color legend."""

    title: str
    chart: str
    scale: str


@dataclass(frozen=True)
class PairExample:
    """A clean and a corrupted prompt with the tokens that differ marked, and their answers."""

    clean_text: tuple[Segment, ...]
    corrupted_text: tuple[Segment, ...]
    clean_answer: str
    corrupted_answer: str


@dataclass(frozen=True)
class FeatureView:
    """The patching results of one feature.

    `facts` are the baseline over all its pairs, `caution` tells why its maps mean little, if so.
    """

    name: str
    facts: tuple[tuple[str, str], ...]
    caution: str
    maps: tuple[PatchMap, ...]
    example: PairExample | None


@dataclass(frozen=True)
class SaeView:
    """One sparse autoencoder: its size, how well it reconstructs, and its learning curve."""

    site: str
    d_sae: str
    k: str
    fvu: str
    l0: str
    dead: str
    ce_recovered: str
    curve: str


def patching_view(patching: Path, pairs: Path | None) -> tuple[FeatureView, ...]:
    """Heat maps per feature: roles x layers for streams, heads x layers for attention."""
    by_feature: dict[str, list[Row]] = {}
    for path in sorted(patching.glob("layer-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            by_feature.setdefault(row["feature"], []).append(row)
    baselines = read_json(patching / "summary.json")["features"]
    examples = _first_pairs(pairs) if pairs else {}
    return tuple(
        _feature(name, rows, baselines[name], examples.get(name))
        for name, rows in sorted(by_feature.items())
    )


def _first_pairs(pairs: Path) -> dict[str, Row]:
    first: dict[str, Row] = {}
    for row in read_pairs(pairs):
        first.setdefault(row["feature"], row)
    return first


def _feature(name: str, rows: Sequence[Row], baseline: Row, pair: Row | None) -> FeatureView:
    present = {row["site"] for row in rows}
    order = list(dict.fromkeys([*(pair["roles"] if pair else ()), *(row["role"] for row in rows)]))
    return FeatureView(
        name=name,
        facts=(
            ("pairs", f"n = {number(baseline['n'])}"),
            ("told apart", percent(baseline["accuracy"])),
            ("near zero", f"{number(baseline['near_zero'])} of {number(baseline['n'])}"),
            ("mean logit difference, clean", number(baseline["clean"])),
            ("corrupted", number(baseline["corrupted"])),
        ),
        caution=_caution(baseline),
        maps=tuple(
            _patch_map(site, [row for row in rows if row["site"] == site], order, baseline["n"])
            for site in SITE_TITLES
            if site in present
        ),
        example=_example(pair) if pair else None,
    )


def _caution(baseline: Row) -> str:
    if baseline["near_zero"] / baseline["n"] >= NEAR_ZERO_SHARE:
        return (
            "The model hardly reacts to this change, "
            "so the effects below are ratios of small numbers."
        )
    if baseline["accuracy"] < TOLD_APART:
        return (
            "The model hardly ever tells these prompts apart, "
            "so the effects below do not explain how it picks its answer."
        )
    return ""


def _patch_map(site: str, rows: Sequence[Row], role_order: Sequence[str], n: int) -> PatchMap:
    layers = sorted({row["layer"] for row in rows})
    if site == "z":
        keys: list[Any] = sorted({row["head"] for row in rows})
        names = [f"head {head}" for head in keys]
        cells = _strongest((row["head"], row) for row in rows)
    else:
        found = {row["role"] for row in rows}
        keys = [role for role in role_order if role in found]
        names = [role.replace("_", " ") for role in keys]
        cells = _strongest((row["role"], row) for row in rows)
    grid = [[cells.get((key, layer)) for layer in layers] for key in keys]
    limit = max((_size(row) for row in rows), default=0.0) or 1.0
    title = SITE_TITLES[site]
    data = HeatMap(
        rows=names,
        columns=[str(layer) for layer in layers],
        values=[[row["effect"] if row else None for row in line] for line in grid],
        tips=[[_cell_tip(row, n) if row else "" for row in line] for line in grid],
        column_title="layer",
    )
    chart = heat_map(data, label=f"{title}: effect by row and layer", limit=limit)
    return PatchMap(title, chart, color_scale(limit, title=f"Color scale of {title}"))


def _strongest(keyed: Iterable[tuple[Any, Row]]) -> dict[tuple[Any, int], Row]:
    """Per (key, layer), the row whose effect is largest in size."""
    best: dict[tuple[Any, int], Row] = {}
    for key, row in keyed:
        held = best.get((key, row["layer"]))
        if held is None or _size(row) > _size(held):
            best[key, row["layer"]] = row
    return best


def _size(row: Row) -> float:
    return abs(row["effect"] or 0.0)


def _cell_tip(row: Row, n: int) -> str:
    """The cell in words; its n only where not every pair of the feature has the role."""
    head = "" if row["head"] is None else f" head {row['head']}"
    role = row["role"].replace("_", " ")
    effect = "n/a" if row["effect"] is None else f"{row['effect']:+.3f}"
    fewer = "" if row["n"] == n else f" (n = {row['n']})"
    return f"layer {row['layer']}{head}, {role}: effect {effect}{fewer}"


def _example(pair: Row) -> PairExample:
    clean, corrupted = diff(clip(pair["clean_text"]), clip(pair["corrupted_text"]))
    return PairExample(
        clean, corrupted, clip(pair["clean_answer"], 80), clip(pair["corrupted_answer"], 80)
    )


def saes_view(directory: Path) -> tuple[SaeView, ...]:
    """One row per trained site, in name order."""
    return tuple(_sae(path.parent) for path in sorted(directory.glob("*/metrics.json")))


def _sae(directory: Path) -> SaeView:
    known = {**read_json(directory / "cfg.json"), **read_json(directory / "metrics.json")}
    log = pq.read_table(directory / "log.parquet").to_pylist()
    points, _ = thin([(float(row["step"]), row["fvu"]) for row in log], SPARK_POINTS)
    return SaeView(
        site=directory.name,
        d_sae=number(known.get("d_sae")),
        k=number(known.get("k")),
        fvu=number(known.get("fvu")),
        l0=number(known.get("l0")),
        dead=percent(known.get("dead_fraction")),
        ce_recovered=percent(known.get("ce_recovered")),
        curve=sparkline(points, label=f"FVU of {directory.name} over steps", x_title="step"),
    )
