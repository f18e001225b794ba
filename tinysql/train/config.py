"""What is trained and how: the base model, batches, optimizer, schedule, precision."""

import hashlib
import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tinysql.config import Config
from tinysql.errors import InputError
from tinysql.models.config import ArchitectureConfig

MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
"""What is taken of a model from elsewhere: no pickles and no code."""


class TrainingConfig(Config):
    """How a model is trained; everything here changes the weights."""

    prompt_weight: float = Field(ge=0, le=1)
    """Weight of a prompt token in the loss, where a SQL token has 1; 0 is loss on SQL only."""
    steps: int = Field(ge=1)
    """Optimizer steps."""
    batch_rows: int = Field(default=64, ge=1)
    """Rows of one step, over all workers."""
    optimizer: Literal["muon", "adamw"] = "adamw"
    """Muon for the matrices inside the blocks and Adam for the rest, or AdamW for everything."""
    lr: float = Field(gt=0)
    """Peak learning rate of AdamW, or of the Adam part beside Muon."""
    muon_lr: float = Field(default=0.02, gt=0)
    """Peak learning rate of the Muon part."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    warmup_steps: int = Field(default=100, ge=0)
    """Steps of linear rise to the peak learning rate."""
    decay_fraction: float = Field(default=0.4, ge=0, le=1)
    """Last share of the steps, over which the rate falls linearly to 2% of its peak."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm."""
    zero_stage: Literal[0, 1, 2, 3] = 0
    """DeepSpeed ZeRO stage: 1 shards the optimizer state, 2 also gradients, 3 also weights."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """Number format of matrix products, fp32 where the hardware has no bf16; weights and optimizer
    stay in fp32."""
    seed: int = Field(default=0, ge=0)
    """Seed of the order of rows and, from scratch, of the initial weights."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.optimizer == "muon" and self.zero_stage == 3:
            raise ValueError("optimizer muon works with zero_stage 0, 1 or 2, got 3")
        return self

    def rate_at(self, step: int) -> float:
        """Share of the peak learning rate in force at a step: rise, hold, fall."""
        rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
        decay_steps = self.decay_fraction * self.steps
        fall = (self.steps - step) / decay_steps if decay_steps else 1.0
        return rise * max(0.02, min(1.0, fall))


class BaseConfig(Config):
    """Which model fine-tuning starts from."""

    source: str = "scratch"
    """"scratch", a Hub model id such as "Qwen/Qwen2.5-0.5B-Instruct", or a local directory."""
    revision: str | None = None
    """Commit of the Hub model; None for any other source."""
    architecture: ArchitectureConfig = ArchitectureConfig()
    """Dimensions, from scratch only."""
    vocab_size: int = Field(default=4096, ge=300)
    """Upper bound on the tokenizer's vocabulary, from scratch only."""
    tokenizer_rows: int = Field(default=20_000, ge=1)
    """Training rows the tokenizer is made from, from scratch only."""
    training: TrainingConfig = TrainingConfig(
        prompt_weight=0.1, steps=1200, optimizer="muon", lr=2e-3
    )
    """How the model is pre-trained, from scratch only."""

    @property
    def is_local(self) -> bool:
        """Whether the source is a directory rather than a Hub id."""
        return self.source.startswith(("/", ".", "~"))

    @model_validator(mode="after")
    def _check(self) -> Self:
        from_hub = self.source != "scratch" and not self.is_local
        if from_hub and not re.fullmatch(r"[0-9a-f]{40}", self.revision or ""):
            raise ValueError(
                f"revision: got {self.revision!r}, expected the 40-digit commit of {self.source}"
            )
        if not from_hub and self.revision is not None:
            raise ValueError(f"revision: only a Hub model has one, source is {self.source!r}")
        return self


def identify_base(config: BaseConfig) -> dict[str, Any]:
    """The science of the choice: a local directory counts by its content, wherever it lies."""
    if config.source == "scratch":
        return config.model_dump(mode="json")
    if not config.is_local:
        return {"source": config.source, "revision": config.revision}
    digest = hashlib.sha256()
    for file in local_files(Path(config.source).expanduser()):
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return {"source": f"sha256:{digest.hexdigest()}"}


def local_files(folder: Path) -> list[Path]:
    """The files of a model directory; raises InputError when it is none."""
    if not (folder / "config.json").is_file():
        raise InputError(
            f"unknown model {str(folder)!r}: expected a directory with config.json and "
            'model.safetensors, a Hub id, or "scratch"'
        )
    return sorted({file for pattern in MODEL_FILES for file in folder.glob(pattern)})
