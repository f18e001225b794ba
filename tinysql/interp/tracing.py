"""Reading and editing activations of Hugging Face models: plain tensors in, plain tensors out.

Every nnsight trace of this package lives here. nnsight patches `Tensor.backward` for the whole
process and needs its traces in a real source file, on one thread per model.

Many interventions are rows of one batch: expand the prompt to N rows and let an edit change row i
for intervention i. `position_ids` are always explicit, because GPT-Neo does not derive them from
the attention mask and is wrong under left padding without them.

Legend: batch, pos (tokens), width (of the site), vocab, kv_heads, d_head.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import nnsight
import torch
from nnsight import NNsight
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from tinysql.interp.sites import Site, SiteMap, site_map
from tinysql.models.files import load_model

Edit = Callable[[Tensor], Tensor]
"""Takes a site's activations (batch, pos, width), returns their replacement, same shape."""
KeysValues = tuple[tuple[Tensor, Tensor], ...]
"""Per layer the attention keys and values, each (batch, kv_heads, pos, d_head)."""


@dataclass(frozen=True)
class TracedModel:
    """A frozen model in evaluation mode with its sites; not safe to share between threads."""

    network: NNsight
    sites: SiteMap
    device: torch.device


@dataclass(frozen=True)
class Prompts:
    """A batch of token rows, all tensors (batch, pos)."""

    input_ids: Tensor
    attention_mask: Tensor | None
    """1 for tokens, 0 for padding; None if there is no padding."""
    position_ids: Tensor

    @classmethod
    def of(cls, input_ids: Tensor, attention_mask: Tensor | None = None) -> "Prompts":
        """Rows whose positions count from each row's first token, on whichever side padding is."""
        if attention_mask is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)
            return cls(input_ids, None, position_ids.expand_as(input_ids))
        return cls(input_ids, attention_mask, (attention_mask.cumsum(-1) - 1).clamp(min=0))

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of a model's forward pass."""
        return {
            "input_ids": self.input_ids,
            "attention_mask": self.attention_mask,
            "position_ids": self.position_ids,
        }


@dataclass(frozen=True)
class Recording:
    """What `record` saw: activations per site, last-position logits, keys and values."""

    activations: list[Tensor]
    """Per site (batch, pos, width)."""
    logits: Tensor
    """(batch, vocab)"""
    keys_values: KeysValues


@dataclass(frozen=True)
class Resumption:
    """State from which a forward pass can resume at a layer, after a shared unpadded prefix."""

    layer: int
    residual: Tensor
    """resid_pre of `layer` at the positions after the prefix, (1, pos, d_model)."""
    keys_values: KeysValues
    """Of the prefix, batch 1."""


def load_traced(directory: Path, device: str = "cpu") -> TracedModel:
    """Load a causal language model from its directory in float32 for tracing.

    Raises:
        InputError: it is no such model, or its architecture is not supported.
    """
    return trace_model(load_model(directory, device=device).model)


def trace_model(model: PreTrainedModel) -> TracedModel:
    """Wrap a model for tracing; it is put in evaluation mode and frozen."""
    sites = site_map(model.config)
    model.eval().requires_grad_(False)
    return TracedModel(NNsight(model), sites, model.device)


@torch.no_grad()
def read_sites(traced: TracedModel, prompts: Prompts, sites: Sequence[Site]) -> list[Tensor]:
    """Activations (batch, pos, width) per site; the forward pass stops after the last site."""
    with traced.network.trace(**prompts.arguments, use_cache=False) as tracer:
        found = nnsight.save({})
        for site in sorted(set(sites), key=lambda site: site.depth):
            found[site] = _read(traced, site)
        tracer.stop()
    return [found[site] for site in sites]


