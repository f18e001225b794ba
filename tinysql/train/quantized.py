"""Frozen weights in 4 bits for adapters to train beside, and the plain weights that come of both.

NF4 with its constants quantized, too: Dettmers et al. 2023, "QLoRA", section 3. Every linear layer
but the head has 4 bits, as there; the layers are bitsandbytes'.
"""

from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch.nn import Linear

from tinysql.errors import InputError


def quantize(model: Any, *, device: str) -> None:
    """Put the weights of a PreTrainedModel's linear layers but the head in 4 bits, on the device.

    Raises InputError: the model has none, or bitsandbytes is not installed.
    """
    layers = _bitsandbytes().nn
    head = model.get_output_embeddings()
    chosen = [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, Linear) and layer is not head
    ]
    if not chosen:
        raise InputError(
            f"method qlora: {type(model).__name__} has no linear layers but its head: take lora"
        )
    for name, layer in chosen:
        # Computed in what it is given, so that autocast decides.
        small = layers.Linear4bit(
            layer.in_features, layer.out_features, device="meta", compute_dtype=torch.float32
        )
        small.weight = layers.Params4bit(
            layer.weight.detach(), requires_grad=False, quant_type="nf4", module=small
        )
        small.bias = layer.bias
        model.set_submodule(name, small)
    model.is_loaded_in_4bit = True  # which peft asks for
    model.to(device)  # which is when bitsandbytes quantizes


def restore_weights(model: Any) -> None:
    """Make plain layers of a PreTrainedModel's 4-bit ones, with what their adapters add."""
    bnb = _bitsandbytes()
    for name, layer in list(model.named_modules()):
        adapted: Any = layer if isinstance(layer, LoraLayer) else None
        small = layer if adapted is None else adapted.get_base_layer()
        if not isinstance(small, bnb.nn.Linear4bit) or ".base_layer" in name:
            continue
        weight = bnb.functional.dequantize_4bit(small.weight.data, small.weight.quant_state)
        if adapted is not None:
            weight = weight + adapted.get_delta_weight(adapted.active_adapters[0])
        plain = Linear(small.in_features, small.out_features, bias=False)
        plain.weight = torch.nn.Parameter(weight.float())
        plain.bias = small.bias
        model.set_submodule(name, plain)
    model.is_loaded_in_4bit = False


def _bitsandbytes() -> Any:
    try:
        import bitsandbytes  # noqa: PLC0415 - seconds, and of use to qlora alone
    except ImportError as error:
        raise InputError(
            'method qlora: bitsandbytes is not installed: pip install "tinysql-ray[qlora]"'
        ) from error
    return bitsandbytes
