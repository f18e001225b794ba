"""A DeepSpeed engine from a training configuration.

Weights and optimizer state are float32; the forward and backward passes run under autocast when the
precision is bf16. The Muon optimizer (K. Jordan et al., https://kellerjordan.github.io/posts/muon)
updates the matrices inside the blocks; embeddings, norms and the head go to Adam. It is DeepSpeed's
own, which keeps matrices whole under ZeRO.
"""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel

from tinysql.errors import InputError
from tinysql.train.config import TrainingConfig

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine


def computed_in(precision: str, device_type: str) -> str:
    """The number format that matrix products really have: fp32 where bf16 would be emulated.

    A CPU without bf16 instructions takes more than ten times as long in bf16 as in fp32, which is
    the more exact of the two.
    """
    if device_type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return precision if native else "fp32"


class LossModel(torch.nn.Module):
    """A causal language model whose forward pass returns what training needs."""

    def __init__(self, causal: PreTrainedModel, precision: str) -> None:
        super().__init__()
        self.causal = causal
        self.precision = precision

    def forward(
        self, input_ids: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Weighted cross-entropy in nats, summed over all positions, a float32 scalar."""
        wanted = weights > 0
        losses = F.cross_entropy(
            self.logits_at(input_ids, wanted), targets[wanted], reduction="none"
        )
        return (losses * weights[wanted]).sum()

    def logits_at(self, input_ids: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Float32 logits (positions, vocabulary) at the wanted positions of (rows, width).

        Selecting hidden states before the head saves the logits of prompts. Right padding needs no
        attention mask: attention is causal, and nothing is wanted at padded positions.
        """
        device = input_ids.device.type
        half = computed_in(self.precision, device) == "bf16"
        with torch.autocast(device, torch.bfloat16, enabled=half):
            body = self.causal.base_model
            hidden = body(input_ids=input_ids, use_cache=False).last_hidden_state
            return self.causal.get_output_embeddings()(hidden[wanted]).float()


def make_engine(
    model: LossModel, config: TrainingConfig, *, world_size: int
) -> "DeepSpeedEngine":
    """The engine that trains `model` on this rank's share of every batch.

    Raises InputError when the batch does not divide over the workers.
    """
    if config.batch_rows % world_size:
        raise InputError(
            f"batch_rows {config.batch_rows} does not divide over {world_size} workers: "
            "change one of them"
        )
    import deepspeed  # noqa: PLC0415 - seconds, and of use to the ranks alone

    # On a CPU, DeepSpeed would compile a shared-memory collective at its first use, which needs a
    # compiler and hangs on segments that a killed run left behind. Without the op it uses gloo.
    deepspeed.ops.__compatible_ops__ = {}
    # Its Muon is decorated with torch.compile, which needs a compiler too, and half a minute.
    torch._dynamo.config.disable = True
    engine, _, _, _ = deepspeed.initialize(
        model=model,
        model_parameters=[p for p in model.parameters() if p.requires_grad],
        config=_deepspeed_config(config, world_size),
        lr_scheduler=lambda optimizer: LambdaLR(optimizer, config.rate_at),
        dist_init_required=False,
    )
    return engine


def _deepspeed_config(config: TrainingConfig, world_size: int) -> dict[str, Any]:
    return {
        "train_batch_size": config.batch_rows,
        "train_micro_batch_size_per_gpu": config.batch_rows // world_size,
        "gradient_clipping": config.max_grad_norm,
        "zero_optimization": {"stage": config.zero_stage},
        "optimizer": _optimizer(config),
        "steps_per_print": 10**9,
    }


def _optimizer(config: TrainingConfig) -> dict[str, Any]:
    # torch_adam: the C++ Adam has to be compiled on the user's machine, and resumes inexactly.
    if config.optimizer == "muon":
        params = {
            "muon_lr": config.muon_lr,
            "adam_lr": config.lr,
            "momentum": 0.95,
            "betas": [0.9, 0.95],
            "weight_decay": config.weight_decay,
            "torch_adam": True,
        }
        return {"type": "Muon", "params": params}
    params = {
        "lr": config.lr,
        "betas": [0.9, 0.95],
        "weight_decay": config.weight_decay,
        "torch_adam": True,
    }
    return {"type": "AdamW", "params": params}
