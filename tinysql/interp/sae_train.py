"""Trains a TopK SAE on one site of a model, on activations harvested as it goes.

Loss: ||x - x_hat||^2 / ||x - mean||^2 + alpha AuxK (Gao et al., arXiv 2406.04093), Adam, gradients
clipped to norm 1, a linear decay over the last fifth. A calibration pass over the first batches
fixes three constants: the scale that makes activations sqrt(d_in) long on average, the initial
b_dec (their mean), and the variance in the loss. The scale is folded into the saved biases, so the
SAE on disk takes the model's own activations.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from tinysql.errors import InputError
from tinysql.interp.activations import (
    TextBatch,
    load_texts,
    shuffled,
    site_activations,
    text_batches,
)
from tinysql.interp.config import SAEConfig
from tinysql.interp.sae import TopKSAE, auxk_loss, save_sae, top_latents
from tinysql.interp.sae_eval import evaluate_sae
from tinysql.interp.sites import parse_site
from tinysql.interp.tracing import load_traced
from tinysql.models.files import load_tokenizer

CALIBRATION_BATCHES = 8
LOG_ROWS = 200
ADAM_EPSILON = 6.25e-10  # Gao et al., appendix A
DECAY_SHARE = 0.2


def train_sae(
    out_dir: Path,
    *,
    model: Path,
    dataset: Path,
    config: SAEConfig,
    site: str,
    device: str = "cpu",
) -> dict[str, Any]:
    """Write <site>/ with cfg.json, sae_weights.safetensors, log.parquet, metrics.json.

    Raises:
        InputError: the model has no such site, or k exceeds d_sae.
    """
    traced = load_traced(model, device)
    place = parse_site(site, traced.sites)
    d_in = traced.sites.width(place)
    if config.k > config.expansion * d_in:
        raise InputError(
            f"k: got {config.k}, expected at most d_sae = {config.expansion * d_in} "
            f"at {site}; lower k or raise expansion"
        )
    generator = torch.Generator().manual_seed(config.seed)
    tokenizer = load_tokenizer(model)

    def batches(split: str, order: torch.Generator | None) -> Iterator[TextBatch]:
        return text_batches(
            load_texts(dataset, split),
            tokenizer,
            skip_positions=config.skip_positions,
            device=traced.device,
            generator=order,
        )

    stream = shuffled(
        site_activations(traced, place, batches("train", generator)),
        batch_tokens=config.batch_tokens,
        buffer_tokens=max(config.buffer_tokens, 2 * config.batch_tokens),
        generator=generator,
    )
    trainer, stream = calibrate(config, stream, generator)
    log = [row for row in trainer.run(stream) if row is not None]
    sae = trainer.finish()
    metrics = {
        "site": site,
        "d_in": d_in,
        "d_sae": sae.d_sae,
        "k": sae.k,
        "train_tokens": trainer.steps * config.batch_tokens,
        "scale": trainer.scale,
        **evaluate_sae(sae, traced, place, batches("validation", None), config.eval_tokens),
    }
    _write(out_dir / site, sae, log, metrics, traced.sites.model_type, config)
    return metrics


def calibrate(
    config: SAEConfig, stream: Iterator[Tensor], generator: torch.Generator
) -> tuple["Trainer", Iterator[Tensor]]:
    """A trainer with its constants fixed, and the stream with the batches it looked at."""
    first = list(itertools.islice(stream, CALIBRATION_BATCHES))
    return Trainer(config, torch.cat(first), generator), itertools.chain(first, stream)


class Trainer:
    """Owns the SAE of scaled activations, its optimizer, and how long ago each latent fired."""

    def __init__(self, config: SAEConfig, sample: Tensor, generator: torch.Generator) -> None:
        d_in = sample.shape[1]
        self.config = config
        self.scale = (d_in**0.5 / sample.norm(dim=1).mean()).item()
        sample = sample * self.scale
        self.variance = (sample - sample.mean(dim=0)).square().sum(dim=1).mean()
        self.sae = TopKSAE(d_in, config.expansion * d_in, config.k, generator).to(sample.device)
        with torch.no_grad():
            self.sae.b_dec.copy_(sample.mean(dim=0))
        self.steps = -(-config.tokens // config.batch_tokens)
        lr = config.lr or 2e-4 / (self.sae.d_sae / 2**14) ** 0.5
        self.optimizer = torch.optim.Adam(self.sae.parameters(), lr=lr, eps=ADAM_EPSILON)
        decay = max(int(self.steps * DECAY_SHARE), 1)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: min(1.0, (self.steps - step) / decay)
        )
        self.aux_k = config.aux_k or max(d_in // 2, 1)
        self.silent_tokens = torch.zeros(
            self.sae.d_sae, dtype=torch.int64, device=sample.device
        )

    def run(self, stream: Iterator[Tensor]) -> Iterator[dict[str, float] | None]:
        """Train to the end; yields a log row where one is due and None otherwise."""
        every = max(self.steps // LOG_ROWS, 1)
        for step, x in enumerate(itertools.islice(stream, self.steps), start=1):
            yield self.step(x, step if step % every == 0 or step == self.steps else None)

    def step(self, x: Tensor, log_as: int | None) -> dict[str, float] | None:
        """One optimizer step on raw activations (batch, d_in); returns a log row if asked to."""
        x = x * self.scale
        pre = self.sae.pre_activations(x)
        latents = top_latents(pre, self.sae.k)
        error = x - self.sae.decode(latents)
        dead = self.silent_tokens >= self.config.dead_tokens
        loss = error.square().sum(dim=1).mean() / self.variance
        if self.config.aux_alpha > 0:
            loss = loss + self.config.aux_alpha * auxk_loss(
                self.sae, pre, error, dead, self.aux_k
            )
        self.optimizer.zero_grad()
        loss.backward()
        self.sae.remove_radial_gradient()
        torch.nn.utils.clip_grad_norm_(self.sae.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.sae.normalize_decoder()
        fired = latents.indices[latents.values > 0]
        self.silent_tokens += len(x)
        self.silent_tokens[fired] = 0
        if log_as is None:
            return None
        return self._log_row(log_as, x, error.detach(), len(fired), dead)

    def finish(self) -> TopKSAE:
        """The trained SAE of raw activations; ends the training."""
        self.sae.fold_scale(self.scale)
        return self.sae.eval().requires_grad_(False)

    def _log_row(
        self, step: int, x: Tensor, error: Tensor, active: int, dead: Tensor
    ) -> dict[str, float]:
        variance = (x - x.mean(dim=0)).square().sum()
        return {
            "step": step,
            "fvu": (error.square().sum() / variance).item(),
            "l0": active / len(x),
            "dead": dead.double().mean().item(),
        }


def _write(
    directory: Path,
    sae: TopKSAE,
    log: list[dict[str, float]],
    metrics: dict[str, Any],
    model_type: str,
    config: SAEConfig,
) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    metadata = {
        "model_name": model_type,
        "hook_name": metrics["site"],
        "prepend_bos": False,
        "skip_positions": config.skip_positions,
        "training_tokens": metrics["train_tokens"],
    }
    save_sae(sae, directory, metadata)
    pq.write_table(pa.Table.from_pylist(log), directory / "log.parquet")
    (directory / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
