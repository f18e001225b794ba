"""A DeepSpeed engine from a training configuration, and its state as files.

Weights and optimizer state are float32; the forward and backward passes run under autocast when the
precision is bf16. The Muon optimizer (K. Jordan et al., https://kellerjordan.github.io/posts/muon)
updates the matrices inside the blocks; embeddings, norms and the head go to Adam. It is DeepSpeed's
own, which keeps matrices whole under ZeRO.
"""

import io
from argparse import Namespace
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation

from tinysql.errors import InputError
from tinysql.models.files import max_tokens
from tinysql.train.config import TrainingConfig

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine

_TAG = "engine"
WHOLE_BELOW = 10_000
"""Elements of a weight that ZeRO 3 leaves whole on every rank: norms and biases."""


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
        _fuse_activations(causal)
        self.causal = causal
        self.precision = precision

    @property
    def max_tokens(self) -> int:
        """Longest sequence that the model can read, of one row or of several."""
        return max_tokens(self.causal)

    def forward(
        self,
        input_ids: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
        positions: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Weighted cross-entropy in nats, summed over all positions, a float32 scalar."""
        wanted = weights > 0
        logits = self.logits_at(input_ids, wanted, positions)
        losses = F.cross_entropy(logits, targets[wanted], reduction="none")
        return (losses * weights[wanted]).sum()

    def logits_at(
        self, input_ids: torch.Tensor, wanted: torch.Tensor, positions: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Float32 logits (positions, vocabulary) at the wanted positions of (rows, width).

        The head sees the wanted positions alone, which saves the logits of prompts; what a class
        does to logits behind its head, such as scaling them, it does. Right padding needs no
        attention mask: attention is causal, and nothing is wanted at padded positions. Neither do
        packed rows: without a mask, positions that start anew keep rows apart.
        """
        device = input_ids.device.type
        half = computed_in(self.precision, device) == "bf16"
        head = self.causal.get_output_embeddings()
        selection = head.register_forward_pre_hook(lambda _, hidden: (hidden[0][wanted],))
        try:
            with torch.autocast(device, torch.bfloat16, enabled=half):
                found = self.causal(input_ids=input_ids, position_ids=positions, use_cache=False)
        finally:
            selection.remove()
        return found.logits.float()


def _fuse_activations(model: PreTrainedModel) -> None:
    """Have one kernel compute the GELU of GPT-2 and GPT-Neo, which is written as eight."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, torch.nn.GELU("tanh"))


def make_engine(
    model: LossModel, config: TrainingConfig, *, world_size: int, universal: bool = False
) -> "DeepSpeedEngine":
    """The engine that trains `model` on this rank's share of every batch.

    Args:
        universal: whether the state to load was saved by another number of workers.

    Raises InputError when the batch does not divide over the workers, or a worker's share into
    passes.
    """
    share = config.rows_per_worker(world_size)
    import deepspeed  # noqa: PLC0415 - seconds, and of use to the ranks alone

    # On a CPU, DeepSpeed would compile a shared-memory collective at its first use, which needs a
    # compiler and hangs on segments that a killed run left behind. Without the op it uses gloo.
    deepspeed.ops.__compatible_ops__ = {}
    # Its Muon is decorated with torch.compile, which needs a compiler too, and half a minute.
    torch._dynamo.config.disable = True
    deepspeed.set_optimizer_flags = _choose_for_muon
    settings = {
        "train_batch_size": config.batch_rows,
        "train_micro_batch_size_per_gpu": config.runtime.micro_rows or share,
        "gradient_clipping": config.max_grad_norm,
        "zero_optimization": _zero(config),
        "zero_force_ds_cpu_optimizer": False,  # it would be the C++ Adam
        "optimizer": _optimizer(config),
        "checkpoint": {"load_universal": universal},
        "steps_per_print": 10**9,
    }
    engine, _, _, _ = deepspeed.initialize(
        model=model,
        model_parameters=_parameters(model, config),
        config=settings,
        lr_scheduler=lambda optimizer: LambdaLR(optimizer, config.rate_at),
        dist_init_required=False,
    )
    return engine


def end(engine: "DeepSpeedEngine") -> None:
    """Leave whole weights in the model on every rank, and no more engine."""
    whole: list[tuple[torch.nn.Parameter, torch.Tensor]] = []
    if engine.zero_optimization_stage() == 3:
        from deepspeed.runtime.zero import GatheredParameters  # noqa: PLC0415 - see make_engine

        # One at a time; they would be given up again with the context.
        for parameter in engine.module.parameters():
            with GatheredParameters(parameter):
                whole.append((parameter, parameter.data.clone()))
    engine.destroy()
    for parameter, weights in whole:
        parameter.data = weights


def save_state(engine: "DeepSpeedEngine", folder: Path) -> None:
    """Write weights that are trained, optimizer and schedule; every rank its share."""
    engine.save_checkpoint(str(folder), tag=_TAG, exclude_frozen_parameters=True)


def load_state(engine: "DeepSpeedEngine", folder: Path, *, universal: bool = False) -> None:
    """Read what `save_state` wrote.

    With TORCH_FORCE_WEIGHTS_ONLY_LOAD set, files that name other code than DeepSpeed's own records
    are refused; without, they could run it.

    Args:
        universal: whether another number of workers did; the engine was made to be told so.

    Raises InputError when a file is refused.
    """
    decays = [group["weight_decay"] for group in engine.optimizer.param_groups]
    try:
        with torch.serialization.safe_globals(_records()):
            tag = _universal(folder) if universal else _TAG
            # Not strict: frozen weights are those of the base model.
            loaded, _ = engine.load_checkpoint(str(folder), tag=tag, load_module_strict=False)
    except UnpicklingError as error:
        raise InputError(
            "the checkpoint holds more than weights and numbers, training does not write such: "
            f"delete it ({str(error).splitlines()[0]})"
        ) from error
    if loaded is None:
        raise RuntimeError(f"{folder} holds no state of a DeepSpeed engine")
    # From the universal form, ZeRO 3 gives every group what the first one has, and all the same
    # counter of steps, which each would count up.
    for group, decay in zip(engine.optimizer.param_groups, decays, strict=True):
        group["weight_decay"] = decay
    for state in engine.optimizer.state.values():
        if torch.is_tensor(state.get("step")):
            state["step"] = state["step"].clone()


def _records() -> list[Any]:
    """The classes in DeepSpeed's checkpoints that are not PyTorch's."""
    from deepspeed.runtime.fp16.loss_scaler import LossScaler  # noqa: PLC0415
    from deepspeed.runtime.zero.config import ZeroStageEnum  # noqa: PLC0415
    from deepspeed.utils.tensor_fragment import fragment_address  # noqa: PLC0415

    return [LossScaler, ZeroStageEnum, fragment_address]


def _universal(folder: Path) -> str:
    """Another tag of the checkpoint, in DeepSpeed's form for any number of workers."""
    from deepspeed.checkpoint.ds_to_universal import main as convert  # noqa: PLC0415

    tag = "universal"
    asked = Namespace(
        input_folder=str(folder / _TAG), output_folder=str(folder / tag),
        num_extract_workers=1, num_merge_workers=1, keep_temp_folder=False, strict=True,
        inject_missing_state=True,
    )  # fmt: skip
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        convert(asked)
    return tag


def _choose_for_muon(_: object, model: LossModel) -> None:
    """Marks the matrices inside the blocks. DeepSpeed goes by names, and GPT-2's embeddings have
    none of those that it knows."""
    tables = [each for each in model.modules() if isinstance(each, torch.nn.Embedding)]
    outside = {id(each.weight) for each in [*tables, model.causal.get_output_embeddings()]}
    for parameter in model.parameters():
        in_blocks = parameter.ndim >= 2 and id(parameter) not in outside
        vars(parameter).update(use_muon=in_blocks, muon_num_heads=None)


def _parameters(model: LossModel, config: TrainingConfig) -> list[Any]:
    """What is trained; norms and biases by themselves, without decay, where there is some."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not config.weight_decay or config.optimizer == "muon":  # which makes its own groups
        return trained
    matrices = [parameter for parameter in trained if parameter.ndim >= 2]
    others = [parameter for parameter in trained if parameter.ndim < 2]
    return [{"params": matrices}, {"params": others, "weight_decay": 0.0}] if others else matrices


def _zero(config: TrainingConfig) -> dict[str, Any]:
    on_host = {"device": "cpu", "pin_memory": True}
    settings: dict[str, Any] = {
        "stage": config.zero_stage, "stage3_param_persistence_threshold": WHOLE_BELOW
    }  # fmt: skip
    if config.runtime.offload != "none":
        settings["offload_optimizer"] = on_host
    if config.runtime.offload == "all":
        settings["offload_param"] = on_host
    return settings


def _optimizer(config: TrainingConfig) -> dict[str, Any]:
    # torch_adam: the C++ Adam has to be compiled on the user's machine, and resumes inexactly.
    params: dict[str, Any] = {
        "betas": [0.9, 0.95], "weight_decay": config.weight_decay, "torch_adam": True
    }  # fmt: skip
    if config.optimizer == "muon":
        rates = {"muon_lr": config.muon_lr, "adam_lr": config.lr, "momentum": 0.95}
        return {"type": "Muon", "params": {**params, **rates}}
    return {"type": "AdamW", "params": {**params, "lr": config.lr, "fused": True}}