@torch.no_grad()
def record(traced: TracedModel, prompts: Prompts, sites: Sequence[Site]) -> Recording:
    """One whole forward pass: activations per site, last-position logits, keys and values."""
    network, cache = traced.network, DynamicCache()
    with network.trace(
        **prompts.arguments, use_cache=True, past_key_values=cache, logits_to_keep=1
    ):
        found = nnsight.save({})
        for site in sorted(set(sites), key=lambda site: site.depth):
            found[site] = _read(traced, site)
        logits = network.output.logits.save()
    layers: list[Any] = cache.layers
    keys_values = tuple((layer.keys, layer.values) for layer in layers)
    return Recording([found[site] for site in sites], logits[:, -1], keys_values)


@torch.no_grad()
def run_edited(
    traced: TracedModel,
    prompts: Prompts,
    edits: Sequence[tuple[Site, Edit]],
    *,
    resumption: Resumption | None = None,
    last_only: bool = True,
) -> Tensor:
    """Logits of a forward pass in which each edit replaces its site's activations.

    Args:
        edits: applied in the order in which the pass reaches the sites; edits of one site in the
            order given.
        resumption: with it, `prompts` holds only what follows the shared prefix (its positions
            continue the prefix's), and layers below `resumption.layer` are not computed.
        last_only: only the last position's logits, which spares most of the last MLP and of the
            unembedding; equal to the whole computation up to rounding.

    Returns:
        (batch, pos, vocab), with pos 1 if `last_only`.
    """
    network = traced.network
    ordered = sorted(edits, key=lambda pair: pair[0].depth)
    arguments = prompts.arguments | _resumed(resumption, len(prompts.input_ids))
    last_mlp = Site("mlp_out", traced.sites.num_layers - 1).depth
    narrow = last_only and all(site.depth < last_mlp for site, _ in edits)
    with network.trace(**arguments, logits_to_keep=1 if last_only else 0):
        if resumption is not None:
            residual = resumption.residual.expand(len(prompts.input_ids), -1, -1)
            for block in _get(network, traced.sites.blocks)[: resumption.layer]:
                block.skip((residual, None) if _is_tuple(traced) else residual)
        for site, edit in ordered:
            _write(traced, site, edit(_read(traced, site)))
        if narrow:
            # The residual stream broadcasts the one position; only that one is read afterwards.
            mlp = _get(_get(network, traced.sites.blocks)[-1], traced.sites.mlp)
            mlp.input = mlp.input[:, -1:]
        logits = network.output.logits.save()
    # nnsight rejects a return from inside the trace.
    return logits  # noqa: RET504


def _resumed(resumption: Resumption | None, rows: int) -> dict[str, Any]:
    if resumption is None:
        return {"use_cache": False}
    expanded = [
        (keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1))
        for keys, values in resumption.keys_values
    ]
    return {"use_cache": True, "past_key_values": DynamicCache(expanded)}


def _get(parent: Any, path: str) -> Any:
    return attrgetter(path)(parent)


def _is_tuple(traced: TracedModel) -> bool:
    return traced.sites.model_type == "gpt_neo"


def _read(traced: TracedModel, site: Site) -> Tensor:
    block = _get(traced.network, traced.sites.blocks)[site.layer]
    if site.kind == "resid_pre":
        return block.input
    if site.kind == "z":
        return _get(block, traced.sites.mixer).input[..., traced.sites.head_slice(site)]
    if site.kind == "mlp_out":
        return _get(block, traced.sites.mlp).output
    return block.output[0] if _is_tuple(traced) else block.output


def _write(traced: TracedModel, site: Site, value: Tensor) -> None:
    block = _get(traced.network, traced.sites.blocks)[site.layer]
    if site.kind == "resid_pre":
        block.input = value
    elif site.kind == "z":
        mixer = _get(block, traced.sites.mixer)
        # A slice assigned in place would also change the tensors that earlier reads returned.
        heads = mixer.input.clone()
        heads[..., traced.sites.head_slice(site)] = value
        mixer.input = heads
    elif site.kind == "mlp_out":
        _get(block, traced.sites.mlp).output = value
    elif _is_tuple(traced):
        block.output = (value, *block.output[1:])
    else:
        block.output = value
