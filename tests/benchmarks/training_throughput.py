"""Samples per second of training: ours beside the usual ways, same model, rows and batch size.

    python tests/benchmarks/training_throughput.py
    python tests/benchmarks/training_throughput.py --device cuda --layers 12 --width 768

The sides take turns, round after round, on tokens that are there already; what is timed is the
training alone. "Padded to 512" is how the original TinySQL code trains: every row padded to 512
tokens, the logits of every position computed. TRL's SFTTrainer has its defaults but for the number
format, and needs `pip install trl`. "Bare loop" is the least that PyTorch must do: the batches that
ours takes, logits at loss positions, AdamW; once more with AdamW as one kernel, as ours has it.
On a CPU all are in float32, and where it has bf16 instructions, the first and ours in bf16 as well,
which is what ours takes there if nothing is said.
"""

import argparse
import itertools
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tinysql.data.dataset import DatasetConfig, dataset_shards
from tinysql.data.generate import generate_shard
from tinysql.models.architecture import build_model
from tinysql.models.config import ArchitectureConfig
from tinysql.models.tokenizer import train_tokenizer
from tinysql.train.batches import batch_order, make_batch
from tinysql.train.config import TrainingConfig
from tinysql.train.engine import computed_in
from tinysql.train.fit import Splits, fit
from tinysql.train.rows import TokenizedRows, corpus, prompts_and_completions, tokenize_split
from tinysql.train.worker import Record, Worker

