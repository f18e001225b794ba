"""Clean and corrupted prompts of equal token length that differ in exactly one cause.

A prompt holds the question, the schema and the SQL up to just before the token that tells the
clean from the corrupted answer; that token is never in it. Where a tokenizer splits names, the
pieces that both answers share belong to the prompt. What is corrupted, and how: corruptions.py.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerFast

from tinysql.data.files import split_files
from tinysql.errors import InputError
from tinysql.interp.config import FEATURES, Feature, PairsConfig
from tinysql.interp.corruptions import CORRUPT, Vocabulary
from tinysql.interp.roles import (
    Piece,
    Row,
    replace_pieces,
    row_pieces,
    text_of,
    token_pieces,
    token_roles,
)
from tinysql.models.files import load_tokenizer

PAIR_SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "feature": pa.string(),
        "clean_text": pa.string(),
        "corrupted_text": pa.string(),
        "clean_ids": pa.list_(pa.int32()),
        "corrupted_ids": pa.list_(pa.int32()),
        "clean_answer": pa.string(),
        "corrupted_answer": pa.string(),
        "clean_answer_id": pa.int32(),
        "corrupted_answer_id": pa.int32(),
        "roles": pa.list_(pa.string()),
        "changed_positions": pa.list_(pa.int32()),
    }
)


def generate_pairs(
    out_dir: Path, *, model: Path, dataset: Path, config: PairsConfig
) -> dict[str, int]:
    """Write pairs.parquet and summary.json under `out_dir`; returns the pairs per feature.

    Args:
        model: directory with a fast tokenizer.
        dataset: directory with the dataset's Parquet files.

    Raises:
        InputError: a requested feature cannot be expressed by any row of the split.
    """
    rows = _read_rows(dataset, config.split)
    tokenizer = load_tokenizer(model)
    vocabulary = Vocabulary(rows, tokenizer)
    pairs: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    for feature in config.features:
        found, skipped = _feature_pairs(feature, rows, vocabulary, config)
        if not found:
            reason = skipped.most_common(1)[0][0] if skipped else "the split has no rows"
            raise InputError(
                f"features: got {feature}, expected rows in the {config.split} split that express "
                f"it, found none ({reason}); drop the feature or use another dataset"
            )
        summary[feature] = {
            "pairs": len(found),
            "requested": config.pairs_per_feature,
            "skipped": dict(sorted(skipped.items())),
        }
        pairs += found
    pq.write_table(pa.Table.from_pylist(pairs, PAIR_SCHEMA), out_dir / "pairs.parquet")
    (out_dir / "summary.json").write_text(json.dumps({"features": summary}, indent=2) + "\n")
    return {"pairs": len(pairs)} | {name: entry["pairs"] for name, entry in summary.items()}


def _read_rows(dataset: Path, split: str) -> list[dict[str, Any]]:
    files = split_files(dataset, split)
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def _feature_pairs(
    feature: Feature, rows: Sequence[Row], vocabulary: Vocabulary, config: PairsConfig
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The first `pairs_per_feature` pairs in row order, and the rows skipped by reason."""
    found: list[dict[str, Any]] = []
    skipped: Counter[str] = Counter()
    for row in rows:
        if len(found) == config.pairs_per_feature:
            break
        rng = np.random.default_rng([config.seed, FEATURES.index(feature), row["id"]])
        pair = _build_pair(feature, row, vocabulary, rng)
        if isinstance(pair, str):
            skipped[pair] += 1
        else:
            found.append({"id": row["id"], "feature": feature} | pair)
    return found, skipped


def _build_pair(
    feature: Feature, row: Row, vocabulary: Vocabulary, rng: np.random.Generator
) -> dict[str, Any] | str:
    """A pair's columns, or the reason why the row gives none."""
    pieces = row_pieces(row)
    if pieces is None:
        return "the row's text has another layout"
    corruption = CORRUPT[feature](row, vocabulary, rng)
    if isinstance(corruption, str):
        return corruption
    clean = _tokenize(pieces, vocabulary.tokenizer)
    corrupted = _tokenize(replace_pieces(pieces, corruption.texts), vocabulary.tokenizer)
    answer = _first_difference(clean, corrupted)
    if answer is None:
        return "the texts differ in length"
    if any(text.key_at(answer) != corruption.answer for text in (clean, corrupted)):
        return "one answer begins with the other"
    changed = [i for i in range(answer) if clean.ids[i] != corrupted.ids[i]]
    if not all(clean.key_at(i) in corruption.texts for i in changed):
        return "the replacement changes its neighbors' tokens"
    roles = token_roles(clean.pieces[:answer], corruption.targets)
    return {
        "clean_text": clean.text_before(answer),
        "corrupted_text": corrupted.text_before(answer),
        "clean_ids": clean.ids[:answer],
        "corrupted_ids": corrupted.ids[:answer],
        "clean_answer": vocabulary.tokenizer.decode([clean.ids[answer]]),
        "corrupted_answer": vocabulary.tokenizer.decode([corrupted.ids[answer]]),
        "clean_answer_id": clean.ids[answer],
        "corrupted_answer_id": corrupted.ids[answer],
        "roles": roles,
        "changed_positions": changed,
    }


@dataclass(frozen=True)
class _Tokens:
    text: str
    ids: list[int]
    ends: list[int]  # of each token, in characters
    pieces: list[Piece | None]

    def key_at(self, position: int) -> str:
        piece = self.pieces[position]
        return "" if piece is None else piece.key

    def text_before(self, position: int) -> str:
        return self.text[: self.ends[position - 1]]

    @cached_property
    def completion(self) -> int:
        """Position of the first token of the SQL."""
        return next(
            i for i, piece in enumerate(self.pieces) if piece and piece.role.startswith("sql_")
        )


def _tokenize(pieces: Sequence[Piece], tokenizer: PreTrainedTokenizerFast) -> _Tokens:
    text = text_of(pieces)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = encoded["offset_mapping"]
    ends = [end for _, end in offsets]
    return _Tokens(text, encoded["input_ids"], ends, token_pieces(text, offsets, pieces))


def _first_difference(clean: _Tokens, corrupted: _Tokens) -> int | None:
    """Position of the first token of the SQL that differs; None if the prompts' lengths differ."""
    if clean.completion != corrupted.completion:
        return None
    positions = range(clean.completion, min(len(clean.ids), len(corrupted.ids)))
    return next((i for i in positions if clean.ids[i] != corrupted.ids[i]), None)
