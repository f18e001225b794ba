"""Clean and corrupted prompts of equal token length that differ in exactly one cause.

A prompt holds the question, the schema and the SQL up to just before the token that tells the
clean from the corrupted answer; that token is never in it. Where a tokenizer splits names, the
pieces that both answers share belong to the prompt. What is corrupted, and how: corruptions.py.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerFast

from tinysql.data.files import split_files
from tinysql.data.mentions import with_mentions
from tinysql.data.writing import whole_file
from tinysql.errors import InputError
from tinysql.interp.config import FEATURES, Feature, PairsConfig
from tinysql.interp.features import CORRUPT
from tinysql.interp.pair_files import write_pairs
from tinysql.interp.records import Record
from tinysql.interp.roles import (
    Piece,
    replace_pieces,
    row_pieces,
    text_of,
    token_pieces,
    token_roles,
)
from tinysql.interp.vocabulary import Vocabulary
from tinysql.models.files import load_tokenizer
from tinysql.models.tokenizer import leading_tokens

_MOST_REASONS = 4


def generate_pairs(
    out_dir: Path,
    *,
    model: Path,
    dataset: Path,
    config: PairsConfig,
    name: str = "pairs",
    may_be_empty: bool = False,
) -> dict[str, Any]:
    """Write {name}.parquet under `out_dir`; returns counts in all and per feature.

    Args:
        model: directory with a fast tokenizer.
        dataset: directory with the dataset's Parquet files and card.json.
        may_be_empty: these are some of several features, and the caller checks all of them.

    Raises:
        InputError: no row of the split gives a pair of any feature, or the dataset was not
            generated here.
    """
    records = _read_records(dataset, config.split)
    tokenizer = load_tokenizer(model)
    vocabulary = Vocabulary(records, tokenizer, novel_names=config.novel_names)
    pairs: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    for feature in config.features:
        found, skipped = _feature_pairs(feature, records, vocabulary, config)
        summary[feature] = {
            "pairs": len(found),
            "requested": config.pairs_per_feature,
            "skipped": dict(sorted(skipped.items())),
        }
        pairs += found
    if not may_be_empty:
        check_found(summary, config.split)
    write_pairs(out_dir / f"{name}.parquet", pairs)
    return {"pairs": len(pairs), "features": summary}


def check_found(features: Mapping[str, Any], split: str) -> None:
    """Raise InputError with the commonest reasons when no feature has a pair.

    Args:
        features: entries as `generate_pairs` returns them.
    """
    if any(entry["pairs"] for entry in features.values()):
        return
    skipped: Counter[str] = Counter()
    for entry in features.values():
        skipped.update(entry["skipped"])
    reasons = ", ".join(f"{reason} ({n})" for reason, n in skipped.most_common(_MOST_REASONS))
    raise InputError(
        f"features: got {', '.join(features)}, found no pair in the {split} split: "
        f"{reasons or 'no rows'}; use other features, another tokenizer or another dataset"
    )


def write_summary(out_dir: Path, counts: Sequence[Mapping[str, Any]]) -> None:
    """Write summary.json: what `generate_pairs` returned for some features each."""
    features = {name: entry for each in counts for name, entry in each["features"].items()}
    text = json.dumps({"features": features}, indent=2)
    with whole_file(out_dir / "summary.json") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _read_records(dataset: Path, split: str) -> list[Record]:
    files = split_files(dataset, split)
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    return [Record(row) for row in with_mentions(dataset, split, rows)]


def _feature_pairs(
    feature: Feature, records: Sequence[Record], vocabulary: Vocabulary, config: PairsConfig
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The first `pairs_per_feature` pairs in row order, and the rows skipped by reason."""
    found: list[dict[str, Any]] = []
    skipped: Counter[str] = Counter()
    for record in records:
        if len(found) == config.pairs_per_feature:
            break
        row_id = record.row["id"]
        rng = np.random.default_rng([config.seed, FEATURES.index(feature), row_id])
        pair = _build_pair(feature, record, vocabulary, rng)
        if isinstance(pair, str):
            skipped[pair] += 1
        else:
            found.append({"id": row_id, "feature": feature} | pair)
    return found, skipped


