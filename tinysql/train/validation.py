"""How a model in training does on the validation rows, which all ranks share."""

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray

from tinysql.train.batches import in_sql, make_batch, total_weight, whole_batches
from tinysql.train.config import TrainingConfig
from tinysql.train.engine import LossModel
from tinysql.train.probe import Probe
from tinysql.train.rows import TokenizedRows
from tinysql.train.worker import Worker


@torch.no_grad()
def tried(
    model: LossModel,
    rows: TokenizedRows,
    config: TrainingConfig,
    worker: Worker,
    probe: Probe | None,
) -> dict[str, float]:
    """What is found on the validation rows: the loss, and which shares are right.

    loss is the weighted mean in nats per token. exact_match is the share of rows whose SQL is right
    at every token when the model reads the gold SQL, which is the share it would decode greedily.
    execution, with a probe, is the share of the rows that the configuration asks for. Every rank
    gets the same.
    """
    everything = np.arange(min(len(rows.lengths), config.validation_rows))
    lengths = rows.lengths[everything]
    with_logits = lengths if config.prompt_weight else lengths - rows.prompt_lengths[everything]
    vocab_size = model.causal.config.vocab_size
    totals = torch.zeros(3, dtype=torch.float64, device=worker.device)
    # Where memory is short, a rank gets no more rows at once than in training.
    most_rows = (config.runtime.micro_rows or 0) * worker.world_size or None
    batches = whole_batches(everything, with_logits, vocab_size, most_rows=most_rows)
    # Under ZeRO-3 a pass gathers weights from every rank, so a rank that has no row in a batch
    # makes its pass too, on one that does not count.
    for batch in batches:
        numbers = batch[worker.rank :: worker.world_size]
        found = _sums(model, rows, numbers if len(numbers) else batch[:1], config, worker)
        totals[:2] += found if len(numbers) else 0
    if probe is not None:
        totals[2] = probe(model.causal)
    dist.all_reduce(totals)
    weight = total_weight(rows, everything, prompt_weight=config.prompt_weight)
    loss, num_exact, num_right = totals.tolist()
    shares = {"loss": loss / weight, "exact_match": num_exact / len(everything)}
    return shares if probe is None else {**shares, "execution": num_right / config.execution_rows}


def _sums(
    model: LossModel,
    rows: TokenizedRows,
    numbers: NDArray[np.int64],
    config: TrainingConfig,
    worker: Worker,
) -> torch.Tensor:
    """Summed loss and number of rows whose SQL is right throughout, float64 of shape (2,)."""
    batch = make_batch(rows, numbers, prompt_weight=config.prompt_weight, device=worker.device)
    wanted = batch.weights > 0
    logits = model.logits_at(batch.input_ids, wanted)
    targets, weights = batch.targets[wanted], batch.weights[wanted]
    losses = F.cross_entropy(logits, targets, reduction="none") * weights
    of_sql = in_sql(rows, numbers, wanted.shape[1], device=wanted.device)
    wrong = torch.zeros_like(wanted)
    wrong[wanted] = (logits.argmax(-1) != targets) & of_sql[wanted]
    return torch.stack([losses.double().sum(), (~wrong.any(dim=1)).sum().double()])
