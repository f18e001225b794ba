"""How a model in training does on the validation rows, which all ranks share."""

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray

from tinysql.train.batches import make_batch, total_weight
from tinysql.train.config import TrainingConfig
from tinysql.train.engine import LossModel
from tinysql.train.probe import Probe
from tinysql.train.rows import TokenizedRows
from tinysql.train.worker import Worker

_BATCH_ROWS = 100


@torch.no_grad()
def tried(
    model: LossModel,
    rows: TokenizedRows,
    config: TrainingConfig,
    worker: Worker,
    probe: Probe | None,
) -> dict[str, float]:
    """The loss of all rows, the share that is exactly right, and the share that the probe finds so.

    loss is the weighted mean in nats per token. exact_match is the share of rows whose SQL is right
    at every token when the model reads the gold SQL, which is the share it would decode greedily.
    execution, with a probe, is the share of the rows that the configuration asks for. Every rank
    gets the same.
    """
    everything = np.arange(len(rows.lengths))
    mine = everything[worker.rank :: worker.world_size]
    totals = torch.zeros(3, dtype=torch.float64, device=worker.device)
    # Rank 0 has the most rows. Under ZeRO-3 a pass gathers weights from every rank, so a rank
    # that has run out of rows makes its passes too, on a row that does not count.
    most = len(everything[:: worker.world_size])
    for start in range(0, most, _BATCH_ROWS):
        numbers = mine[start : start + _BATCH_ROWS]
        found = _sums(model, rows, numbers if len(numbers) else everything[:1], config, worker)
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
    first_of_sql = torch.from_numpy(rows.prompt_lengths[numbers] - 1).to(wanted.device)
    in_sql = torch.arange(wanted.shape[1], device=wanted.device) >= first_of_sql[:, None]
    wrong = torch.zeros_like(wanted)
    wrong[wanted] = (logits.argmax(-1) != targets) & in_sql[wanted]
    return torch.stack([losses.double().sum(), (~wrong.any(dim=1)).sum().double()])
