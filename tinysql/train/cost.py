"""What a training step costs in floating point operations, and what share of a GPU that uses.

Source: Chowdhery et al. 2022, "PaLM", appendix B (model FLOPs utilization): a token costs two
operations for each weight it passes in the forward pass and four in the backward pass, and
attention 12 * layers * width * tokens of its row. Weights that are frozen have no gradient of their
own, which saves two of the six. Embeddings are looked up, and cost nothing.
"""

from transformers import PreTrainedModel

_PEAK_BF16 = {
    "H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "A10": 125e12,
    "T4": 65e12,
}  # fmt: skip
"""Dense matrix products per second by what a device's name holds, from NVIDIA's data sheets."""


def flops_per_token(model: PreTrainedModel, row_tokens: float) -> float:
    """Operations of forward and backward pass for a token of a row that long, causality counted."""
    embeddings = {id(weight) for weight in model.get_input_embeddings().parameters()}
    head = {id(weight) for weight in model.get_output_embeddings().parameters()}
    passed = trained = 0
    for weight in model.parameters():
        # A tied head is both, and multiplied.
        if id(weight) in embeddings and id(weight) not in head:
            continue
        passed += weight.numel()
        trained += weight.numel() if weight.requires_grad else 0
    config = model.config
    attention = 12 * config.num_hidden_layers * config.hidden_size * row_tokens / 2
    return 4 * passed + 2 * trained + attention


def utilization(flops_per_second: float, device_name: str) -> float | None:
    """Share of the device's bf16 peak, from 0 to 1; None for a device that is not known here."""
    peak = next((peak for name, peak in _PEAK_BF16.items() if name in device_name), None)
    return None if peak is None else flops_per_second / peak
