"""The evaluation step: the model's answers to a split, scored by execution.

    python -m jobs.evaluation --recipe quickstart --store runs
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cluster.steps import StepContext, StepKind
from tinysql.evaluate.score import EvaluationConfig, summarize

SHARD_ROWS = 250
_METRICS = ("n", "execution", "equivalent", "exact", "verdicts", "mutation_score")


def run(context: StepContext, config: EvaluationConfig) -> dict[str, Any]:
    """Score every shard of the split, and add the summary."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415
    from tinysql.evaluate.shard import evaluate_shard  # noqa: PLC0415

    num_rows = _num_rows(context, config)
    shards = []
    for number, start in enumerate(range(0, num_rows, SHARD_ROWS)):
        name = f"predictions-{number:05d}"
        stop = min(start + SHARD_ROWS, num_rows)
        arguments = {"name": name, "start": start, "stop": stop, "config": config}
        shards.append(Shard(name, arguments))
    receipts = map_shards(context, evaluate_shard, shards, gpu=True)
    for receipt in receipts:
        context.include(receipt)
    summary = summarize([receipt.metrics for receipt in receipts])
    with TemporaryDirectory() as folder:
        (Path(folder) / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
        context.put_dir(Path(folder))
    return {key: summary[key] for key in _METRICS}


def _num_rows(context: StepContext, config: EvaluationConfig) -> int:
    objects = context.inputs["dataset"].manifest().objects
    rows = sum(ref.rows or 0 for ref in objects if ref.name.startswith(f"{config.split}-"))
    return rows if config.limit is None else min(rows, config.limit)


KIND: StepKind = StepKind(
    "evaluation", 2, EvaluationConfig, lambda _: ("model", "dataset"), run,
    lambda config: config.split,
)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("evaluation"))
