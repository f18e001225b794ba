"""One shard of an evaluation: decode a slice of the dataset with a model and score it."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinysql.data.prompts import format_prompt
from tinysql.evaluate.config import EvaluationConfig
from tinysql.evaluate.decode import greedy
from tinysql.evaluate.predictions import write_predictions
from tinysql.evaluate.proof import prove_decoding
from tinysql.evaluate.score import read_rows, score
from tinysql.evaluate.tally import Tally
from tinysql.models.files import load_model

_log = logging.getLogger(__name__)


def evaluate_shard(
    out_dir: Path,
    *,
    model: Path,
    dataset: Path,
    name: str,
    start: int,
    stop: int,
    config: EvaluationConfig | Mapping[str, Any],
    device: str = "cpu",
    batch_size: int = 64,
) -> dict[str, Any]:
    """The counts of rows start to stop - 1; their predictions are written to {name}.parquet.

    Args:
        model: Hugging Face directory with the tokenizer.
        dataset: directory of {split}-*.parquet files.
        name: file name without its ending, such as "predictions-00000".
        batch_size: prompts decoded at once; does not change the result.
    """
    config = EvaluationConfig.model_validate(config)
    began = time.monotonic()
    rows = read_rows(dataset, config.split, start, stop)
    # Full precision: in half precision near ties, and so the answers, depend on the batch.
    network, tokenizer = load_model(model, device=device)
    prompts = [format_prompt(row["question"], row["schema_sql"]) for row in rows]
    if start == 0:
        prove_decoding(network, tokenizer, prompts, max_new_tokens=config.max_new_tokens)
    completions = greedy(
        network,
        tokenizer,
        prompts,
        max_new_tokens=config.max_new_tokens,
        batch_size=batch_size,
    )
    decoded = time.monotonic()
    predictions = score(rows, [completion.text for completion in completions], config)
    out_dir.mkdir(parents=True, exist_ok=True)
    write_predictions(out_dir / f"{name}.parquet", predictions)
    scored = time.monotonic()
    _log.info("%s: decoded in %.1f s, scored in %.1f s", name, decoded - began, scored - decoded)
    tally = Tally()
    for each, completion in zip(predictions, completions, strict=True):
        tally.add(each, truncated=completion.truncated)
    return {"tally": tally.counts(), "seconds": scored - began}
