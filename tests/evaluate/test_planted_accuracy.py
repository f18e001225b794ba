"""A model that knows k of n answers scores exactly k/n, however its prompts are batched."""

from pathlib import Path

import numpy as np
import pytest
from small_models import learnt_by_heart

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows
from tinysql.data.prompts import format_completion, format_prompt
from tinysql.evaluate.config import ScoreConfig
from tinysql.evaluate.decode import greedy
from tinysql.evaluate.scoring import score_all
from tinysql.evaluate.teacher import teacher_forced
from tinysql.models.files import Loaded, load_model

NUM_ROWS, NUM_KNOWN = 7, 4
CONFIG = DatasetConfig(command_sets=(1,), max_columns=2, train_rows=NUM_ROWS)
ROWS = generate_rows(CONFIG, "train", np.arange(NUM_ROWS)).to_pylist()
PROMPTS = [format_prompt(row["question"], row["schema_sql"]) for row in ROWS]
GOLDS = [format_completion(row["gold_sql"]) for row in ROWS]
WRONG = " SELECT 1"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder: Path = tmp_path_factory.mktemp("planted")
    learnt_by_heart(PROMPTS, [*GOLDS[:NUM_KNOWN], *[WRONG] * (NUM_ROWS - NUM_KNOWN)], folder)
    return load_model(folder)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_planted_accuracy_is_found(planted: Loaded, batch_size: int, padding_side: str) -> None:
    model, tokenizer = planted
    tokenizer.padding_side = padding_side
    answers = greedy(model, tokenizer, PROMPTS, max_new_tokens=48, batch_size=batch_size)
    asked = [
        {**row, "pred_sql": answer.text} for row, answer in zip(ROWS, answers, strict=True)
    ]
    known = [True] * NUM_KNOWN + [False] * (NUM_ROWS - NUM_KNOWN)
    scored = score_all(asked, ScoreConfig(num_databases=2))
    assert [each.strict for each in scored] == known
    assert [each.exact_match for each in scored] == known
    assert teacher_forced(model, tokenizer, PROMPTS, GOLDS, batch_size=batch_size) == known
