"""How faithful an SAE is: reconstruction over held-out tokens, and the loss it costs the model.

- fvu: sum |x - x_hat|^2 / sum |x - mean|^2 over all tokens, the mean taken over all tokens too.
- l0: active latents per token. dead_fraction: latents that never fired in `eval_tokens` tokens.
- ce_recovered: (zero - spliced) / (zero - clean), next-token cross-entropy in nats with the site
  untouched, replaced by its reconstruction, and set to zero. 1 is perfect; it can be negative,
  and is None where zeroing the site costs nothing.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from tinysql.interp.activations import TextBatch
from tinysql.interp.sae import TopKSAE
from tinysql.interp.sites import Site
from tinysql.interp.tracing import Edit, TracedModel, read_sites, run_edited


@torch.no_grad()
def evaluate_sae(
    sae: TopKSAE, traced: TracedModel, site: Site, batches: Iterator[TextBatch], tokens: int
) -> dict[str, float | int | None]:
    """The metrics above over at least `tokens` tokens, or all there are."""
    moments = _Moments(sae)
    losses = torch.zeros(3, dtype=torch.float64)
    predicted = 0
    for batch in batches:
        moments.add(read_sites(traced, batch.prompts, [site])[0][batch.keep])
        edits = (_splice(sae, batch.keep), _zero(batch.keep))
        for number, edit in enumerate((None, *edits)):
            logits = run_edited(
                traced, batch.prompts, [(site, edit)] if edit else [], last_only=False
            )
            losses[number] += _cross_entropy_sum(logits, batch)
        predicted += _num_predicted(batch)
        if moments.tokens >= tokens:
            break
    clean, spliced, zero = (losses / predicted).tolist()
    return {
        **moments.metrics(),
        "ce_clean": clean,
        "ce_spliced": spliced,
        "ce_zero": zero,
        "ce_recovered": (zero - spliced) / (zero - clean) if zero != clean else None,
    }


class _Moments:
    """Running sums in float64, so that no batch's own mean enters the result."""

    def __init__(self, sae: TopKSAE) -> None:
        self.sae, self.tokens, self.active = sae, 0, 0
        self.sum = torch.zeros(sae.W_dec.shape[1], dtype=torch.float64)
        self.squares = 0.0
        self.errors = 0.0
        self.fired = torch.zeros(sae.d_sae, dtype=torch.bool)

    def add(self, x: Tensor) -> None:
        """Account for tokens (batch, d_in)."""
        latents = self.sae.encode(x)
        self.errors += (x - self.sae.decode(latents)).double().square().sum().item()
        self.squares += x.double().square().sum().item()
        self.sum += x.double().sum(dim=0).cpu()
        self.tokens += len(x)
        self.active += int((latents.values > 0).sum())
        self.fired[latents.indices[latents.values > 0].cpu()] = True

    def metrics(self) -> dict[str, float | int]:
        """Reconstruction metrics of all tokens so far."""
        variance = self.squares - (self.sum.square().sum() / self.tokens).item()
        return {
            "fvu": self.errors / variance,
            "l0": self.active / self.tokens,
            "dead_fraction": 1.0 - self.fired.double().mean().item(),
            "eval_tokens": self.tokens,
        }


def _splice(sae: TopKSAE, keep: Tensor) -> Edit:
    def edit(x: Tensor) -> Tensor:
        replaced = x.clone()
        replaced[keep] = sae(x[keep])
        return replaced

    return edit


def _zero(keep: Tensor) -> Edit:
    return lambda x: torch.where(keep[..., None], 0.0, x)


def _targets(batch: TextBatch) -> Tensor:
    """The next token of every position, -100 where there is none, (batch, pos - 1)."""
    mask = batch.prompts.attention_mask
    assert mask is not None, "text batches carry their padding"
    return batch.prompts.input_ids[:, 1:].masked_fill(mask[:, 1:] == 0, -100)


def _num_predicted(batch: TextBatch) -> int:
    return int((_targets(batch) != -100).sum())


def _cross_entropy_sum(logits: Tensor, batch: TextBatch) -> float:
    flat = logits[:, :-1].flatten(0, 1)
    return functional.cross_entropy(flat, _targets(batch).flatten(), reduction="sum").item()
