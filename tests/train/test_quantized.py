"""Adapters beside weights of 4 bits, on a CPU, where bitsandbytes computes the same more slowly."""

from pathlib import Path
from typing import Any

import bitsandbytes
import pytest
import torch
from training_models import model_of, worker_of
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tinysql.errors import InputError
from tinysql.models.files import load_model, save_model
from tinysql.train.adapters import add_adapters, merged
from tinysql.train.config import TrainingConfig
from tinysql.train.finetune import finetune
from tinysql.train.fit import Splits, fit

CONFIG = TrainingConfig(
    prompt_weight=0, steps=12, batch_rows=8, lr=3e-3, warmup_steps=2, precision="fp32",
    method="qlora",
)  # fmt: skip
IDS = torch.arange(40).reshape(2, 20)


@pytest.fixture(autouse=True)
def _layers_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPUs with bf16 have a format of their own, which takes no layer under 64 wide."""
    monkeypatch.setattr(bitsandbytes.nn.modules, "has_avx512bf16", lambda: False)


def logits(model: Any) -> torch.Tensor:
    return model.eval()(input_ids=IDS).logits.detach()


def small_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {
        name: weight.detach().clone()
        for name, weight in model.named_parameters()
        if weight.dtype == torch.uint8
    }


@pytest.mark.usefixtures("gang_of_one")
@pytest.mark.parametrize("name", ["qwen2", "gpt_neo"])
def test_adapters_train_beside_weights_of_4_bits_and_merge_into_plain_ones(
    name: str, splits: Splits, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = model_of(name)
    plain = logits(model)
    adapted = add_adapters(model, CONFIG)
    before = small_weights(model)
    assert len(before) == {"qwen2": 14, "gpt_neo": 12}[name]
    # Rounded to 16 values, the weights are not what they were, nor far from it.
    coarse = (logits(adapted) - plain).norm() / plain.norm()
    assert 0.005 < coarse < 0.3

    log = fit(model, splits, CONFIG, worker_of())
    losses = [each["loss"] for each in log if each["split"] == "train"]
    assert losses[-1] < losses[0]
    after = small_weights(model)
    assert all(torch.equal(weight, after[key]) for key, weight in before.items())

    trained = logits(adapted)
    whole = merged(adapted)
    torch.testing.assert_close(logits(whole), trained, rtol=0, atol=1e-4)
    save_model(whole, tokenizer, tmp_path)
    torch.testing.assert_close(logits(load_model(tmp_path).model), trained, rtol=0, atol=1e-4)


def test_cpus_and_models_without_linear_layers_are_refused_in_one_line(
    dataset: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no linear layers but its head: take lora"):
        add_adapters(model_of("gpt2"), CONFIG)
    save_model(model_of("llama"), tokenizer, tmp_path)
    worker = worker_of(cache=tmp_path)._asdict()
    with pytest.raises(InputError, match="method qlora: needs a GPU, got a CPU: take lora"):
        finetune(tmp_path, dataset=dataset, base=tmp_path, config=CONFIG, **worker)
