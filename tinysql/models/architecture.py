"""Small causal language models built from their dimensions, with random weights."""

import torch
from transformers import (
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from tinysql.models.config import ArchitectureConfig

_VOCAB_MULTIPLE = 64
"""The embedding is padded to this many rows, which matrix kernels like."""


def build_model(
    config: ArchitectureConfig, *, vocab_size: int, end_token: int, seed: int
) -> PreTrainedModel:
    """A model with random weights, in float32; the same seed gives the same weights."""
    torch.manual_seed(seed)
    padded_vocab = -(-vocab_size // _VOCAB_MULTIPLE) * _VOCAB_MULTIPLE
    if config.type == "llama":
        return LlamaForCausalLM(_llama(config, padded_vocab, end_token))
    return GPTNeoForCausalLM(_gpt_neo(config, padded_vocab, end_token))


def _llama(config: ArchitectureConfig, vocab_size: int, end_token: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=config.d_model,
        intermediate_size=config.d_mlp,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_heads,
        max_position_embeddings=config.max_tokens,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end_token,
        pad_token_id=end_token,
    )


def _gpt_neo(config: ArchitectureConfig, vocab_size: int, end_token: int) -> GPTNeoConfig:
    return GPTNeoConfig(
        vocab_size=vocab_size,
        hidden_size=config.d_model,
        intermediate_size=config.d_mlp,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        attention_types=[[["global"], config.num_layers]],
        max_position_embeddings=config.max_tokens,
        resid_dropout=0.0,
        embed_dropout=0.0,
        attention_dropout=0.0,
        bos_token_id=None,
        eos_token_id=end_token,
        pad_token_id=end_token,
    )
