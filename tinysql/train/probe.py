"""How many answers of a model in training are right when they are run: a small sample of rows.

The exact match of validation costs one pass and says what greedy decoding would write; this decodes
and runs, and so counts an answer that is right in other words.
"""

from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tinysql.data.prompts import format_completion, format_prompt
from tinysql.evaluate.config import ScoreConfig
from tinysql.evaluate.decode import greedy
from tinysql.evaluate.score import read_rows, score

Probe = Callable[[PreTrainedModel], int]
"""The number of a rank's rows that the model answers rightly."""


def execution_probe(
    dataset: Path,
    tokenizer: PreTrainedTokenizerFast,
    num_rows: int,
    *,
    rank: int,
    world_size: int,
) -> Probe:
    """A probe of this rank's share of the first validation rows, by greedy decoding.

    Raises InputError: there are not as many.
    """
    rows = read_rows(dataset, "validation", 0, num_rows)[rank::world_size]
    prompts = [format_prompt(row["question"], row["schema_sql"]) for row in rows]
    golds = [format_completion(row["gold_sql"]) for row in rows]
    # With the end of sequence; what is longer than every gold is cut off, and wrong.
    most = 1 + max((len(ids) for ids in tokenizer(golds)["input_ids"]), default=0)

    def probe(model: PreTrainedModel) -> int:
        if not rows:
            return 0
        answers = greedy(model, tokenizer, prompts, max_new_tokens=most)
        scored = score(rows, [answer.text for answer in answers], ScoreConfig())
        return sum(each.strict for each in scored)

    return probe
