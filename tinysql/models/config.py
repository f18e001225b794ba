"""The dimensions of a model that is made from scratch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tinysql.config import Config


class ArchitectureConfig(Config):
    """Dimensions of a model made from scratch."""

    type: Literal["llama", "gpt_neo"] = "llama"
    """Llama (rotary positions, RMS norm, gated MLP) or GPT-Neo (learned positions, all global)."""
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.d_model % self.num_heads:
            raise ValueError(
                f"num_heads {self.num_heads} does not divide d_model {self.d_model}"
            )
        return self
