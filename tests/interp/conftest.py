"""Tiny random models of every supported architecture, tokenizers and a small dataset."""

import sys
from pathlib import Path

import pytest
import torch
from transformers import (
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

sys.path.append(str(Path(__file__).parent))

from small_datasets import corpus, small_config, write_dataset  # noqa: E402
from small_tokenizers import word_tokenizer  # noqa: E402

ARCHITECTURES = ("gpt_neo", "llama", "qwen2", "qwen3")


def build_model(architecture: str, *, vocab_size: int = 101, num_layers: int = 3, seed: int = 0):
    """A random model whose weights are large enough for attention patterns to be far from flat."""
    torch.manual_seed(seed)
    ids = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0}
    if architecture == "gpt_neo":
        model: PreTrainedModel = GPTNeoForCausalLM(
            GPTNeoConfig(
                vocab_size=vocab_size,
                hidden_size=32,
                num_layers=num_layers,
                num_heads=4,
                intermediate_size=64,
                attention_types=[[["global"], num_layers]],
                max_position_embeddings=256,
                **ids,
            )
        )
    else:
        config_class, model_class = {
            "llama": (LlamaConfig, LlamaForCausalLM),
            "qwen2": (Qwen2Config, Qwen2ForCausalLM),
            "qwen3": (Qwen3Config, Qwen3ForCausalLM),
        }[architecture]
        # A Qwen3 has heads of 128 unless it is told.
        width = {"head_dim": 8} if architecture == "qwen3" else {}
        model = model_class(
            config_class(
                vocab_size=vocab_size,
                hidden_size=32,
                num_hidden_layers=num_layers,
                num_attention_heads=4,
                num_key_value_heads=2,
                intermediate_size=64,
                max_position_embeddings=256,
                **width,
                **ids,
            )
        )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)
    return model.eval()


@pytest.fixture(params=ARCHITECTURES, scope="session")
def model(request) -> PreTrainedModel:
    return build_model(request.param)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Rows with ORDER BY, short enough for the models below."""
    return write_dataset(tmp_path_factory.mktemp("dataset"), small_config(command_sets=[2]))


@pytest.fixture(scope="session")
def plain_dataset(tmp_path_factory):
    """Rows without any clause."""
    return write_dataset(tmp_path_factory.mktemp("plain"), small_config(command_sets=[1]))


def write_model(directory, dataset, *, architecture="gpt_neo", num_layers=2):
    """A random model with a tokenizer of the dataset's texts, in one directory."""
    tokenizer = word_tokenizer(corpus(dataset))
    tokenizer.save_pretrained(directory)
    model = build_model(architecture, vocab_size=len(tokenizer), num_layers=num_layers)
    model.save_pretrained(directory)
    return directory


@pytest.fixture(params=ARCHITECTURES, scope="session")
def model_dir(request, tmp_path_factory, dataset):
    return write_model(tmp_path_factory.mktemp("m"), dataset, architecture=request.param)
