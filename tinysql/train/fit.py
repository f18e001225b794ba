"""The training loop: every rank takes its share of each batch; milestones validate and checkpoint.

A milestone is a tenth of the steps. At each one the model is tried on the validation rows and a
checkpoint is kept: weights and optimizer by DeepSpeed, and the training log beside them, so that a
resumed run writes the same log as an undisturbed one.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray
from transformers import PreTrainedModel

from tinysql.train.batches import Batch, batch_order, make_batch, total_weight
from tinysql.train.config import TrainingConfig
from tinysql.train.engine import LossModel, make_engine
from tinysql.train.rows import TokenizedRows

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine

NUM_MILESTONES = 10
LOG_EVERY = 20
"""Steps averaged into one record of the training log."""
_VALIDATION_BATCH = 100

Record = dict[str, Any]


class Worker(NamedTuple):
    """This process's place in the gang, and what it may call."""

    rank: int
    world_size: int
    local_rank: int
    device: str
    log: Callable[[Record], None]
    save: Callable[[Path, Record], None]
    restore: Path | None


class Splits(NamedTuple):
    """What a model is trained on and tried on."""

    train: TokenizedRows
    validation: TokenizedRows


def fit(
    model: PreTrainedModel, rows: Splits, config: TrainingConfig, worker: Worker
) -> list[Record]:
    """Train `model` in place and return the training log.

    Its records hold step, split ("train" or "validation"), loss (weighted mean, nats per token),
    lr (share of the peak), tokens (seen so far, padding not counted) and seconds (spent training
    so far). Validation records add exact_match: the share of rows whose SQL is right at every token
    when the model reads the gold SQL, which is the share it would decode greedily.
    """
    torch.manual_seed(config.seed)
    if worker.device == "cpu":
        # PyTorch's fused attention is slower than its parts in bf16 on CPUs: half a step's time.
        model.set_attn_implementation("eager")
    engine = make_engine(
        LossModel(model, config.precision).to(worker.device), config, world_size=worker.world_size
    )
    run = _Run(engine, config, worker)
    order = batch_order(
        rows.train.lengths, config.batch_rows, seed=config.seed, start_step=run.step
    )
    milestone = max(1, config.steps // NUM_MILESTONES)
    while run.step < config.steps:
        run.train_step(rows.train, next(order))
        last = run.step == config.steps
        at_milestone = last or run.step % milestone == 0
        # Also before each checkpoint, which does not hold the losses that are not logged yet.
        if at_milestone or run.step % LOG_EVERY == 0:
            run.log_training()
        if at_milestone:
            run.validate(rows.validation)
            run.checkpoint()
    engine.destroy()
    return run.log


class _Run:
    """Where a training run stands; all of it is in its checkpoints."""

    def __init__(self, engine: "DeepSpeedEngine", config: TrainingConfig, worker: Worker) -> None:
        self.engine, self.config, self.worker = engine, config, worker
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.log: list[Record] = []
        if worker.restore is not None:
            engine.load_checkpoint(str(worker.restore), tag="engine")
            state = json.loads((worker.restore / "run.json").read_text())
            self.step, self.tokens = state["step"], state["tokens"]
            self.seconds, self.log = state["seconds"], state["log"]
        self._started = time.monotonic() - self.seconds
        self._losses: list[torch.Tensor] = []

    def train_step(self, rows: TokenizedRows, numbers: NDArray[np.int64]) -> None:
        """One optimizer step on this rank's share of the rows with these numbers."""
        world_size = self.worker.world_size
        self.engine.train()
        # Dropout, where a model has it, draws the same after a restart.
        torch.manual_seed((self.config.seed * 2**24 + self.step) * world_size + self.worker.rank)
        # The ranks' gradients are averaged, and rows differ in length: scale by the whole batch.
        scale = world_size / total_weight(rows, numbers, prompt_weight=self.config.prompt_weight)
        loss = self.engine(*self._batch(rows, numbers[self.worker.rank :: world_size])) * scale
        self.engine.backward(loss)
        self.engine.step()
        self._losses.append(loss.detach())
        self.step += 1
        self.tokens += int(rows.lengths[numbers].sum())

    def log_training(self) -> None:
        """Add the mean loss since the last such record to the log."""
        loss = torch.stack(self._losses).mean()
        dist.all_reduce(loss)
        self._losses.clear()
        self._record("train", loss=float(loss) / self.worker.world_size)

    @torch.no_grad()
    def validate(self, rows: TokenizedRows) -> None:
        """Add loss and exact match on all validation rows to the log, ranks sharing the work."""
        self.engine.eval()
        everything = np.arange(len(rows.lengths))
        mine = everything[self.worker.rank :: self.worker.world_size]
        totals = torch.zeros(2, dtype=torch.float64, device=self.worker.device)
        # Rank 0 has the most rows. Under ZeRO-3 a pass gathers weights from every rank, so a rank
        # that has run out of rows makes its passes too, on a row that does not count.
        most = len(everything[:: self.worker.world_size])
        for start in range(0, most, _VALIDATION_BATCH):
            numbers = mine[start : start + _VALIDATION_BATCH]
            tried = self._tried(rows, numbers if len(numbers) else everything[:1])
            totals += tried if len(numbers) else 0
        dist.all_reduce(totals)
        weight = total_weight(rows, everything, prompt_weight=self.config.prompt_weight)
        loss, num_exact = totals.tolist()
        self._record("validation", loss=loss / weight, exact_match=num_exact / len(everything))

    def checkpoint(self) -> None:
        """Keep everything needed to go on from here."""
        with TemporaryDirectory() as folder:
            self.engine.save_checkpoint(folder, tag="engine")
            state = {
                "step": self.step, "tokens": self.tokens, "seconds": self.seconds, "log": self.log
            }
            if self.worker.rank == 0:
                (Path(folder) / "run.json").write_text(json.dumps(state))
            self.worker.save(Path(folder), self.log[-1])

    def _record(self, split: str, **values: float) -> None:
        self.seconds = time.monotonic() - self._started
        record = {
            "step": self.step, "split": split, **values, "lr": self.config.rate_at(self.step),
            "tokens": self.tokens, "seconds": self.seconds,
        }
        self.log.append(record)
        if self.worker.rank == 0:
            self.worker.log({**record, "num_steps": self.config.steps})

    def _tried(self, rows: TokenizedRows, numbers: NDArray[np.int64]) -> torch.Tensor:
        """Summed loss and number of rows whose SQL is right throughout, float64 of shape (2,)."""
        batch = self._batch(rows, numbers)
        wanted = batch.weights > 0
        logits = self.engine.module.logits_at(batch.input_ids, wanted)
        targets, weights = batch.targets[wanted], batch.weights[wanted]
        losses = F.cross_entropy(logits, targets, reduction="none") * weights
        first_of_sql = torch.from_numpy(rows.prompt_lengths[numbers] - 1).to(wanted.device)
        in_sql = torch.arange(wanted.shape[1], device=wanted.device) >= first_of_sql[:, None]
        wrong = torch.zeros_like(wanted)
        wrong[wanted] = (logits.argmax(-1) != targets) & in_sql[wanted]
        return torch.stack([losses.double().sum(), (~wrong.any(dim=1)).sum().double()])

    def _batch(self, rows: TokenizedRows, numbers: NDArray[np.int64]) -> Batch:
        return make_batch(
            rows, numbers, prompt_weight=self.config.prompt_weight, device=self.worker.device
        )
