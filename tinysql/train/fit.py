"""The training loop: every rank takes its share of each batch; milestones validate and checkpoint.

A milestone is a tenth of the steps. At each one the model is tried on the validation rows and a
checkpoint is kept: weights and optimizer by DeepSpeed, and the training log beside them, so that a
resumed run writes the same log as an undisturbed one. A notice that a machine is about to be taken
away is answered with a checkpoint, too.
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from transformers import PreTrainedModel

from tinysql.errors import Diverged, InputError
from tinysql.train.batches import Batch, batch_order, make_batch, total_weight
from tinysql.train.canary import prove_layouts
from tinysql.train.config import TrainingConfig
from tinysql.train.cost import flops_per_token, most_memory, utilization
from tinysql.train.engine import LossModel, computed_in, end, load_state, make_engine, save_state
from tinysql.train.probe import Probe
from tinysql.train.rows import TokenizedRows
from tinysql.train.validation import tried
from tinysql.train.worker import Record, Worker

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine

NUM_MILESTONES = 10
LOG_EVERY = 20
"""Steps averaged into one record of the training log."""
ASK_SECONDS = 5.0
"""How often it is asked whether a machine is about to go, of the half minute that it may have."""
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""What PyTorch says of a GPU and of a CPU."""


class Splits(NamedTuple):
    """What a model is trained on and tried on."""

    train: TokenizedRows
    validation: TokenizedRows


def fit(
    model: PreTrainedModel,
    rows: Splits,
    config: TrainingConfig,
    worker: Worker,
    probe: Probe | None = None,
) -> list[Record]:
    """Train in place what of `model` requires a gradient, and return the training log.

    Its records hold step, split ("train" or "validation"), loss (weighted mean, nats per token),
    lr (of the last step, as share of the peak), tokens (seen so far, padding not counted) and
    seconds (spent training so far). Training records add grad_norm (of the last step, before it was
    scaled down), padding (share of the positions of this start of the run), tokens_per_second
    (since the last such record or checkpoint), memory_bytes (the most that this rank has held) and,
    on a GPU that cost.py knows, mfu. Validation records hold what validation.tried finds.

    Raises InputError: the layout does not suit the model; no memory is left; or the loss is no
    number any more. Checkpoints stay.
    """
    with _explained(config, worker.world_size):
        return _fit(model, rows, config, worker, probe)


