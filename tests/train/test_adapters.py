"""Adapters: nothing at first, the same merged, the base untouched, and whole after a restart."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from training_models import CLASSES, forgotten, kept_in, model_of, restored_from, worker_of
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tinysql.errors import InputError
from tinysql.models.files import load_model, save_model
from tinysql.train import engine as engine_module
from tinysql.train.adapters import add_adapters, merged, save_adapter
from tinysql.train.config import AdapterConfig, TrainingConfig
from tinysql.train.engine import LossModel
from tinysql.train.finetune import finetune
from tinysql.train.fit import Splits, fit

pytestmark = pytest.mark.usefixtures("gang_of_one")

METHODS = ("lora", "rslora", "dora")
IDS = torch.arange(1, 41).reshape(2, 20)


def config_of(method: str = "lora", **changes: Any) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {"prompt_weight": 0.0, "steps": 10, "batch_rows": 8, "lr": 1e-2, "warmup_steps": 2,
         "precision": "fp32", "method": method, "adapter": {"rank": 4, "alpha": 8}, **changes}
    )  # fmt: skip


@torch.no_grad()
def logits(model: PreTrainedModel | PeftModel) -> torch.Tensor:
    return model.eval()(input_ids=IDS).logits


def frozen(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """What is no adapter, by its name in the plain model."""
    return {
        name.replace(".base_layer", ""): weight.detach().clone()
        for name, weight in model.state_dict().items()
        if "lora_" not in name
    }


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("method", METHODS)
def test_adapters_change_nothing_at_first_and_the_same_when_merged(
    name: str, method: str, splits: Splits
) -> None:
    model = model_of(name)
    model.set_attn_implementation("eager")  # as training will, and rounds otherwise
    LossModel(model, "fp32")  # so with its activations
    plain, weights = logits(model), frozen(model)
    adapted = add_adapters(model, config_of(method))
    torch.testing.assert_close(logits(adapted), plain, rtol=0, atol=1e-6)

    log = fit(model, splits, config_of(method), worker_of())
    losses = [each["loss"] for each in log if each["split"] == "train"]
    assert losses[-1] < losses[0]
    assert all(torch.equal(weights[key], kept) for key, kept in frozen(model).items())
    trained = logits(adapted)
    assert not torch.allclose(trained, plain, atol=1e-3)
    with adapted.disable_adapter():
        torch.testing.assert_close(logits(adapted), plain, rtol=0, atol=0)
    torch.testing.assert_close(logits(merged(adapted)), trained, rtol=0, atol=1e-5)


def test_all_linear_layers_but_the_head_get_an_adapter() -> None:
    for name in CLASSES:
        model = model_of(name)
        linear = [key for key, each in model.named_modules() if isinstance(each, torch.nn.Linear)]
        add_adapters(model, config_of())
        with_adapter = {key for key, each in model.named_modules() if hasattr(each, "lora_A")}
        assert with_adapter == set(linear) - {"lm_head"}


@pytest.mark.parametrize("zero_stage", [0, 1, 3])
def test_resumed_adapters_are_those_of_an_undisturbed_run(
    zero_stage: int, splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "WHOLE_BELOW", 0)

    def run(save: Any, restore: Path | None = None) -> PreTrainedModel:
        model, config = model_of("llama"), config_of(zero_stage=zero_stage)
        add_adapters(model, config)
        fit(model, splits, config, worker_of(save=save, restore=restore))
        return model

    undisturbed = run(kept_in(tmp_path)).state_dict()
    sizes = [file.stat().st_size for file in (tmp_path / "6").rglob("*model_states.pt")]
    resumed = run(forgotten, restored_from(tmp_path / "6")).state_dict()
    assert all(torch.equal(weight, resumed[name]) for name, weight in undisturbed.items())
    total = sum(weight.numel() * 4 for weight in undisturbed.values())
    assert max(sizes) < total, "the frozen weights are in the checkpoint"


@pytest.mark.parametrize("zero_stage", [0, 3])
def test_finetune_writes_the_adapter_and_the_merged_model(
    zero_stage: int,
    dataset: Path,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "WHOLE_BELOW", 0)
    base, out_dir = tmp_path / "base", tmp_path / "out"
    out_dir.mkdir()
    save_model(model_of("qwen2"), tokenizer, base)
    worker = worker_of(cache=tmp_path)._asdict()
    config = config_of(zero_stage=zero_stage)
    summary = finetune(out_dir, dataset=dataset, base=base, config=config, **worker)
    again = PeftModel.from_pretrained(load_model(base).model, str(out_dir / "adapter"))
    torch.testing.assert_close(
        logits(again), logits(load_model(out_dir).model), rtol=0, atol=1e-5
    )
    assert sorted(file.name for file in (out_dir / "adapter").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors"
    ]  # fmt: skip
    written = json.loads((out_dir / "summary.json").read_text())
    assert written["parameters"] == model_of("qwen2").num_parameters()
    trained = sum(each.numel() for key, each in again.named_parameters() if "lora_" in key)
    assert written["trained_parameters"] == summary["trained_parameters"] == trained


def test_trained_adapters_take_turns_on_one_base(splits: Splits, tmp_path: Path) -> None:
    expected = {}
    for name, changes in {"one": {}, "other": {"lr": 3e-2, "adapter": {"rank": 2}}}.items():
        model = model_of("llama")
        config = config_of(**changes)
        adapted = add_adapters(model, config)
        fit(model, splits, config, worker_of())
        save_adapter(adapted, tmp_path / name)
        expected[name] = logits(merged(adapted))
    assert not torch.allclose(expected["one"], expected["other"], atol=1e-2)
    base = model_of("llama")
    base.set_attn_implementation("eager")
    swapped = PeftModel.from_pretrained(base, str(tmp_path / "one"), adapter_name="one")
    swapped.load_adapter(str(tmp_path / "other"), adapter_name="other")
    for name in ("one", "other", "one"):
        swapped.set_adapter(name)
        torch.testing.assert_close(logits(swapped), expected[name], rtol=0, atol=1e-5)


def test_layers_are_chosen_by_the_ends_of_their_names() -> None:
    chosen = {"gpt2": "attn.c_attn", "llama": "0.self_attn.q_proj"}
    for name, target in chosen.items():
        model = model_of(name)
        add_adapters(model, config_of().model_copy(
            update={"adapter": AdapterConfig(target_modules=(target,))}
        ))  # fmt: skip
        adapted = {key for key, each in model.named_modules() if hasattr(each, "lora_A")}
        assert adapted
        assert all(key.endswith(target) for key in adapted)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"adapter": AdapterConfig(target_modules=("q_proj", "nose"))},
            "'nose' is no linear layer of this model; expected some of down_proj, gate_proj, "
            "k_proj, o_proj, q_proj, up_proj, v_proj, or all-linear",
        ),
        ({"adapter": AdapterConfig(target_modules=("foo.q_proj",))}, "'foo.q_proj'"),
        ({"adapter": AdapterConfig(target_modules=("lm_head",))}, "input embedding"),
    ],
)
def test_what_cannot_be_adapted_is_refused_in_one_line(changes: dict[str, Any], said: str) -> None:
    config = config_of().model_copy(update=changes)
    with pytest.raises(InputError) as raised:
        add_adapters(model_of("llama"), config)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
