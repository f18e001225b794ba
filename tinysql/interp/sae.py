"""TopK sparse autoencoder: an activation as a sum of a few directions out of many.

With x of width d_in and d_sae latents (Gao et al., arXiv 2406.04093):

    pre = W_enc (x - b_dec) + b_enc        f = ReLU(TopK(pre))        x_hat = W_dec f + b_dec

Decoder directions have unit norm. Latents that have not fired for long also learn from AuxK: the
best k_aux of them reconstruct what the others left over. The decoder sums k rows per token
(`embedding_bag`) instead of multiplying by a mostly zero matrix; values and gradients are equal.

Weights and configuration are stored as SAELens 6 reads them (architecture "topk").
Legend: batch (tokens), d_in, d_sae, k.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional


class Latents(NamedTuple):
    """The active latents of each token, both (batch, k); values may be 0 but not negative."""

    values: Tensor
    indices: Tensor


class TopKSAE(nn.Module):
    """Weights in SAELens's names and shapes: W_enc (d_in, d_sae), W_dec (d_sae, d_in)."""

    def __init__(self, d_in: int, d_sae: int, k: int, generator: torch.Generator) -> None:
        super().__init__()
        self.k = k
        directions = torch.randn(d_sae, d_in, generator=generator)
        self.W_dec = nn.Parameter(functional.normalize(directions, dim=1))
        self.W_enc = nn.Parameter(self.W_dec.detach().T.clone())
        self.b_enc = nn.Parameter(torch.zeros(d_sae))
        self.b_dec = nn.Parameter(torch.zeros(d_in))

    @property
    def d_sae(self) -> int:
        return self.W_dec.shape[0]

    def pre_activations(self, x: Tensor) -> Tensor:
        """(batch, d_sae), before TopK and ReLU."""
        # b_dec within the bias: its gradient then needs no product over the whole batch.
        return torch.addmm(self.b_enc - self.b_dec @ self.W_enc, x, self.W_enc)

    def encode(self, x: Tensor) -> Latents:
        """The k most active latents of each token."""
        return top_latents(self.pre_activations(x), self.k)

    def decode(self, latents: Latents) -> Tensor:
        """The reconstruction (batch, d_in)."""
        return weighted_directions(latents, self.W_dec) + self.b_dec

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of x, for activations (batch, d_in)."""
        return self.decode(self.encode(x))

    @torch.no_grad()
    def normalize_decoder(self) -> None:
        """Scale every decoder direction back to unit norm."""
        self.W_dec.div_(self.W_dec.norm(dim=1, keepdim=True))

    @torch.no_grad()
    def remove_radial_gradient(self) -> None:
        """Drop the part of the decoder's gradient that only changes norms, before a step."""
        gradient = self.W_dec.grad
        assert gradient is not None, "call after backward"
        gradient.sub_((gradient * self.W_dec).sum(dim=1, keepdim=True) * self.W_dec)

    @torch.no_grad()
    def fold_scale(self, scale: float) -> None:
        """Turn an SAE of scale * x into the same SAE of x; decoder directions keep unit norm.

        TopK and ReLU commute with a positive factor, so only the biases change.
        """
        self.b_enc.div_(scale)
        self.b_dec.div_(scale)


def top_latents(pre: Tensor, k: int) -> Latents:
    """ReLU of the k largest pre-activations of each token."""
    values, indices = pre.topk(k, dim=-1, sorted=False)
    return Latents(values.relu(), indices)


def weighted_directions(latents: Latents, directions: Tensor) -> Tensor:
    """The sum (batch, d_in) of the latents' directions, weighted by their values."""
    return functional.embedding_bag(
        latents.indices, directions, per_sample_weights=latents.values, mode="sum"
    )


def auxk_loss(sae: TopKSAE, pre: Tensor, error: Tensor, dead: Tensor, k_aux: int) -> Tensor:
    """How badly the dead latents reconstruct what the live ones left over; a scalar.

    Normalized so that predicting the mean error costs 1, and scaled down while fewer than `k_aux`
    latents are dead. No gradient reaches live latents.

    Args:
        pre: pre-activations (batch, d_sae).
        error: x - x_hat (batch, d_in); treated as constant.
        dead: which latents count as dead (d_sae,), bool.
    """
    candidates = dead.nonzero().flatten()
    if len(candidates) == 0:
        return pre.new_zeros(())
    error = error.detach()
    found = top_latents(pre[:, candidates], min(k_aux, len(candidates)))
    predicted = weighted_directions(
        Latents(found.values, candidates[found.indices]), sae.W_dec
    )
    variance = (error - error.mean(dim=0)).square().sum()
    loss = (error - predicted).square().sum() / variance
    return torch.nan_to_num(loss) * min(len(candidates) / k_aux, 1.0)


def save_sae(sae: TopKSAE, directory: Path, metadata: dict[str, Any]) -> None:
    """Write cfg.json and sae_weights.safetensors as SAELens does for its TopK SAE."""
    weights = {name: value.detach().cpu().contiguous() for name, value in sae.state_dict().items()}
    save_file(weights, directory / "sae_weights.safetensors")
    config = {
        "architecture": "topk",
        "d_in": sae.W_dec.shape[1],
        "d_sae": sae.d_sae,
        "k": sae.k,
        "rescale_acts_by_decoder_norm": False,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": metadata,
    }
    (directory / "cfg.json").write_text(json.dumps(config, indent=2) + "\n")


def load_sae(directory: Path) -> TopKSAE:
    """The SAE that `save_sae` wrote."""
    config = json.loads((directory / "cfg.json").read_text())
    sae = TopKSAE(config["d_in"], config["d_sae"], config["k"], torch.Generator())
    sae.load_state_dict(load_file(directory / "sae_weights.safetensors"))
    return sae
