"""Small causal language models built from their dimensions, with random weights."""

from dataclasses import fields
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from tinysql.errors import InputError
from tinysql.models.config import ArchitectureConfig

_VOCAB_MULTIPLE = 64
"""The embedding is padded to this many rows, which matrix kernels like."""
_DIMENSIONS = {
    "num_layers": ("num_hidden_layers",),
    "d_model": ("hidden_size",),
    "num_heads": ("num_attention_heads",),
    "d_mlp": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "max_tokens": ("max_position_embeddings",),
}
"""What transformers calls our dimensions: its common names, and where it has none, each that is in
use. The configurations translate common names by their attribute_map."""
_DROPOUT = ("dropout", "pdrop", "layerdrop")
"""How the fields that drop something out end."""


def build_model(
    config: ArchitectureConfig, *, vocab_size: int, end_token: int, seed: int
) -> PreTrainedModel:
    """A model with random weights, in float32; the same seed gives the same weights."""
    padded_vocab = -(-vocab_size // _VOCAB_MULTIPLE) * _VOCAB_MULTIPLE
    known = transformers_config(config, vocab_size=padded_vocab, end_token=end_token)
    torch.manual_seed(seed)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(
        known, dtype=torch.float32, trust_remote_code=False
    )
    return model


def transformers_config(
    config: ArchitectureConfig, *, vocab_size: int, end_token: int
) -> PreTrainedConfig:
    """The configuration that transformers makes the model from.

    Raises InputError when transformers knows no such causal model or settings, or refuses them.
    """
    if config.type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise InputError(
            f"type: got {config.type!r}, expected what transformers calls a causal language model, "
            "such as llama, gpt_neo, gpt2 or qwen2"
        )
    kind = CONFIG_MAPPING[config.type]
    defaults = {field.name: field.default for field in fields(kind)}
    dimensions = _dimensions(config, kind, defaults)
    unknown = sorted(set(config.settings) - (set(defaults) - set(dimensions)))
    if unknown:
        raise InputError(
            f"settings: got {unknown[0]!r}, expected a field of transformers.{kind.__name__} that "
            f"is none of the dimensions {', '.join(_DIMENSIONS)}"
        )
    chosen = {
        name: value
        for name, value in _choices(config, vocab_size, end_token).items()
        if name in defaults
    }
    no_dropout = {
        name: 0.0
        for name, default in defaults.items()
        if name.endswith(_DROPOUT) and isinstance(default, float)
    }
    try:
        return kind(**no_dropout | chosen | dimensions | config.settings)
    except (TypeError, ValueError, KeyError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"transformers.{kind.__name__} refuses the settings: {reason}") from error


def _dimensions(
    config: ArchitectureConfig, kind: type[PreTrainedConfig], defaults: dict[str, Any]
) -> dict[str, int]:
    """Our dimensions by the names that this architecture has for them."""
    found = {}
    for ours, common_names in _DIMENSIONS.items():
        names = [kind.attribute_map.get(name, name) for name in common_names]
        name = next((name for name in names if name in defaults), None)
        if name is None or defaults.get("is_encoder_decoder"):
            raise InputError(
                f"type: {config.type} is no stack of blocks with {', '.join(_DIMENSIONS)}; take "
                "another, such as llama, gpt_neo, gpt2 or qwen2"
            )
        found[name] = getattr(config, ours)
    return found


def _choices(config: ArchitectureConfig, vocab_size: int, end_token: int) -> dict[str, Any]:
    """What we choose of an architecture where it leaves a choice."""
    choices: dict[str, Any] = {
        "vocab_size": vocab_size,
        "num_key_value_heads": config.num_heads,
        "head_dim": config.d_model // config.num_heads,
        "is_decoder": True,  # some are bidirectional without it
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": end_token,
        "pad_token_id": end_token,
    }
    if config.type == "gpt_neo":
        choices["attention_types"] = [[["global"], config.num_layers]]
    return choices
