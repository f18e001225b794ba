"""What is trained and how: the base model, batches, optimizer, schedule, adapters, precision."""

import hashlib
import math
import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tinysql.config import Config
from tinysql.errors import InputError
from tinysql.models.config import ArchitectureConfig
from tinysql.models.registry import hub_id, is_hub_id

MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
"""What is taken of a model from elsewhere: no pickles and no code."""
UNCHOSEN = "0" * 40
"""A commit that no repository has: stands in a recipe for one that its user has to choose."""
_LOWEST_RATE = 0.02
"""Of the peak learning rate, at the end of a schedule."""


class AdapterConfig(Config):
    """Low-rank adapters: W + scale * B @ A beside a frozen W (Hu et al. 2021, section 4.1)."""

    rank: int = Field(default=16, ge=1)
    """Rows of A and columns of B."""
    alpha: int = Field(default=32, ge=1)
    """The scale is alpha / rank, with rslora alpha / sqrt(rank)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Of what goes into A."""
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """Names of the layers that get an adapter; "all-linear" is every one but the output's."""

    @field_validator("target_modules", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if value == "all-linear" or (isinstance(value, list | tuple) and value):
            return value
        raise ValueError(f"got {value!r}, expected all-linear or a list such as [q_proj, v_proj]")


class RuntimeConfig(Config):
    """How a step of the optimizer is carried out: changes no result beyond rounding and dropout."""

    micro_rows: int | None = Field(default=None, ge=1)
    """Rows of one pass on one worker, whose gradients add up; None: the worker's whole share."""
    layout: Literal["padded", "packed"] = "padded"
    """A sequence per row, padded to the longest; or rows end to end, each with its own positions
    and attention."""
    pack_tokens: int = Field(default=512, ge=16)
    """Tokens of a packed sequence; a longer row has one of its own."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass instead of kept."""
    offload: Literal["none", "optimizer", "all"] = "none"
    """What lives in the memory of the host beside a GPU: with zero_stage 1 and up the optimizer,
    with 3 also the weights."""


class TrainingConfig(Config):
    """How a model is trained, and what is found out on the way; `runtime` changes neither."""

    prompt_weight: float = Field(ge=0, le=1)
    """Weight of a prompt token in the loss, where a SQL token has 1; 0 is loss on SQL only."""
    prompt_share: float = Field(default=1.0, gt=0, le=1)
    """Share of the prompt tokens, drawn anew in every step, that have a loss, and as much more of
    it; saves the logits of the others."""
    steps: int = Field(ge=1)
    """Optimizer steps."""
    batch_rows: int = Field(default=64, ge=1)
    """Rows of one step, over all workers."""
    method: Literal["full", "lora", "rslora", "dora", "qlora"] = "full"
    """All weights, or adapters beside frozen ones: LoRA, with the scale of rsLoRA (Kalajdzievski
    2023), with DoRA's separate length of columns (Liu et al. 2024), or with the frozen ones in 4
    bits, on a GPU (QLoRA, Dettmers et al. 2023)."""
    adapter: AdapterConfig = AdapterConfig()
    """The adapters, where the method has some."""
    optimizer: Literal["muon", "adamw"] = "adamw"
    """Muon for the matrices inside the blocks and Adam for the rest, or AdamW for everything."""
    lr: float = Field(gt=0)
    """Peak learning rate of AdamW, or of the Adam part beside Muon."""
    muon_lr: float = Field(default=0.02, gt=0)
    """Peak learning rate of the Muon part."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    warmup_steps: int = Field(default=100, ge=0)
    """Steps of linear rise to the peak learning rate; at most a quarter of all."""
    schedule: Literal["wsd", "cosine", "linear", "constant"] = "wsd"
    """After the rise: hold and then fall (warm-up, stable, decay), or fall all the way along half a
    cosine or a line; each to 2% of the peak."""
    decay_fraction: float = Field(default=0.4, ge=0, le=1)
    """Of wsd: last share of the steps, over which the rate falls."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm."""
    zero_stage: Literal[0, 1, 2, 3] = 0
    """DeepSpeed ZeRO stage: 1 shards the optimizer state, 2 also gradients, 3 also weights."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """Number format of matrix products, fp32 where the hardware has no bf16; weights and optimizer
    stay in fp32."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the order of rows and, from scratch, of the initial weights."""
    validation_rows: int = Field(default=1000, ge=1)
    """Validation rows, from the first, on which every milestone tries the model."""
    execution_rows: int = Field(default=0, ge=0)
    """Of these, from the first, rows whose answers are decoded and run."""
    runtime: RuntimeConfig = RuntimeConfig()
    """How it is carried out, which is no part of the model's identity."""

    @property
    def has_adapters(self) -> bool:
        """Whether the weights of the base model are frozen."""
        return self.method != "full"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.optimizer == "muon" and self.zero_stage == 3:
            raise ValueError("optimizer muon works with zero_stage 0, 1 or 2, got 3")
        if self.optimizer == "muon" and self.has_adapters:
            raise ValueError(f"optimizer muon is for method full, got {self.method}: take adamw")
        if self.prompt_share < 1 and self.prompt_weight == 1:
            raise ValueError(
                f"prompt_share {self.prompt_share} goes with a prompt_weight under 1, got 1"
            )
        if self.method == "qlora" and self.zero_stage == 3:
            raise ValueError("method qlora works with zero_stage 0, 1 or 2, got 3")
        if self.execution_rows > self.validation_rows:
            raise ValueError(
                f"execution_rows {self.execution_rows} are more than validation_rows "
                f"{self.validation_rows}: lower one or raise the other"
            )
        if self.execution_rows and self.zero_stage == 3:
            raise ValueError("execution_rows needs whole weights: zero_stage 0, 1 or 2, got 3")
        needed = {"none": 0, "optimizer": 1, "all": 3}[self.runtime.offload]
        if self.zero_stage < needed:
            raise ValueError(
                f"runtime.offload {self.runtime.offload} needs zero_stage {needed} or more, "
                f"got {self.zero_stage}"
            )
        return self

    @property
    def shared_rows(self) -> int:
        """What workers share evenly: the rows of a step, or passes where their rows are set."""
        return self.batch_rows // (self.runtime.micro_rows or 1)

    def rows_per_worker(self, workers: int) -> int:
        """Rows of a step on each of so many workers.

        Raises InputError when the batch does not divide over them, or their share into passes.
        """
        share, rest = divmod(self.batch_rows, workers)
        if rest:
            raise InputError(
                f"batch_rows {self.batch_rows} does not divide over {workers} workers: "
                "change one of them"
            )
        if share % (self.runtime.micro_rows or share):
            raise InputError(
                f"runtime.micro_rows {self.runtime.micro_rows} does not divide the {share} rows of "
                "a worker: change one of them"
            )
        return share

    @property
    def _rising_steps(self) -> int:
        return min(self.warmup_steps, self.steps // 4)

    def rate_at(self, step: int) -> float:
        """Share of the peak learning rate in force at a step."""
        rise = min(1.0, (step + 1) / max(1, self._rising_steps))
        return rise * max(_LOWEST_RATE, self._fallen(step))

    def _fallen(self, step: int) -> float:
        """Share of the peak from 1 down to 0, without the rise."""
        left = (self.steps - step) / max(1, self.steps - self._rising_steps)
        if self.schedule == "wsd":
            decay_steps = self.decay_fraction * self.steps
            left = (self.steps - step) / decay_steps if decay_steps else 1.0
        left = min(1.0, max(0.0, left))
        if self.schedule == "cosine":
            return (1 - math.cos(math.pi * left)) / 2
        return 1.0 if self.schedule == "constant" else left


class AdapterStudyConfig(Config):
    """On how much text a model with adapters is compared with its base."""

    rows: int | None = Field(default=500, ge=1)
    """Validation rows, from the first, whose loss is measured; None means all."""
    checked_rows: int = Field(default=8, ge=1)
    """Of these, from the first, rows whose logits are compared."""
    seed: int = Field(default=0, ge=0)
    """Seed of the bootstrap."""


def identify_training(config: TrainingConfig) -> dict[str, Any]:
    """What decides the weights: not how a step is carried out, nor adapters that are not there."""
    left_out = {"runtime"} if config.has_adapters else {"runtime", "adapter"}
    return config.model_dump(mode="json", exclude=left_out)


class BaseConfig(Config):
    """Which model fine-tuning starts from."""

    source: str = "scratch"
    """"scratch", a short name such as "bm2" (see tinysql/models/registry.py) or a Hub id such as
    "Qwen/Qwen2.5-0.5B-Instruct", a local directory, or s3://bucket/prefix."""
    revision: str | None = None
    """Commit of the Hub model, or forty zeros for one that is yet to be chosen; None for any other
    source."""
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
    def is_from_hub(self) -> bool:
        """Whether the source is a Hub id rather than files or nothing."""
        return is_hub_id(self.source)

    @property
    def is_in_bucket(self) -> bool:
        """Whether the source is a prefix of an S3 bucket."""
        return self.source.startswith("s3://")

    @field_validator("source")
    @classmethod
    def _resolve(cls, source: str) -> str:
        """One model has one name, and so one identity."""
        return hub_id(source)

    @model_validator(mode="after")
    def _check(self) -> Self:
        is_path = self.source.startswith(("/", ".", "~"))
        if not (self.source == "scratch" or self.is_from_hub or self.is_in_bucket or is_path):
            raise ValueError(
                f"source: got {self.source!r}, expected a name that `tinysql models ls` shows, a "
                "Hub id such as Qwen/Qwen2.5-0.5B-Instruct, a directory such as ./model, "
                's3://bucket/prefix, or "scratch"'
            )
        if self.is_from_hub and not re.fullmatch(r"[0-9a-f]{40}", self.revision or ""):
            raise ValueError(
                f"revision: got {self.revision!r}, expected the 40-digit commit of {self.source}, "
                f"which `tinysql models pull {self.source}` prints"
            )
        if not self.is_from_hub and self.revision is not None:
            raise ValueError(f"revision: only a Hub model has one, source is {self.source!r}")
        if self.training.has_adapters:
            raise ValueError("training.method: a model from scratch has no weights to freeze")
        return self


def identify_base(config: BaseConfig) -> dict[str, Any]:
    """The science of the choice: a local directory counts by its content, wherever it lies."""
    if config.source == "scratch":
        training = identify_training(config.training)
        return {**config.model_dump(mode="json"), "training": training}
    if config.is_from_hub:
        return {"source": config.source, "revision": config.revision}
    digest = hashlib.sha256()
    for file in local_files(Path(config.source).expanduser()):
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").digest()
        digest.update(file.name.encode() + b"\0" + content)
    return {"source": f"sha256:{digest.hexdigest()}"}


def local_files(folder: Path) -> list[Path]:
    """The files of a model directory; raises InputError when it is none."""
    if not (folder / "config.json").is_file():
        raise InputError(
            f"unknown model {str(folder)!r}: expected a directory with config.json and "
            'model.safetensors, a Hub id, or "scratch"'
        )
    return sorted({file for pattern in MODEL_FILES for file in folder.glob(pattern)})
