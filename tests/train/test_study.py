"""The study of adapters against other ways to the same numbers, on three classes of model."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from training_models import CLASSES, model_of
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tinysql.errors import InputError
from tinysql.models.files import load_model, save_model
from tinysql.train.adapters import add_adapters, merged, save_adapter
from tinysql.train.changes import effective_rank, low_rank_values
from tinysql.train.config import AdapterStudyConfig, TrainingConfig
from tinysql.train.fit import Splits
from tinysql.train.held_out import row_losses, token_counts
from tinysql.train.study import study_adapters

RANK = 4
CASES = [*((name, "lora") for name in CLASSES), ("llama", "rslora"), ("qwen2", "dora")]


def tuned_pair(name: str, method: str, tokenizer: PreTrainedTokenizerFast, folder: Path) -> Path:
    """A base, and a model whose adapters are random numbers instead of trained ones."""
    save_model(model_of(name), tokenizer, folder / "base")
    config = TrainingConfig.model_validate(
        {"prompt_weight": 0, "steps": 1, "lr": 1, "method": method,
         "adapter": {"rank": RANK, "alpha": 8}}
    )  # fmt: skip
    adapted = add_adapters(model_of(name), config)
    generator = torch.Generator().manual_seed(5)
    for key, weight in adapted.named_parameters():
        if "lora_B" in key:
            weight.data.normal_(0, 0.05, generator=generator)
        if "magnitude" in key:
            weight.data.mul_(torch.rand(weight.shape, generator=generator) + 0.5)
    (folder / "model").mkdir()
    save_adapter(adapted, folder / "model" / "adapter")
    save_model(merged(adapted), tokenizer, folder / "model")
    return folder


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def studied(
    request: pytest.FixtureRequest,
    dataset: Path,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, str, Path, dict[str, Any]]:
    """Class, method, a folder with base, model and study, and the metrics."""
    name, method = request.param
    folder = tuned_pair(name, method, tokenizer, tmp_path_factory.mktemp("pair"))
    (folder / "study").mkdir()
    metrics = study_adapters(
        folder / "study", base=folder / "base", model=folder / "model", dataset=dataset,
        config=AdapterStudyConfig(checked_rows=4),
    )  # fmt: skip
    return name, method, folder, metrics


def found_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "study" / "study.json").read_text())


def weights_of(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {
        name: each.weight.detach().double()
        for name, each in model.named_modules()
        if isinstance(each, torch.nn.Linear) and name != "lm_head"
    }


def test_changes_are_those_of_the_merged_weights(studied: tuple[str, str, Path, dict]) -> None:
    _, method, folder, metrics = studied
    before, after = (weights_of(load_model(folder / each).model) for each in ("base", "model"))
    rows = pq.read_table(folder / "study" / "layers.parquet").to_pylist()
    assert [row["name"] for row in rows] == list(before)
    assert metrics["adapted_layers"] == len(before)
    for row in rows:
        change = after[row["name"]] - before[row["name"]]
        values = torch.linalg.svdvals(change)
        kept = torch.tensor(row["singular_values"], dtype=torch.float64)
        assert len(kept) == (min(change.shape) if method == "dora" else RANK)
        torch.testing.assert_close(kept, values[: len(kept)], rtol=1e-5, atol=1e-6)
        assert values[len(kept) :].sum() < 1e-4
        assert row["norm"] == pytest.approx(change.norm().item(), rel=1e-5)
        share = change.norm() / before[row["name"]].norm()
        assert row["relative_norm"] == pytest.approx(share.item(), rel=1e-5)
        assert 1 <= row["effective_rank"] <= len(kept)
        assert row["name"].endswith(f".{row['module']}")
        assert f".{row['layer']}." in row["name"]


def test_change_of_dora_is_its_formula(studied: tuple[str, str, Path, dict]) -> None:
    _, method, folder, _ = studied
    if method != "dora":
        pytest.skip("of another method")
    adapter = load_file(folder / "model" / "adapter" / "adapter_model.safetensors")
    for row in pq.read_table(folder / "study" / "layers.parquet").to_pylist():
        before = weights_of(load_model(folder / "base").model)[row["name"]]
        a, b, length = (
            adapter[f"base_model.model.{row['name']}.{part}"].double()
            for part in ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector")
        )
        direction = before + 8 / RANK * b @ a
        after = length[:, None] * direction / direction.norm(dim=1, keepdim=True)
        assert row["norm"] == pytest.approx((after - before).norm().item(), rel=1e-5)


def test_sizes_are_those_of_the_files_and_of_adam(studied: tuple[str, str, Path, dict]) -> None:
    name, method, folder, _ = studied
    found = found_in(folder)
    assert (found["adapter"]["method"], found["adapter"]["rank"]) == (method, RANK)
    adapter = folder / "model" / "adapter" / "adapter_model.safetensors"
    tensors = load_file(adapter)
    trained = [torch.nn.Parameter(weight.clone()) for weight in tensors.values()]
    everything = list(model_of(name).parameters())
    assert found["parameters"] == {
        "total": sum(weight.numel() for weight in everything),
        "trained": sum(weight.numel() for weight in trained),
    }
    sizes = found["bytes"]
    assert sizes["adapter"] == adapter.stat().st_size
    assert sizes["model"] == (folder / "model" / "model.safetensors").stat().st_size
    assert sizes["optimizer"] == adam_bytes(trained)
    assert sizes["optimizer_full"] == adam_bytes(everything)
    weights = sum(weight.nbytes for weight in everything)
    beside = sum(weight.nbytes for weight in trained)
    assert sizes["training"] == weights + 2 * beside + sizes["optimizer"]
    assert sizes["training_full"] == 2 * weights + sizes["optimizer_full"]


def adam_bytes(parameters: list[torch.nn.Parameter]) -> int:
    """What AdamW has in its state after a step, its step counters left out."""
    optimizer = torch.optim.AdamW(parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    states = [state for each in optimizer.state.values() for state in each.values()]
    return sum(state.nbytes for state in states if state.ndim)


def test_algebra_holds_on_real_rows(studied: tuple[str, str, Path, dict]) -> None:
    _, _, folder, metrics = studied
    checks = {check["left"]: check for check in found_in(folder)["checks"]}
    assert metrics["checks_passed"]
    assert all(check["difference"] <= 1e-5 and check["passed"] for check in checks.values())
    for exactly in ("adapters off", "the adapters again"):
        assert checks[exactly]["difference"] == 0.0
    assert len(checks) == 6


def test_algebra_tells_of_adapters_that_are_not_those_of_the_model(
    dataset: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    folder = tuned_pair("llama", "lora", tokenizer, tmp_path)
    other = load_model(folder / "model")
    other.model.model.layers[0].mlp.up_proj.weight.data.mul_(1.5)
    save_model(*other, folder / "model")
    metrics = study_adapters(
        tmp_path, base=folder / "base", model=folder / "model", dataset=dataset,
        config=AdapterStudyConfig(),
    )  # fmt: skip
    checks = json.loads((tmp_path / "study.json").read_text())["checks"]
    assert not metrics["checks_passed"]
    assert [check["left"] for check in checks if not check["passed"]] == [
        "model with merged weights"
    ]


def test_losses_are_those_of_transformers_row_by_row(
    studied: tuple[str, str, Path, dict], splits: Splits
) -> None:
    _, _, folder, _ = studied
    rows = splits.validation
    table = pq.read_table(folder / "study" / "losses.parquet").to_pydict()
    losses = found_in(folder)["losses"]
    for which, place in (("base", "base"), ("tuned", "model")):
        model = load_model(folder / place).model
        for row, (start, stop, prompt) in enumerate(
            zip(rows.starts[:-1], rows.starts[1:], rows.prompt_lengths, strict=True)
        ):
            ids = torch.tensor(rows.ids[start:stop].astype(np.int64))[None]
            for part, hidden in (("prompt", slice(prompt, None)), ("sql", slice(0, prompt))):
                labels = ids.clone()
                labels[:, hidden] = -100
                tokens = (labels[:, 1:] != -100).sum().item()
                with torch.no_grad():
                    mean = model(input_ids=ids, labels=labels).loss.item()
                assert table[f"tokens_{part}"][row] == tokens
                assert table[f"{which}_{part}"][row] == pytest.approx(mean * tokens, rel=1e-5)
    for part in ("prompt", "sql"):
        tokens = sum(table[f"tokens_{part}"])
        base, tuned = (sum(table[f"{each}_{part}"]) / tokens for each in ("base", "tuned"))
        assert (losses[part]["base"], losses[part]["tuned"]) == pytest.approx((base, tuned))
        assert losses[part]["difference"] == pytest.approx(tuned - base)
        assert losses[part]["low"] <= tuned - base <= losses[part]["high"]
    assert losses["all"]["tokens"] == losses["prompt"]["tokens"] + losses["sql"]["tokens"]
    assert losses["rows"] == len(rows.lengths)


def test_losses_do_not_depend_on_the_batch(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of("gpt_neo").eval()
    together = row_losses(model, splits.validation, 7, device="cpu")
    monkeypatch.setattr("tinysql.train.batches._LOGITS", 1)
    alone = row_losses(model, splits.validation, 7, device="cpu")
    np.testing.assert_allclose(together.all, alone.all, rtol=1e-6)
    assert len(together.all) == 7
    lengths = splits.validation.lengths[:7]
    np.testing.assert_array_equal(token_counts(splits.validation, 7).all, lengths - 1)


def test_singular_values_of_a_product_without_the_product() -> None:
    torch.manual_seed(0)
    for shape in ((30, 20), (5, 40), (3, 2)):
        b, a = torch.randn(shape[0], 6), torch.randn(6, shape[1])
        values = low_rank_values(b, a)
        wanted = torch.linalg.svdvals(b.double() @ a.double())
        torch.testing.assert_close(values[: len(wanted)], wanted[: len(values)])
        assert len(values) == min(6, *shape)


def test_effective_rank_counts_directions() -> None:
    assert effective_rank(torch.tensor([2.0, 2.0, 2.0, 0.0])) == pytest.approx(3)
    assert effective_rank(torch.tensor([5.0, 0.0])) == pytest.approx(1)
    assert effective_rank(torch.zeros(4)) == 0
    one, rest = 0.9, 0.1
    wanted = math.exp(-one * math.log(one) - rest * math.log(rest))
    assert effective_rank(torch.tensor([9.0, 1.0])) == pytest.approx(wanted)


def test_what_cannot_be_studied_is_refused_in_one_line(
    dataset: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    folder = tuned_pair("llama", "lora", tokenizer, tmp_path)
    other = model_of("llama")
    other.model.embed_tokens.weight.data[3] += 1
    save_model(other, tokenizer, tmp_path / "other")
    for base, model, said in (
        ("base", "base", "method full has nothing to study"),
        ("other", "model", "not tuned from this base: lm_head.weight does not fit"),
    ):
        with pytest.raises(InputError) as raised:
            study_adapters(
                tmp_path, base=folder / base, model=folder / model, dataset=dataset,
                config=AdapterStudyConfig(),
            )  # fmt: skip
        assert said in str(raised.value)
        assert "\n" not in str(raised.value)
