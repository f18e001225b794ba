"""What a training step costs in floating point operations, and what share of a GPU that uses.

Source: Chowdhery et al. 2022, "PaLM", appendix B (model FLOPs utilization): a token costs two
operations for each weight it passes in the forward pass and four in the backward pass, and
attention 12 * layers * width * tokens of its row. Weights that are frozen have no gradient of their
own, which saves two of the six. Embeddings are looked up, and cost nothing.
"""

import re
import resource

import torch
from transformers import PreTrainedModel

_PEAK_BF16 = (
    ({"H200", "NVL"}, 835e12), ({"H200"}, 989e12),
    ({"H100", "PCIe"}, 756e12), ({"H100", "NVL"}, 835e12), ({"H100"}, 989e12),
    ({"A100"}, 312e12), ({"L40S"}, 362e12), ({"L40"}, 181e12), ({"L4"}, 121e12),
    ({"A10"}, 125e12), ({"A10G"}, 70e12),
)  # fmt: skip
"""Operations of dense bf16 matrix products per second, of the first of which a device's name has
all words, from NVIDIA's data sheets."""


def flops_per_token(model: PreTrainedModel, row_tokens: float, *, with_logits: float) -> float:
    """Operations of forward and backward pass for a token of a row that long, causality counted.

    Args:
        with_logits: share of the tokens that pass the head. Of the experts of a layer, a token
            passes those that it is sent to.
    """
    config = model.config
    looked_up = {id(weight) for weight in model.get_input_embeddings().parameters()}
    head = {id(weight) for weight in model.get_output_embeddings().parameters()}
    num_experts = getattr(config, "num_local_experts", None) or 0
    passed = trained = 0.0
    for weight in model.parameters():
        share = 1.0
        if id(weight) in head:  # also where it is the embedding: it is multiplied, too
            share = with_logits
        elif id(weight) in looked_up:
            continue
        elif num_experts and weight.ndim == 3 and weight.shape[0] == num_experts:
            share = config.num_experts_per_tok / num_experts
        if weight.dtype == torch.uint8:
            share *= 2  # weights of 4 bits
        passed += share * weight.numel()
        trained += share * weight.numel() if weight.requires_grad else 0
    attention = 12 * config.num_hidden_layers * config.hidden_size * row_tokens / 2
    return 4 * passed + 2 * trained + attention


def utilization(flops_per_second: float, device_name: str) -> float | None:
    """Share of the device's bf16 peak, from 0 to 1; None for a device that is not known here."""
    words = set(re.split(r"[ -]", device_name))
    peak = next((peak for wanted, peak in _PEAK_BF16 if wanted <= words), None)
    return None if peak is None else flops_per_second / peak


def most_memory(device: str) -> float:
    """Bytes that PyTorch held on the GPU at most, or this process in RAM."""
    if device.startswith("cuda"):
        return float(torch.cuda.max_memory_allocated(device))
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
