"""The algebra of adapters on real rows: each way to the same model gives the same logits.

The same logits means equal up to the rounding of float32 on the way through the layers.
"""

from dataclasses import dataclass

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from tinysql.train.batches import make_batch
from tinysql.train.rows import TokenizedRows

ROUNDING = 1e-4
"""Share of the largest logit that rounding may come to."""
_ACTIVE, _OTHER = "default", "other"


@dataclass(frozen=True)
class Check:
    """How far two models that ought to be the same are apart on the same rows."""

    left: str
    right: str
    difference: float
    """The largest one between two logits."""
    limit: float
    """What rounding explains."""

    @property
    def passed(self) -> bool:
        """Whether the difference is explained by rounding."""
        return self.difference <= self.limit


@torch.no_grad()
def row_logits(model: PreTrainedModel | PeftModel, rows: TokenizedRows, num_rows: int) -> Tensor:
    """Logits (tokens, vocabulary) of the first rows, float32, their padding left out."""
    batch = make_batch(rows, np.arange(num_rows), prompt_weight=1.0, device=str(model.device))
    logits = model(input_ids=batch.input_ids, use_cache=False).logits
    return logits[batch.weights > 0].float()


@torch.no_grad()
def check_algebra(
    adapted: PeftModel,
    tuned: PreTrainedModel,
    rows: TokenizedRows,
    num_rows: int,
    *,
    plain: Tensor,
) -> list[Check]:
    """What adapters promise, tried; `adapted` is left as it was but for rounding.

    Args:
        adapted: the base with adapters beside its weights.
        tuned: the files that were written with the adapters in the weights.
        plain: the logits of the base before it had adapters.
    """

    beside = row_logits(adapted, rows, num_rows)
    limit = ROUNDING * beside.abs().max().item()

    def check(
        left: str, right: str, wanted: Tensor, model: PreTrainedModel | PeftModel = adapted
    ) -> Check:
        # At once, because logits over a large vocabulary are too many to keep of every model.
        difference = (row_logits(model, rows, num_rows) - wanted).abs().max().item()
        return Check(left, right, difference, limit)

    checks = [check("model with merged weights", "base with adapters", beside, tuned)]
    with adapted.disable_adapter():
        checks.append(check("adapters off", "base", plain))
    # The draw of its A takes from the generator of the process, which is none of its business.
    with torch.random.fork_rng(devices=[]):
        adapted.add_adapter(_OTHER, adapted.peft_config[_ACTIVE])
    adapted.set_adapter(_OTHER)
    checks.append(check("a new adapter in their place", "base", plain))
    adapted.set_adapter(_ACTIVE)
    adapted.delete_adapter(_OTHER)
    checks.append(check("the adapters again", "base with adapters", beside))
    adapted.merge_adapter()
    checks.append(check("adapters merged in memory", "base with adapters", beside))
    adapted.unmerge_adapter()
    with adapted.disable_adapter():
        checks.append(check("merged, unmerged, off", "base", plain))
    return checks
