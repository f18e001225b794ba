"""Several answers per question: how often one of k is right, and whether the usual one is.

An execution-majority vote groups answers by what they give on the question's databases and takes
the first of the largest group. Source: major_voting of RUCKBReasoning/OmniSQL, evaluate_bird.py,
which votes by the sets of rows on one database; these are bags, on all databases.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from tinysql.evaluate.config import ScoreConfig
from tinysql.evaluate.golds import golds_of, runner
from tinysql.evaluate.items import item_of
from tinysql.evaluate.sampling import majority, pass_at_k
from tinysql.evaluate.scoring import ScoreRow
from tinysql.evaluate.stats import rate
from tinysql.evaluate.verdicts import Scored
from tinysql.sql.worker import Worker, WorkerDied, WorkerTimeout

_SECONDS_PER_ANSWER = 60.0


def vote(row: ScoreRow, pred_sqls: Sequence[str], config: ScoreConfig, worker: Worker) -> int:
    """The number of the answer that most others agree with; 0 where none runs.

    Everything is run in the worker, which may stall or crash over one answer: that has no vote.
    """
    found: dict[str, str | None] = {}
    for pred_sql in dict.fromkeys(pred_sqls):
        try:
            found[pred_sql] = worker.call(
                answers_on_databases, row, pred_sql, config, timeout=_SECONDS_PER_ANSWER
            )
        except (WorkerTimeout, WorkerDied, MemoryError):
            found[pred_sql] = None
    return majority([found[pred_sql] for pred_sql in pred_sqls]) or 0


def answers_on_databases(row: ScoreRow, pred_sql: str, config: ScoreConfig) -> str | None:
    """The same for all predictions that give the same bags of rows; None for one that fails."""
    run = runner(config)
    digest = hashlib.sha256()
    for database in golds_of(item_of(row), config, run).databases:
        result = run(pred_sql, database)
        if result.error is not None:
            return None
        digest.update(repr((len(result.columns), sorted(map(repr, result.rows)))).encode())
    return digest.hexdigest()


def of_samples(samples: Sequence[Sequence[Scored]], votes: Sequence[int]) -> dict[str, Any]:
    """Mean pass@k over the questions for k = 1, 2, 4, ..., and the rate of the voted answers."""
    num_samples = min(map(len, samples))
    sizes = [2**power for power in range(num_samples.bit_length())]
    rights = [sum(each.strict for each in group) for group in samples]
    voted = [group[number].strict for group, number in zip(samples, votes, strict=True)]
    found = rate(sum(voted), len(voted))
    return {
        "num_samples": num_samples,
        "pass_at": {k: sum(pass_at_k(num_samples, c, k) for c in rights) / len(rights)
                    for k in sizes},
        "majority": {"k": found.k, "n": found.n, "rate": found.rate, "low": found.low,
                     "high": found.high},
    }  # fmt: skip