def _build_pair(
    feature: Feature, record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> dict[str, Any] | str:
    """A pair's columns, or the reason why the row gives none."""
    corruption = CORRUPT[feature](record, vocabulary, rng)
    if isinstance(corruption, str):
        return corruption
    pieces = row_pieces(record.row)
    if pieces is None:
        return "the row's mentions overlap"
    clean = _tokenize(pieces, vocabulary.tokenizer)
    corrupted = _tokenize(replace_pieces(pieces, corruption.texts), vocabulary.tokenizer)
    answer = _first_difference(clean, corrupted)
    if answer is None:
        return "the texts differ in length"
    changed = [i for i in range(answer) if clean.ids[i] != corrupted.ids[i]]
    if not changed or not all(clean.key_at(i) in corruption.texts for i in changed):
        return "the replacement changes its neighbors' tokens"
    key, other_key = corruption.answer, corruption.corrupted_answer
    unfit = _unfit(clean.answer(answer, key), corrupted.answer(answer, other_key or key))
    if unfit:
        return unfit
    return {
        "clean_text": clean.text_before(answer),
        "corrupted_text": corrupted.text_before(answer),
        "clean_ids": clean.ids[:answer],
        "corrupted_ids": corrupted.ids[:answer],
        "clean_answer": vocabulary.tokenizer.decode([clean.ids[answer]]),
        "corrupted_answer": vocabulary.tokenizer.decode([corrupted.ids[answer]]),
        "clean_answer_id": clean.ids[answer],
        "corrupted_answer_id": corrupted.ids[answer],
        "answer_position": answer,
        "foil": corruption.foil,
        "roles": token_roles(clean.pieces[:answer], corruption.targets),
        "changed_positions": changed,
    }


class _Answer(NamedTuple):
    """A token that answers: whether it has characters of its mention, or all of them."""

    text: str
    begins: bool
    is_whole: bool


def _unfit(clean: _Answer, corrupted: _Answer) -> str | None:
    """Why two tokens do not stand for the two answers, or None."""
    if not (clean.begins and corrupted.begins):
        return "one answer begins with the other"
    if clean.is_whole != corrupted.is_whole and 1 in (len(clean.text), len(corrupted.text)):
        # A tokenizer of whole words spells out a word that it does not know in that place.
        return "one answer is a word, the other one a letter"
    return None


@dataclass(frozen=True)
class _Tokens:
    text: str
    ids: list[int]
    offsets: list[tuple[int, int]]  # of each token, in characters
    every: Sequence[Piece]
    pieces: list[Piece | None]

    def key_at(self, position: int) -> str:
        """Key of the mention that a token begins in."""
        piece = self.pieces[position]
        return "" if piece is None else piece.key

    def answer(self, position: int, key: str) -> _Answer:
        """A token as the answer that a mention gives."""
        start, end = self.offsets[position]
        text = self.text[start:end].strip()
        stops = accumulate(len(piece.text) for piece in self.every)
        within = [
            piece
            for piece, stop in zip(self.every, stops, strict=True)
            if stop - len(piece.text) < end and start < stop and piece.key == key
        ]
        return _Answer(text, bool(within), any(piece.text.strip() in text for piece in within))

    def text_before(self, position: int) -> str:
        return self.text[: self.offsets[position - 1][1]]

    @cached_property
    def completion(self) -> int:
        """Position of the first token of the SQL."""
        return next(
            i for i, piece in enumerate(self.pieces) if piece and piece.role.startswith("sql_")
        )


def _tokenize(pieces: Sequence[Piece], tokenizer: PreTrainedTokenizerFast) -> _Tokens:
    text = text_of(pieces)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    begin = leading_tokens(tokenizer)
    ids = [*begin, *encoded["input_ids"]]
    offsets = [*((0, 0) for _ in begin), *encoded["offset_mapping"]]
    return _Tokens(text, ids, offsets, pieces, token_pieces(text, offsets, pieces))


def _first_difference(clean: _Tokens, corrupted: _Tokens) -> int | None:
    """Position of the first token of the SQL that differs; None if the prompts' lengths differ."""
    if clean.completion != corrupted.completion:
        return None
    positions = range(clean.completion, min(len(clean.ids), len(corrupted.ids)))
    return next((i for i in positions if clean.ids[i] != corrupted.ids[i]), None)
