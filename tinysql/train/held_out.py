"""What tuning costs on text it was not made for: the loss of two models on the same rows.

The loss is that of the whole sequence, in nats, apart for the prompt (question and schema) and the
SQL. The first token of a row is predicted from nothing and has no loss.
"""

from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from transformers import PreTrainedModel

from tinysql.evaluate.stats import paired_mean_bootstrap
from tinysql.train.batches import in_sql, make_batch, whole_batches
from tinysql.train.rows import TokenizedRows


class Parts(NamedTuple):
    """A number for each row's prompt, and one for its SQL."""

    prompt: NDArray[np.float64]
    sql: NDArray[np.float64]

    @property
    def all(self) -> NDArray[np.float64]:
        """Both together."""
        return self.prompt + self.sql


@torch.no_grad()
def row_losses(
    model: PreTrainedModel, rows: TokenizedRows, num_rows: int, *, device: str
) -> Parts:
    """The loss of each of the first rows, in nats, summed over its tokens."""
    lengths = rows.lengths[:num_rows]
    losses = Parts(np.zeros(num_rows), np.zeros(num_rows))
    for numbers in whole_batches(np.arange(num_rows), lengths, model.config.vocab_size):
        batch = make_batch(rows, numbers, prompt_weight=1.0, device=device)
        # Right padding needs no mask: attention is causal, and what is padded has no weight.
        logits = model(input_ids=batch.input_ids, use_cache=False).logits.float()
        flat = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="none")
        each = flat.view_as(batch.weights).double() * batch.weights
        of_sql = in_sql(rows, numbers, each.shape[1], device=device)
        losses.prompt[numbers] = (each * ~of_sql).sum(dim=1).cpu().numpy()
        losses.sql[numbers] = (each * of_sql).sum(dim=1).cpu().numpy()
    return losses


def token_counts(rows: TokenizedRows, num_rows: int) -> Parts:
    """How many tokens of each of the first rows have a loss."""
    prompts = rows.prompt_lengths[:num_rows]
    sql = rows.lengths[:num_rows] - prompts
    return Parts((prompts - 1).astype(np.float64), sql.astype(np.float64))


def compare_losses(base: Parts, tuned: Parts, tokens: Parts, *, seed: int) -> dict[str, Any]:
    """Of prompt, SQL and all: tokens, nats per token of either model, and tuned minus base.

    Args:
        base, tuned: what `row_losses` found.
        tokens: the `token_counts` of the same rows.
    """
    return {
        "prompt": _compared(base.prompt, tuned.prompt, tokens.prompt, seed),
        "sql": _compared(base.sql, tuned.sql, tokens.sql, seed),
        "all": _compared(base.all, tuned.all, tokens.all, seed),
    }


def _compared(
    base: NDArray[np.float64], tuned: NDArray[np.float64], tokens: NDArray[np.float64], seed: int
) -> dict[str, Any]:
    total = tokens.sum()
    return {
        "tokens": int(total),
        "base": base.sum() / total,
        "tuned": tuned.sum() / total,
        **asdict(paired_mean_bootstrap(tuned, base, tokens, seed=seed)),
    }
