"""Models from scratch: seeds decide the weights, dimensions are checked."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import PreTrainedModel

from tinysql.models.architecture import build_model
from tinysql.models.config import ArchitectureConfig

DIMENSIONS = {"num_layers": 2, "d_model": 16, "num_heads": 2, "d_mlp": 24, "max_tokens": 32}
TYPES = ["llama", "gpt_neo"]


def model_of(model_type: str, *, seed: int = 0, vocab_size: int = 300) -> PreTrainedModel:
    config = ArchitectureConfig(type=model_type, **DIMENSIONS)
    return build_model(config, vocab_size=vocab_size, end_token=7, seed=seed)


@pytest.mark.parametrize("model_type", TYPES)
def test_model_of_a_config_has_its_dimensions(model_type: str) -> None:
    model = model_of(model_type)
    config = model.config
    assert (config.num_hidden_layers, config.hidden_size) == (2, 16)
    assert (config.num_attention_heads, config.max_position_embeddings) == (2, 32)
    assert config.vocab_size == 320
    assert (config.eos_token_id, config.pad_token_id, config.bos_token_id) == (7, 7, None)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert any(24 in p.shape for p in model.parameters())
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model(torch.arange(32)[None]).logits.shape == (1, 32, 320)


@pytest.mark.parametrize("model_type", TYPES)
def test_model_in_training_mode_drops_nothing_out(model_type: str) -> None:
    model = model_of(model_type).train()
    ids = torch.arange(20)[None]
    torch.testing.assert_close(model(ids).logits, model(ids).logits, rtol=0, atol=0)


@pytest.mark.parametrize("model_type", TYPES)
def test_weights_depend_on_the_seed_alone(model_type: str) -> None:
    one = model_of(model_type).state_dict()
    torch.rand(17)
    same = model_of(model_type).state_dict()
    other = model_of(model_type, seed=1).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("vocab_size", "padded"), [(300, 320), (320, 320), (321, 384)])
def test_vocabulary_is_padded_to_a_multiple(vocab_size: int, padded: int) -> None:
    assert model_of("llama", vocab_size=vocab_size).config.vocab_size == padded


@pytest.mark.parametrize(
    "mistake",
    [
        {"type": "mamba"},
        {"num_layers": 0},
        {"d_model": 100, "num_heads": 3},
        {"max_tokens": 8},
        {"dropout": 0.1},
    ],
    ids=str,
)
def test_config_mistake_is_refused(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ArchitectureConfig(**mistake)
