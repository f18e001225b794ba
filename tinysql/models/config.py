"""The dimensions of a model that is made from scratch."""

from typing import Self

from pydantic import Field, JsonValue, model_validator

from tinysql.config import Config

_SOUND_TYPES = ("llama", "gpt_neo", "qwen3")


class ArchitectureConfig(Config):
    """Dimensions of a model made from scratch."""

    type: str = "llama"
    """What transformers calls the architecture: llama (rotary positions, RMS norm, gated MLP),
    qwen3 (the same with norms on queries and keys), gpt_neo (learned positions, all global), gpt2,
    qwen2, or any other causal language model whose configuration has the dimensions below."""
    num_layers: int = Field(default=4, ge=1)
    """Transformer blocks."""
    d_model: int = Field(default=128, ge=8)
    """Width of the residual stream."""
    num_heads: int = Field(default=4, ge=1)
    """Attention heads; must divide d_model."""
    d_mlp: int = Field(default=384, ge=8)
    """Width of the MLP."""
    max_tokens: int = Field(default=512, ge=16)
    """Longest sequence the model can read."""
    settings: dict[str, JsonValue] = {}
    """More fields of the architecture's configuration in transformers, such as
    num_key_value_heads; they go before what is chosen here (no dropout, one embedding for input and
    output, as many key-value heads as heads)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.d_model % self.num_heads:
            raise ValueError(
                f"num_heads {self.num_heads} does not divide d_model {self.d_model}"
            )
        if self.type not in _SOUND_TYPES or self.settings:
            # Only then: transformers, which knows them, takes seconds to load.
            from tinysql.models.architecture import transformers_config  # noqa: PLC0415

            transformers_config(self, vocab_size=64, end_token=0)
        return self
