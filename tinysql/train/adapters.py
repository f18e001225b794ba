"""Low-rank adapters put into a model, and taken out again as files or as merged weights.

The model itself gets the adapters, so whatever holds it trains them. What the adapters change of a
weight W of shape (out, in) is scale * B @ A, which merging adds to W once and for all. Source: Hu
et al. 2021, "LoRA", section 4.1; the layers are peft's.
"""

from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn import Linear
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tinysql.errors import InputError
from tinysql.train.config import TrainingConfig
from tinysql.train.quantized import quantize, restore_weights


def add_adapters(
    model: PreTrainedModel, config: TrainingConfig, *, device: str = "cpu"
) -> PeftModel:
    """The model with adapters that change nothing yet, and all else frozen; qlora's in 4 bits.

    Raises InputError: a target that the model does not have, or that shares its weights; or what
    quantized.quantize raises.
    """
    chosen = config.adapter
    _check_targets(model, chosen.target_modules)
    if config.method == "qlora":
        quantize(model, device=device)
    torch.manual_seed(config.seed)
    return get_peft_model(
        model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=chosen.rank,
            lora_alpha=chosen.alpha,
            lora_dropout=chosen.dropout,
            target_modules=(
                chosen.target_modules if isinstance(chosen.target_modules, str)
                else list(chosen.target_modules)
            ),
            use_rslora=config.method == "rslora",
            use_dora=config.method == "dora",
        ),
    )  # fmt: skip


def _check_targets(model: PreTrainedModel, targets: str | tuple[str, ...]) -> None:
    if isinstance(targets, str):
        return
    layers = [name for name, each in model.named_modules() if isinstance(each, Linear | Conv1D)]
    head = model.get_output_embeddings()
    for target in targets:
        hit = [name for name in layers if f".{name}".endswith(f".{target}")]
        if not hit:
            others = [name for name in layers if model.get_submodule(name) is not head]
            names = sorted({name.rpartition(".")[2] for name in others})
            raise InputError(
                f"adapter.target_modules: {target!r} is no linear layer of this model; "
                f"expected some of {', '.join(names)}, or all-linear"
            )
        if model.config.tie_word_embeddings and any(model.get_submodule(n) is head for n in hit):
            raise InputError(
                f"adapter.target_modules: {target!r} has the weights of the input embedding, too, "
                "which merging would change: leave it out"
            )


def save_adapter(adapted: PeftModel, folder: Path) -> None:
    """Write the adapters alone, in peft's format with safetensors."""
    adapted.save_pretrained(str(folder), safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)  # a form of peft's for people to fill in


def merged(adapted: PeftModel) -> PreTrainedModel:
    """The plain model with the adapters' changes in its weights."""
    model = adapted.get_base_model()
    if getattr(model, "is_loaded_in_4bit", False):
        restore_weights(model)
    else:
        model = adapted.merge_and_unload()
    assert isinstance(model, PreTrainedModel)
    return model
