"""A model's activations at one site over a dataset, as an endless shuffled stream of tokens.

Rows are drawn in a random order, tokenized as prompt + gold SQL, and run only up to the site.
Padding and the first tokens of every row are left out: pads carry no text, and the first position
of many models is an attention sink whose norm dwarfs all others. Tokens are shuffled within a
buffer of which half is replaced at a time.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tinysql.data.files import split_files
from tinysql.data.prompts import format_completion, format_prompt
from tinysql.interp.sites import Site
from tinysql.interp.tracing import Prompts, TracedModel, read_sites
from tinysql.models.tokenizer import leading_tokens

ROWS_PER_CHUNK = 1024
ROWS_PER_BATCH = 64


class TextBatch(NamedTuple):
    """Right-padded rows and which of their tokens count, (batch, pos)."""

    prompts: Prompts
    keep: Tensor


def load_texts(dataset: Path, split: str) -> list[str]:
    """Prompt and gold SQL of every row of a split, in file order."""
    names = ["question", "schema_sql", "gold_sql"]
    files = split_files(dataset, split)
    rows = pa.concat_tables([pq.read_table(file, columns=names) for file in files])
    return [
        format_prompt(question, schema_sql) + format_completion(gold_sql)
        for question, schema_sql, gold_sql in zip(
            *(rows[name].to_pylist() for name in names), strict=True
        )
    ]


def text_batches(
    texts: list[str],
    tokenizer: PreTrainedTokenizerFast,
    *,
    skip_positions: int,
    device: torch.device,
    generator: torch.Generator | None,
) -> Iterator[TextBatch]:
    """Batches of rows of similar length: endless and shuffled, or once in order without generator.

    Args:
        skip_positions: the first tokens of every text that do not count, nor do those that the
            tokenizer begins texts with.
    """
    begin = leading_tokens(tokenizer)
    skip_positions += len(begin)
    while True:
        order = (
            range(len(texts))
            if generator is None
            else torch.randperm(len(texts), generator=generator).tolist()
        )
        for first in range(0, len(texts), ROWS_PER_CHUNK):
            chunk = [texts[i] for i in order[first : first + ROWS_PER_CHUNK]]
            bare = tokenizer(chunk, add_special_tokens=False)["input_ids"]
            ids = sorted(([*begin, *each] for each in bare), key=len)
            batches = [ids[i : i + ROWS_PER_BATCH] for i in range(0, len(ids), ROWS_PER_BATCH)]
            # In random order even without a generator: whoever stops early must not have seen the
            # shortest rows alone.
            mixing = generator or torch.Generator().manual_seed(first)
            for number in torch.randperm(len(batches), generator=mixing).tolist():
                yield _pad(batches[number], skip_positions, device)
        if generator is None:
            return


def site_activations(
    traced: TracedModel, site: Site, batches: Iterator[TextBatch]
) -> Iterator[Tensor]:
    """Per batch the activations (tokens, width) of the tokens that count."""
    for batch in batches:
        yield read_sites(traced, batch.prompts, [site])[0][batch.keep]


def shuffled(
    chunks: Iterator[Tensor], *, batch_tokens: int, buffer_tokens: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Batches (batch_tokens, width) drawn at random from a buffer that is half full at least."""
    buffer: list[Tensor] = []
    held = 0
    for chunk in chunks:
        buffer.append(chunk)
        held += len(chunk)
        if held < buffer_tokens:
            continue
        merged = torch.cat(buffer)
        order = torch.randperm(held, generator=generator).to(merged.device)
        batches = max(held // 2 // batch_tokens, 1)
        for picked in order[: batches * batch_tokens].split(batch_tokens):
            yield merged[picked]
        buffer = [merged[order[batches * batch_tokens :]]]
        held = len(buffer[0])


def _pad(ids: list[list[int]], skip_positions: int, device: torch.device) -> TextBatch:
    longest = max(map(len, ids))
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    # The padding token is never attended to, so any id serves.
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
    keep = mask.bool()
    keep[:, :skip_positions] = False
    return TextBatch(Prompts.of(padded.to(device), mask.to(device)), keep.to(device))
