"""The evaluation step: the model's answers to a split, scored by execution.

    python -m jobs.evaluation --recipe quickstart --store runs
"""

import io
from typing import Any, cast

from cluster.errors import UserError
from cluster.steps import StepContext, StepKind
from tinysql.evaluate.config import EvaluationConfig

SHARD_ROWS = 250
_METRICS = ("n", "execution", "equivalent", "exact", "verdicts", "mutation_score")


def run(context: StepContext, config: EvaluationConfig) -> dict[str, Any]:
    """Score every shard of the split, and add the summary and the page."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415
    from tinysql.errors import InputError  # noqa: PLC0415
    from tinysql.evaluate.predictions import PREFIX, read_predictions  # noqa: PLC0415
    from tinysql.evaluate.results import write_results  # noqa: PLC0415
    from tinysql.evaluate.tally import merged  # noqa: PLC0415

    num_rows = _num_rows(context, config)
    shards = []
    for number, start in enumerate(range(0, num_rows, SHARD_ROWS)):
        name = f"{PREFIX}{number:05d}"
        stop = min(start + SHARD_ROWS, num_rows)
        arguments = {"name": name, "start": start, "stop": stop, "config": config}
        shards.append(Shard(name, arguments))
    receipts = map_shards(
        context, "tinysql.evaluate.shard.evaluate_shard", shards,
        gpu=True, roles=("model", "dataset"),
    )  # fmt: skip
    for receipt in receipts:
        context.include(receipt)
    rows = [
        row
        for receipt in receipts
        for ref in receipt.objects
        for row in read_predictions(io.BytesIO(context.store.read(ref.key)))
    ]
    counts = [cast("dict[str, Any]", receipt.metrics["tally"]) for receipt in receipts]
    base_rows = _baseline(context) if config.compare else None
    with context.results() as folder:
        try:
            summary = write_results(
                folder, merged(counts), rows, base_rows,
                title=context.step.name, about=_about(context),
            )  # fmt: skip
        except InputError as error:
            raise UserError(f"{context.step.name}: {error}") from error
    return {key: summary[key] for key in _METRICS}


def _num_rows(context: StepContext, config: EvaluationConfig) -> int:
    objects = context.inputs["dataset"].manifest().objects
    rows = sum(ref.rows or 0 for ref in objects if ref.name.startswith(f"{config.split}-"))
    return rows if config.limit is None else min(rows, config.limit)


def _baseline(context: StepContext) -> list[dict[str, Any]]:
    from tinysql.evaluate.predictions import read_evaluation  # noqa: PLC0415

    return read_evaluation(context.input("baseline"))


def _about(context: StepContext) -> dict[str, str]:
    """What was evaluated: the path of each parent, by its role."""
    return {role: parent.path for role, parent in context.step.parents.items()}


def _roles(config: EvaluationConfig) -> tuple[str, ...]:
    return ("model", "dataset", "baseline") if config.compare else ("model", "dataset")


KIND: StepKind = StepKind(
    "evaluation", 3, EvaluationConfig, _roles, run, lambda config: config.split
)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("evaluation"))
