"""Models from scratch: seeds decide the weights, dimensions are checked."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import PreTrainedModel

from tinysql.models.architecture import build_model
from tinysql.models.config import ArchitectureConfig

DIMENSIONS = {"num_layers": 2, "d_model": 16, "num_heads": 2, "d_mlp": 24, "max_tokens": 32}
TYPES = ["llama", "gpt_neo", "gpt2", "qwen2", "qwen3"]


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


def test_settings_are_those_of_transformers() -> None:
    settings = {"num_key_value_heads": 1, "tie_word_embeddings": False, "attention_dropout": 0.5}
    config = ArchitectureConfig(type="qwen2", **DIMENSIONS, settings=settings)
    model = build_model(config, vocab_size=300, end_token=7, seed=0)
    assert {name: getattr(model.config, name) for name in settings} == settings
    assert model.get_output_embeddings().weight is not model.get_input_embeddings().weight
    assert model(torch.arange(32)[None]).logits.shape == (1, 32, 320)


@pytest.mark.parametrize(
    ("mistake", "expected"),
    [
        ({"type": "lama"}, "type: got 'lama', expected what transformers calls"),
        ({"type": "mamba"}, "type: mamba is no stack of blocks with num_layers, d_model"),
        ({"type": "bart"}, "type: bart is no stack"),
        ({"type": "qwen2", "settings": {"rope": 1}}, "settings: got 'rope', expected a field of"),
        ({"type": "gpt2", "settings": {"n_layer": 1}}, "settings: got 'n_layer'"),
        ({"settings": {"rms_norm_eps": "small"}}, "LlamaConfig refuses the settings: "),
    ],
    ids=str,
)
def test_mistake_about_transformers_is_one_line(mistake: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ArchitectureConfig(**mistake)
    (problem,) = caught.value.errors()
    assert expected in problem["msg"]
    assert "\n" not in problem["msg"]


@pytest.mark.parametrize(
    "mistake",
    [
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
