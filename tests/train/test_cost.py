"""Floating point operations against those that PyTorch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from training_models import CLASSES, model_of

from tinysql.train.adapters import add_adapters
from tinysql.train.config import TrainingConfig
from tinysql.train.cost import flops_per_token, utilization
from tinysql.train.engine import LossModel


@pytest.mark.parametrize("name", [*CLASSES, "granite"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_operations_of_a_token_are_those_that_are_made(name: str, method: str) -> None:
    model = model_of(name)
    if method == "lora":
        # Of rank 1, and so next to nothing beside the weights.
        config = TrainingConfig(
            prompt_weight=0, steps=1, lr=1, method="lora", adapter={"rank": 1, "alpha": 1}
        )
        add_adapters(model, config)
    model.set_attn_implementation("eager")
    if name == "granite":
        model.set_experts_implementation("eager")  # the counter does not know the fused one
    ids = torch.ones(4, 64, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        wanted = torch.arange(64).expand(4, 64) % 4 == 0
        LossModel(model, "fp32").logits_at(ids, wanted).sum().backward()
    # Eager attention computes what causality then hides: twice as much as counted.
    counted = flops_per_token(model, 2 * 64, with_logits=0.25)
    assert counter.get_total_flops() / ids.numel() == pytest.approx(counted, rel=0.2)


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA A10G", 70e12),
    ],
)
def test_utilization_is_of_the_peak_of_a_known_device(device: str, peak: float) -> None:
    assert utilization(0.1 * peak, device) == pytest.approx(0.1)


@pytest.mark.parametrize("device", ["", "NVIDIA RTX A1000", "something else"])
def test_utilization_of_a_device_that_is_not_known(device: str) -> None:
    assert utilization(1e12, device) is None
