"""Denoising activation patching: what a clean activation restores in a corrupted run.

For every (feature, site, head, role) of one layer, the corrupted prompt runs with the clean
activations in place of its own at all positions of that role. The metric is
logit_diff = logit[clean answer] - logit[corrupted answer] at the last position, and
effect = (mean patched - mean corrupted) / (mean clean - mean corrupted) over the pairs that have
the role: a ratio of means, since a ratio per pair explodes where clean and corrupted agree.
1 restores the clean answer, 0 changes nothing. Denoising shows sufficiency (Heimersheim and
Nanda, arXiv 2404.15255).

Three exact savings make it quick. Layers below the patched one and positions before the first
patched one are the corrupted run's, whose residual stream, keys and values are kept. A patch that
replaces equal activations, or that the last position cannot see, is not run. What is left of one
pair is rows of one batch; both prompts have equal length, so nothing is padded.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from tinysql.errors import InputError
from tinysql.interp.config import PatchingConfig, PatchKind
from tinysql.interp.pair_files import read_pairs
from tinysql.interp.sites import Site, SiteMap
from tinysql.interp.tracing import (
    Edit,
    Prompts,
    Recording,
    Resumption,
    TracedModel,
    load_traced,
    record,
    run_edited,
)

EFFECT_SCHEMA = pa.schema(
    {
        "feature": pa.string(),
        "site": pa.string(),
        "layer": pa.int32(),
        "head": pa.int32(),
        "role": pa.string(),
        "n": pa.int32(),
        "near_zero": pa.int32(),
        "clean": pa.float64(),
        "corrupted": pa.float64(),
        "patched": pa.float64(),
        "effect": pa.float64(),
    }
)
"""One row per measurement; `effect` is null where clean and corrupted means are equal."""


class PairResult(NamedTuple):
    """The logit differences of one pair: clean, corrupted, and patched by (site, head, role)."""

    feature: str
    clean: float
    corrupted: float
    patched: dict[tuple[str, int | None, str], float]


class _Patch(NamedTuple):
    """One intervention: the head of a site at the positions of a role; start is the first."""

    site: Site
    role: str
    positions: list[int]

    @property
    def start(self) -> int:
        return self.positions[0]


def patch_layer(
    out_dir: Path,
    *,
    model: Path,
    pairs: Path,
    config: PatchingConfig,
    layer: int,
    device: str = "cpu",
    batch_rows: int = 16,
) -> dict[str, Any]:
    """Write layer-XX.parquet, and summary.json for layer 0; returns the baseline per feature.

    Args:
        batch_rows: interventions per forward pass; few reuse more of the prefix and stay in the
            cache of a CPU core, some hundreds occupy a GPU.

    Raises:
        InputError: the model has no such layer.
    """
    traced = load_traced(model, device)
    if layer >= traced.sites.num_layers:
        raise InputError(
            f"layer: got {layer}, expected below {traced.sites.num_layers}; "
            "choose a layer that the model has"
        )
    results = [
        patch_pair(traced, pair, layer, config.sites, batch_rows) for pair in read_pairs(pairs)
    ]
    table = pa.Table.from_pylist(effects(results, layer, config.near_zero), EFFECT_SCHEMA)
    pq.write_table(table, out_dir / f"layer-{layer:02d}.parquet")
    summary = {"layer": layer, "features": baselines(results, config.near_zero)}
    if layer == 0:
        # Clean and corrupted runs do not depend on the layer: one shard reports them for all.
        (out_dir / "summary.json").write_text(
            json.dumps({"features": summary["features"]}, indent=2) + "\n"
        )
    return summary


def patch_pair(
    traced: TracedModel,
    pair: dict[str, Any],
    layer: int,
    kinds: Sequence[PatchKind],
    batch_rows: int,
) -> PairResult:
    """Patch one pair at one layer, every site, head and role at a time."""
    ids = torch.tensor([pair["clean_ids"], pair["corrupted_ids"]], device=traced.device)
    read = [Site("resid_pre", layer), Site("z", layer), Site("mlp_out", layer)]
    recording = record(traced, Prompts.of(ids), read)
    answers = torch.tensor(
        [pair["clean_answer_id"], pair["corrupted_answer_id"]], device=traced.device
    )
    clean, corrupted = _logit_diff(recording.logits, answers).tolist()
    activations = {site.kind: x for site, x in zip(read, recording.activations, strict=True)}
    patched: dict[tuple[str, int | None, str], float] = {}
    effective: list[_Patch] = []
    for patch in _patches(traced.sites, pair["roles"], layer, kinds, activations):
        if patch.positions:
            effective.append(patch)
        else:
            patched[patch.site.kind, patch.site.head, patch.role] = corrupted
    effective.sort(key=lambda patch: patch.start)
    for first in range(0, len(effective), batch_rows):
        batch = effective[first : first + batch_rows]
        logits = _run_batch(traced, ids[1:], recording, activations, batch)
        for patch, diff in zip(batch, _logit_diff(logits, answers).tolist(), strict=True):
            patched[patch.site.kind, patch.site.head, patch.role] = diff
    return PairResult(pair["feature"], clean, corrupted, patched)


def effects(
    results: Sequence[PairResult], layer: int, near_zero: float
) -> list[dict[str, Any]]:
    """Means over pairs and their normalized effect, one row per (feature, site, head, role)."""
    groups: dict[tuple[str, str, int | None, str], list[tuple[float, float, float]]] = {}
    for result in results:
        for (kind, head, role), value in result.patched.items():
            key = (result.feature, kind, head, role)
            groups.setdefault(key, []).append((result.clean, result.corrupted, value))
    rows = []
    for (feature, kind, head, role), values in sorted(groups.items(), key=_group_order):
        table = torch.tensor(values, dtype=torch.float64)
        clean, corrupted, patched = table.mean(dim=0).tolist()
        gap = clean - corrupted
        rows.append(
            {
                "feature": feature, "site": kind, "layer": layer, "head": head, "role": role,
                "n": len(values), "near_zero": _count_near_zero(table, near_zero),
                "clean": clean, "corrupted": corrupted, "patched": patched,
                "effect": (patched - corrupted) / gap if gap else None,
            }
        )
    return rows


def baselines(results: Sequence[PairResult], near_zero: float) -> dict[str, dict[str, Any]]:
    """Per feature: mean logit differences and the share of pairs that the model tells apart."""
    summary = {}
    for feature in dict.fromkeys(result.feature for result in results):
        values = [(r.clean, r.corrupted) for r in results if r.feature == feature]
        table = torch.tensor(values, dtype=torch.float64)
        told_apart = (table[:, 0] > 0) & (table[:, 1] < 0)
        summary[feature] = {
            "n": len(values),
            "clean": table[:, 0].mean().item(),
            "corrupted": table[:, 1].mean().item(),
            "accuracy": told_apart.double().mean().item(),
            "near_zero": _count_near_zero(table, near_zero),
        }
    return summary


def _group_order(item: tuple[tuple[str, str, int | None, str], Any]) -> tuple[Any, ...]:
    feature, kind, head, role = item[0]
    return feature, kind, -1 if head is None else head, role


def _count_near_zero(table: Tensor, near_zero: float) -> int:
    return int(((table[:, 0] - table[:, 1]).abs() < near_zero).sum())


def _logit_diff(logits: Tensor, answers: Tensor) -> Tensor:
    """(batch,) from (batch, vocab): the clean answer's logit minus the corrupted one's."""
    return logits[:, answers[0]] - logits[:, answers[1]]


def _patches(
    sites: SiteMap,
    roles: Sequence[str],
    layer: int,
    kinds: Sequence[PatchKind],
    activations: dict[str, Tensor],
) -> list[_Patch]:
    """Every patch of a layer with the positions where it changes something that matters."""
    patches = []
    last = len(roles) - 1
    for kind in kinds:
        for head in range(sites.num_heads) if kind == "z" else [None]:
            site = Site(kind, layer, head)
            value = activations[kind][..., sites.head_slice(site)]
            differs = (value[0] != value[1]).any(dim=-1)
            if layer == sites.num_layers - 1 and kind != "resid_pre":
                # After the last attention nothing moves between positions any more.
                differs[:last] = False
            changed = set(differs.nonzero().flatten().tolist())
            patches += [
                _Patch(site, role, [p for p, r in enumerate(roles) if r == role and p in changed])
                for role in dict.fromkeys(roles)
            ]
    return patches


def _run_batch(
    traced: TracedModel,
    corrupted_ids: Tensor,
    recording: Recording,
    activations: dict[str, Tensor],
    batch: Sequence[_Patch],
) -> Tensor:
    """Last-position logits (batch, vocab) of the corrupted prompt, row i under patch i.

    Only positions from the first patched one on are run.
    """
    start, layer = batch[0].start, batch[0].site.layer
    suffix = corrupted_ids[:, start:].expand(len(batch), -1)
    positions = torch.arange(start, corrupted_ids.shape[1], device=traced.device)
    edits: list[tuple[Site, Edit]] = []
    for kind in dict.fromkeys(patch.site.kind for patch in batch):
        width = traced.sites.width(Site(kind, layer))
        mask = torch.zeros(*suffix.shape, width, dtype=torch.bool)
        for row, patch in enumerate(batch):
            if patch.site.kind == kind:
                at = torch.tensor(patch.positions) - start
                mask[row, at, traced.sites.head_slice(patch.site)] = True
        clean = activations[kind][:1, start:]
        edits.append((Site(kind, layer), _replace_where(mask.to(traced.device), clean)))
    resumption = Resumption(
        layer,
        activations["resid_pre"][1:, start:],
        tuple((k[1:, :, :start], v[1:, :, :start]) for k, v in recording.keys_values),
    )
    prompts = Prompts(suffix, None, positions.expand_as(suffix))
    return run_edited(traced, prompts, edits, resumption=resumption)[:, -1]


def _replace_where(mask: Tensor, values: Tensor) -> Edit:
    return lambda x: torch.where(mask, values, x)