_ALWAYS_PADDED_TO = 512
_BATCH_ROWS = 32
_LR = 1e-3


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="of all but the padded side")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--width", type=int, default=128)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), asked)
        sides: dict[str, tuple[int, Callable[[int], float]]] = {
            "padded to 512, all logits": (max(3, asked.steps // 20), bench.padded),
            "TRL SFTTrainer": (asked.steps, bench.trl),
            "bare loop": (asked.steps, bench.bare),
            "bare loop, fused AdamW": (asked.steps, partial(bench.bare, fused=True)),
            "ours": (asked.steps, bench.ours),
        }
        if asked.device == "cpu" and computed_in("bf16", "cpu") == "bf16":
            sides["padded, in bf16"] = (max(3, asked.steps // 20), partial(bench.padded, half=True))
            sides["ours, in bf16"] = (asked.steps, partial(bench.ours, half=True))
        try:
            import trl  # noqa: F401, PLC0415
        except ImportError:
            del sides["TRL SFTTrainer"]
        for steps, side in sides.values():
            side(max(2, steps // 10))  # what is compiled or read at a first use
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(asked.rounds):
            for name, (steps, side) in sides.items():
                rates[name].append(steps * _BATCH_ROWS / side(steps))
        report(bench, rates)


def report(bench: "Bench", rates: dict[str, list[float]]) -> None:
    """Print the median of every side and what it is of ours."""
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"{bench.about}, batches of {_BATCH_ROWS}, {hardware(bench.device)}")
    for name, rate in medians.items():
        spread = f"{min(rates[name]):.0f} to {max(rates[name]):.0f}"
        print(f"  {name:<28}{rate:>9,.0f} samples/s ({spread})  ours {medians['ours'] / rate:.2f}x")


def hardware(device: str) -> str:
    """The machine, in words."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    names = (
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return f"{next(names, platform.processor())}, {torch.get_num_threads()} threads"


class Bench:
    """Rows of command set 1, a tokenizer, and ways to train on them, which tell their seconds."""

    def __init__(self, folder: Path, asked: argparse.Namespace) -> None:
        self.device: str = asked.device
        self._folder = folder
        os.environ.update(LOCAL_RANK="0", WANDB_MODE="disabled")
        if self.device == "cpu":
            os.environ["DS_ACCELERATOR"] = "cpu"
        backend = "gloo" if self.device == "cpu" else "nccl"
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
        config = DatasetConfig(command_sets=(1,), train_rows=20_000, validation_rows=100)
        self._dataset = folder / "data"
        self._dataset.mkdir()
        for shard in dataset_shards(config):
            generate_shard(self._dataset, config=config, **shard._asdict())
        self._tokenizer: PreTrainedTokenizerFast = train_tokenizer(
            itertools.islice(corpus(self._dataset), 5_000), vocab_size=4096
        )
        self._shape = ArchitectureConfig(
            type="gpt_neo", num_layers=asked.layers, d_model=asked.width,
            num_heads=max(1, asked.width // 64), d_mlp=4 * asked.width,
        )  # fmt: skip
        self._rows = self._tokens("train")
        mean = self._rows.lengths.mean()
        millions = self._model().num_parameters() / 1e6
        self.about = (
            f"GPT-Neo {asked.layers} x {asked.width} ({millions:.1f} M parameters), command set 1, "
            f"{mean:.0f} tokens a row"
        )

    def _tokens(self, split: str) -> TokenizedRows:
        return tokenize_split(
            self._dataset, split, self._tokenizer, max_tokens=512, cache=self._folder / "tokens"
        )

    def _model(self) -> PreTrainedModel:
        model = build_model(
            self._shape, vocab_size=len(self._tokenizer), end_token=0, seed=0
        )
        return model.to(self.device).train()

    def padded(self, steps: int, *, half: bool = False) -> float:
        """As the original trains: 512 tokens a row, all logits, labels on the SQL."""
        model = self._model()
        optimizer = torch.optim.AdamW(model.parameters(), lr=_LR)
        rows = self._rows
        started = time.perf_counter()
        for step in range(steps):
            shape = (_BATCH_ROWS, _ALWAYS_PADDED_TO)
            ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
            labels = np.full(shape, -100)
            for place in range(_BATCH_ROWS):
                number = step * _BATCH_ROWS + place
                tokens = rows.ids[rows.starts[number] : rows.starts[number + 1]]
                ids[place, : len(tokens)] = tokens
                mask[place, : len(tokens)] = 1
                first = rows.prompt_lengths[number]
                labels[place, first : len(tokens)] = tokens[first:]
            batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
            tensors = {key: torch.from_numpy(each).to(self.device) for key, each in batch.items()}
            with torch.autocast(self.device, torch.bfloat16, enabled=half):
                loss = model(**tensors).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return self._seconds(started)

    def trl(self, steps: int) -> float:
        """TRL's supervised fine-tuning of prompts and completions."""
        from datasets import Dataset  # noqa: PLC0415
        from trl import SFTConfig, SFTTrainer  # noqa: PLC0415

        texts = next(prompts_and_completions(self._dataset, "train"))
        rows = Dataset.from_dict(dict(zip(("prompt", "completion"), texts, strict=True)))
        on_cpu: dict[str, Any] = {"use_cpu": True, "bf16": False} if self.device == "cpu" else {}
        trainer = SFTTrainer(
            self._model(),
            SFTConfig(
                str(self._folder / "trl"), max_steps=steps, learning_rate=_LR, report_to="none",
                per_device_train_batch_size=_BATCH_ROWS, save_strategy="no", disable_tqdm=True,
                logging_steps=steps, dataset_num_proc=None, **on_cpu,
            ),
            train_dataset=rows.select(range(min(len(rows), (steps + 1) * _BATCH_ROWS))),
            processing_class=self._tokenizer,
        )  # fmt: skip
        started = time.perf_counter()
        trainer.train()
        return self._seconds(started)

    def bare(self, steps: int, *, fused: bool = False) -> float:
        """The batches of ours, and nothing but PyTorch."""
        model = self._model()
        if self.device == "cpu":
            model.set_attn_implementation("eager")
        optimizer = torch.optim.AdamW(model.parameters(), lr=_LR, fused=fused)
        started = time.perf_counter()
        order = batch_order(self._rows.lengths, _BATCH_ROWS, seed=0, start_step=0)
        numbers = list(itertools.islice(order, steps))
        for each in numbers:
            batch = make_batch(self._rows, each, prompt_weight=0.0, device=self.device)
            wanted = batch.weights > 0
            with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
                hidden = model.base_model(input_ids=batch.input_ids, use_cache=False)
                logits = model.get_output_embeddings()(hidden.last_hidden_state[wanted])
            F.cross_entropy(logits.float(), batch.targets[wanted]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return self._seconds(started)

    def ours(self, steps: int, *, half: bool = False) -> float:
        """All of it: canary, DeepSpeed, ten validations on 100 rows, ten checkpoints, the log."""
        config = TrainingConfig(
            prompt_weight=0.0, steps=steps, batch_rows=_BATCH_ROWS, lr=_LR,
            precision="bf16" if half or self.device == "cuda" else "fp32",
        )  # fmt: skip
        worker = Worker(
            rank=0, world_size=1, local_rank=0, device=self.device, log=lambda _: None,
            save=_forgotten, is_ending=lambda: False,
            cache=self._folder, restore=None,
        )  # fmt: skip
        model, rows = self._model(), Splits(self._rows, self._tokens("validation"))
        started = time.perf_counter()
        fit(model, rows, config, worker)
        return self._seconds(started)

    def _seconds(self, started: float) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started


@contextmanager
def _forgotten(_: Record) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


if __name__ == "__main__":
    main()
