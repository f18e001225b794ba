"""What tuning with adapters changed in each layer: the norm and singular values of W' - W.

The change of LoRA is scale * B @ A, of rank r at most (Hu et al. 2021, section 4.1). Its singular
values are those of the small matrix R_B @ R_A^T, where B = Q_B R_B and A^T = Q_A R_A: exact zeros
beyond the rank, and no matrix of the size of W. DoRA (Liu et al. 2024, equation 5) also scales the
rows of W, so its change has no low rank and is taken from the merged weights.

The effective rank is exp(H) of the singular values over their sum, H their entropy: how many
directions there are when small ones count for less (Roy and Vetterli 2007, section 2).
"""

import re
from dataclasses import dataclass
from typing import cast

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import PreTrainedModel

_ACTIVE = "default"
_NUMBER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class LayerChange:
    """The change of one weight matrix."""

    name: str
    """Of the layer, as the plain model has it."""
    layer: int | None
    """Number of the block it is in."""
    module: str
    """The last part of the name, which is the same in every block."""
    norm: float
    """Frobenius norm of the change."""
    relative_norm: float
    """The same, divided by the norm of the weight that was there."""
    effective_rank: float
    """From 1 up; 0 where nothing changed."""
    singular_values: tuple[float, ...]
    """Of the change, largest first: as many as the rank, of DoRA all."""


@torch.no_grad()
def layer_changes(adapted: PeftModel, tuned: PreTrainedModel) -> list[LayerChange]:
    """The change of every adapted layer, in the model's order.

    Args:
        adapted: the base with adapters beside its weights, not merged.
        tuned: the same with the adapters in its weights.
    """
    return [
        _change(name, layer, tuned)
        for name, layer in adapted.get_base_model().named_modules()
        if isinstance(layer, LoraLayer)
    ]


def _change(name: str, layer: LoraLayer, tuned: PreTrainedModel) -> LayerChange:
    before = cast("Tensor", layer.get_base_layer().weight)
    if layer.use_dora[_ACTIVE]:
        after = cast("Tensor", tuned.get_submodule(name).weight)
        values = torch.linalg.svdvals(after.double() - before.double())
    else:
        values = low_rank_values(
            layer.scaling[_ACTIVE] * cast("Tensor", layer.lora_B[_ACTIVE].weight),
            cast("Tensor", layer.lora_A[_ACTIVE].weight),
        )
    norm = values.square().sum().sqrt().item()
    number = _NUMBER.search(name)
    return LayerChange(
        name=name,
        layer=int(number[1]) if number else None,
        module=name.rpartition(".")[2],
        norm=norm,
        relative_norm=norm / before.double().norm().item(),
        effective_rank=effective_rank(values),
        singular_values=tuple(values.tolist()),
    )


def low_rank_values(b: Tensor, a: Tensor) -> Tensor:
    """The singular values of b @ a, float64, as many as the rank of the smaller of the two."""
    _, r_b = torch.linalg.qr(b.double())
    _, r_a = torch.linalg.qr(a.double().T)
    return torch.linalg.svdvals(r_b @ r_a.T)


def effective_rank(values: Tensor) -> float:
    """How many singular values count, those that are small for less; 0 where all are zero."""
    total = values.sum()
    if not total:
        return 0.0
    return torch.special.entr(values / total).sum().exp().item()
