"""Whether a model sees its rows as they are, in whatever layout they come: tried before training.

A model class that ignores positions, or lets packed rows see one another, trains without an error
and learns something else. So the loss of three real rows and its gradient are computed row by row,
padded into one batch, and packed into one sequence; all must agree.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tinysql.errors import InputError
from tinysql.train.batches import make_batch
from tinysql.train.engine import LossModel
from tinysql.train.rows import TokenizedRows

_TOLERANCE = 1e-3
"""Relative, of float32: layouts that differ in meaning differ by a tenth and more."""


class Seen(NamedTuple):
    """A loss in nats, and its gradients by the parameters that are trained."""

    loss: float
    gradients: tuple[torch.Tensor, ...]  # float32, in the shapes of the parameters


def prove_layouts(model: LossModel, rows: TokenizedRows, *, layout: str, device: str) -> bool:
    """Whether packing is right for this model, too; padding, which validation takes, is.

    Leaves no gradients behind.

    Raises InputError: padding or the layout that is wanted mixes rows up.
    """
    numbers = _three_rows(rows)
    # Of a large model, two sets of gradients at a time are what Adam takes, too.
    expected = seen(model, rows, numbers[:1], device=device)
    for i in range(1, len(numbers)):
        expected = _added(expected, seen(model, rows, numbers[i : i + 1], device=device))
    together = min(int(rows.lengths[numbers].sum()), model.max_tokens)
    right = {
        name: _agree(expected, seen(model, rows, numbers, device=device, pack_tokens=tokens))
        for name, tokens in (("padded", None), ("packed", together))
    }
    kind = type(model.causal).__name__
    if not right["padded"]:
        raise InputError(f"{kind} mixes up rows that are padded into a batch: it cannot be trained")
    if not right[layout]:
        raise InputError(
            f"runtime.layout {layout}: {kind} mixes up rows that share a sequence: take padded"
        )
    return right["packed"]


def seen(
    model: LossModel,
    rows: TokenizedRows,
    numbers: NDArray[np.int64],
    *,
    device: str,
    pack_tokens: int | None = None,
) -> Seen:
    """Loss and gradient of a batch, all of whose tokens count, without dropout and in float32."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    batch = make_batch(rows, numbers, prompt_weight=1.0, device=device, pack_tokens=pack_tokens)
    was_training, precision = model.training, model.precision
    model.eval()
    model.precision = "fp32"
    loss = model(*batch)
    # Unused parameters have none: those of an expert that no token was sent to.
    gradients = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
    model.precision = precision
    model.train(was_training)
    return Seen(loss.item(), gradients)


def _three_rows(rows: TokenizedRows) -> NDArray[np.int64]:
    by_length = np.argsort(rows.lengths, kind="stable")
    return by_length[[0, len(by_length) // 2, -1]]


def _added(summed: Seen, found: Seen) -> Seen:
    """The sum of both, in the memory of the first."""
    for total, gradient in zip(summed.gradients, found.gradients, strict=True):
        total.add_(gradient)
    return Seen(summed.loss + found.loss, summed.gradients)


def _agree(expected: Seen, found: Seen) -> bool:
    pairs = zip(expected.gradients, found.gradients, strict=True)
    distance = math.hypot(*(torch.dist(one, other).item() for one, other in pairs))
    size = math.hypot(*(each.norm().item() for each in expected.gradients))
    same_loss = abs(expected.loss - found.loss) <= _TOLERANCE * abs(expected.loss)
    return same_loss and distance <= _TOLERANCE * size