def _fit(
    model: PreTrainedModel,
    rows: Splits,
    config: TrainingConfig,
    worker: Worker,
    probe: Probe | None,
) -> list[Record]:
    torch.manual_seed(config.seed)
    if worker.device == "cpu":
        # PyTorch's fused attention is slower than its parts in bf16 on CPUs: half a step's time.
        model.set_attn_implementation("eager")
    if config.runtime.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    loss_model = LossModel(model, config.precision).to(worker.device)
    if worker.rank == 0:
        layout = config.runtime.layout
        prove_layouts(loss_model, rows.train, layout=layout, device=worker.device)
    lengths = rows.train.lengths
    of_prompts = float(rows.train.prompt_lengths.sum() / lengths.sum())
    share = 1 - of_prompts + of_prompts * (config.prompt_share if config.prompt_weight else 0)
    flops = flops_per_token(model, float(lengths.mean()), with_logits=share)
    run = _Run(loss_model, config, worker, flops)
    order = batch_order(
        rows.train.lengths, config.batch_rows, seed=config.seed, start_step=run.step
    )
    milestone = max(1, config.steps // NUM_MILESTONES)
    told = False
    while run.step < config.steps:
        run.train_step(rows.train, next(order))
        last = run.step == config.steps
        at_milestone = last or run.step % milestone == 0
        if at_milestone or run.step % LOG_EVERY == 0:
            run.log_training()
        if at_milestone:
            run.validate(rows.validation, probe)
            run.checkpoint()
        elif run.step % run.ask_every == 0:
            ending = worker.is_ending()
            if ending and not told:
                run.checkpoint()
            told = ending
    run.finish()
    return run.log


class _Run:
    """Where a training run stands; all of it is in its checkpoints."""

    def __init__(
        self, model: LossModel, config: TrainingConfig, worker: Worker, flops_per_token: float
    ) -> None:
        self.config, self.worker, self._flops_per_token = config, worker, flops_per_token
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.log: list[Record] = []
        self._losses: list[torch.Tensor] = []  # of the steps since the last training record
        self.engine = self._started_engine(model)
        self._started = time.monotonic() - self.seconds
        self.ask_every = 1
        """Steps; the same on all ranks, which ask together."""
        self._grad_norm = torch.tensor(math.nan)
        # Tokens of rows and positions with their padding, of this rank since this start.
        self._taken, self._positions = 0, 0
        self._logged = self.tokens, time.monotonic()

    def _started_engine(self, model: LossModel) -> "DeepSpeedEngine":
        """The engine, and this run, as the checkpoint to go on from says, if there is one."""
        restore, world_size = self.worker.restore, self.worker.world_size
        if restore is None:
            return make_engine(model, self.config, world_size=world_size)
        state = json.loads((restore / "run.json").read_text())
        # Without sharding, every rank has the whole state.
        universal = self.config.zero_stage > 0 and state["world_size"] != world_size
        # DeepSpeed converts the state of Adam over all weights alone.
        if universal and (self.config.has_adapters or self.config.optimizer == "muon"):
            raise InputError(
                f"the checkpoint is of {state['world_size']} workers, this is {world_size}: "
                f"{self.config.method} {self.config.optimizer} with zero_stage "
                f"{self.config.zero_stage} resumes on as many: --workers {state['world_size']}, or "
                "the same as resources.workers of its step"
            )
        engine = make_engine(model, self.config, world_size=world_size, universal=universal)
        load_state(engine, restore, universal=universal)
        self.step, self.tokens = state["step"], state["tokens"]
        self.seconds, self.log = state["seconds"], state["log"]
        losses = torch.tensor(state["losses"], device=self.worker.device)
        own = losses[self.worker.rank] if len(losses) == world_size else losses.mean(dim=0)
        self._losses = [*own]
        shutil.rmtree(restore)
        return engine

    def train_step(self, rows: TokenizedRows, numbers: NDArray[np.int64]) -> None:
        """One optimizer step on this rank's share of the rows with these numbers."""
        world_size = self.worker.world_size
        self.engine.train()
        # Dropout, where a model has it, draws the same after a restart.
        torch.manual_seed((self.config.seed * 2**24 + self.step) * world_size + self.worker.rank)
        # The ranks' gradients are averaged, and rows differ in length: scale by the whole batch.
        total = total_weight(rows, numbers, prompt_weight=self.config.prompt_weight)
        mine = numbers[self.worker.rank :: world_size]
        num_passes = self.engine.gradient_accumulation_steps()
        summed: list[torch.Tensor] = []
        for part in np.split(mine, num_passes):
            batch = self._batch(rows, part)
            self._positions += batch.input_ids.numel()
            loss = self.engine(*batch) * (world_size / total)
            summed.append(loss.detach())
            # DeepSpeed takes the mean over passes, too.
            self.engine.backward(loss * num_passes)
            self._measure_gradient()
            self.engine.step()
        self._losses.append(torch.stack(summed).sum())
        self._taken += int(rows.lengths[mine].sum())
        self.step += 1
        self.tokens += int(rows.lengths[numbers].sum())

    def _measure_gradient(self) -> None:
        """Note the norm of a whole step where DeepSpeed will not: without ZeRO."""
        if self.config.zero_stage == 0 and self.engine.is_gradient_accumulation_boundary():
            gradients = [p.grad for p in self.engine.module.parameters() if p.grad is not None]
            self._grad_norm = torch.nn.utils.get_total_norm(gradients)

    def log_training(self) -> None:
        """Add the mean loss since the last such record to the log.

        Raises Diverged: it is no number.
        """
        mean = torch.stack(self._losses).mean().item()
        tokens, since = self._logged
        speed = (self.tokens - tokens) / (time.monotonic() - since)
        sums = torch.tensor(
            [mean, speed, self._taken, self._positions],
            dtype=torch.float64, device=self.worker.device,
        )  # fmt: skip
        dist.all_reduce(sums)
        self._losses.clear()
        total, speed, taken, positions = sums.tolist()
        loss, speed = total / self.worker.world_size, speed / self.worker.world_size
        seconds_per_step = self.tokens / self.step / speed
        self.ask_every = max(1, min(LOG_EVERY, int(ASK_SECONDS / seconds_per_step)))
        self._check_loss(loss)
        norm = self.engine.get_global_grad_norm()
        norm = float(self._grad_norm if norm is None else norm)
        self._record(
            "train", loss=loss, grad_norm=norm, padding=1 - taken / positions,
            tokens_per_second=speed, **self._use_of_device(speed),
        )  # fmt: skip
        self._logged = self.tokens, time.monotonic()

    def _use_of_device(self, tokens_per_second: float) -> dict[str, float]:
        device, rate = self.worker.device, tokens_per_second / self.worker.world_size
        # What is computed in float32 is no share of a peak in bf16.
        known = device.startswith("cuda") and computed_in(self.config.precision, "cuda") == "bf16"
        name = torch.cuda.get_device_name(device) if known else ""
        share = utilization(self._flops_per_token * rate, name)
        found = {"memory_bytes": most_memory(device)}
        return found if share is None else {**found, "mfu": share}

    def validate(self, rows: TokenizedRows, probe: Probe | None) -> None:
        """Add what is found on the validation rows to the log.

        Raises Diverged: the loss is no number.
        """
        self.engine.eval()
        found = tried(self.engine.module, rows, self.config, self.worker, probe)
        self._check_loss(found["loss"])
        self._record("validation", **found)

    def checkpoint(self) -> None:
        """Keep everything needed to go on from here.

        Raises Diverged: a loss is no number.
        """
        losses = self._losses_of_ranks()
        for loss in losses.flatten().tolist():
            self._check_loss(loss)
        state = {
            "step": self.step, "tokens": self.tokens, "seconds": self.seconds, "log": self.log,
            "losses": losses.tolist(), "world_size": self.worker.world_size,
        }  # fmt: skip
        validated = [each["loss"] for each in self.log if each["split"] == "validation"]
        # Ray keeps it as JSON, which has no infinity.
        about = {"step": self.step, "validation_loss": (validated or [sys.float_info.max])[-1]}
        with self.worker.save(about) as folder:
            save_state(self.engine, folder)
            if self.worker.rank == 0:
                (folder / "run.json").write_text(json.dumps(state))
        self._logged = self.tokens, time.monotonic()

    def _losses_of_ranks(self) -> torch.Tensor:
        """Of the steps that are not logged yet, (ranks, steps) float32."""
        own = torch.stack(self._losses) if self._losses else torch.empty(0)
        own = own.to(self.worker.device)
        found = [torch.empty_like(own) for _ in range(self.worker.world_size)]
        dist.all_gather(found, own)
        return torch.stack(found)

    def finish(self) -> None:
        """Leave whole weights in the model on every rank."""
        end(self.engine)

    def _check_loss(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise Diverged(
                f"the loss is {loss} at step {self.step}: lower lr (got {self.config.lr}) or raise "
                f"warmup_steps (got {self.config.warmup_steps}); checkpoints are kept"
            )

    def _record(self, split: str, **values: float) -> None:
        self.seconds = time.monotonic() - self._started
        record = {
            "step": self.step, "split": split, **values, "lr": self.config.rate_at(self.step - 1),
            "tokens": self.tokens, "seconds": self.seconds,
        }
        self.log.append(record)
        if self.worker.rank == 0:
            self.worker.log({**record, "num_steps": self.config.steps})

    def _batch(self, rows: TokenizedRows, numbers: NDArray[np.int64]) -> Batch:
        runtime = self.config.runtime
        widest = min(runtime.pack_tokens, self.engine.module.max_tokens)
        return make_batch(
            rows,
            numbers,
            prompt_weight=self.config.prompt_weight,
            device=self.worker.device,
            pack_tokens=widest if runtime.layout == "packed" else None,
            prompt_share=self.config.prompt_share,
            seed=(self.config.seed, self.step),
        )


@contextmanager
def _explained(config: TrainingConfig, world_size: int) -> Iterator[None]:
    """Says in one line what to do when memory runs out."""
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error) for words in _NO_MEMORY):
            raise
        rows = config.runtime.micro_rows or config.batch_rows // world_size
        raise InputError(
            f"no memory left with {rows} rows at once: lower runtime.micro_rows or set "
            "runtime.gradient_checkpointing; the last checkpoint is kept"
        ) from error
