"""Layouts that a model class does not bear are found out before training."""

from typing import Any

import pytest
import torch
from training_models import ALL_CLASSES, llama, model_of, worker_of
from transformers import LlamaForCausalLM, LlamaModel, PreTrainedModel

from tinysql.errors import InputError
from tinysql.train.canary import prove_layouts
from tinysql.train.config import TrainingConfig
from tinysql.train.engine import LossModel
from tinysql.train.fit import Splits, fit


class DeafToPositions(LlamaModel):
    """Counts positions through a whole sequence, whatever rows are in it."""

    def forward(self, *args: Any, position_ids: Any = None, **kwargs: Any) -> Any:  # noqa: ARG002
        return super().forward(*args, **kwargs)


class AcrossRows(LlamaModel):
    """Mixes the rows of a batch, as a norm over the batch would."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        found = super().forward(*args, **kwargs)
        hidden = found.last_hidden_state
        found.last_hidden_state = hidden + hidden.mean(dim=(0, 1))
        return found


def broken(body: type[LlamaModel]) -> PreTrainedModel:
    model = llama()
    assert isinstance(model, LlamaForCausalLM)
    model.model = body(model.config)
    return model


@pytest.mark.parametrize("name", ALL_CLASSES)
def test_logits_of_some_positions_are_those_of_the_whole_model(name: str) -> None:
    model = model_of(name)
    ids = torch.randint(0, 1000, (3, 12), generator=torch.Generator().manual_seed(0))
    wanted = torch.arange(36).reshape(3, 12) % 5 == 0
    found = LossModel(model, "fp32").logits_at(ids, wanted)
    torch.testing.assert_close(found, model(input_ids=ids).logits[wanted], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ALL_CLASSES)
def test_classes_of_the_project_bear_both_layouts(name: str, splits: Splits) -> None:
    model = LossModel(model_of(name), "bf16")
    assert prove_layouts(model, splits.train, layout="packed", device="cpu")
    assert model.precision == "bf16"
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_model_that_ignores_positions_is_not_packed(splits: Splits) -> None:
    model = LossModel(broken(DeafToPositions), "fp32")
    assert not prove_layouts(model, splits.train, layout="padded", device="cpu")
    with pytest.raises(InputError, match="runtime.layout packed"):
        prove_layouts(model, splits.train, layout="packed", device="cpu")


@pytest.mark.usefixtures("gang_of_one")
def test_training_refuses_a_model_that_mixes_rows(splits: Splits) -> None:
    config = TrainingConfig(prompt_weight=0, steps=1, batch_rows=8, lr=1e-3, precision="fp32")
    model = broken(AcrossRows)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(InputError, match="mixes up rows"):
        fit(model, splits, config, worker_of())
    after = model.parameters()
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
