"""The model step: the base model fine-tuned on the dataset, under Ray Train and DeepSpeed.

    python -m jobs.model --recipe quickstart --store runs
"""

from typing import Any

from cluster.steps import Resources, StepContext, StepKind
from tinysql.train.config import TrainingConfig, identify_training


def run(context: StepContext, config: TrainingConfig) -> dict[str, Any]:
    """Fine-tune, resuming from the last checkpoint when there is one."""
    from cluster.gang import run_gang  # noqa: PLC0415

    receipt = run_gang(
        context, "tinysql.train.finetune.finetune", {"config": config},
        gpu=True, shared_rows=config.shared_rows, best="validation_loss",
    )  # fmt: skip
    context.include(receipt)
    return receipt.metrics


def _slug(config: TrainingConfig) -> str:
    how = config.optimizer if config.method == "full" else config.method
    return f"{how}-{config.steps}x{config.batch_rows}"


def _check(config: TrainingConfig, resources: Resources) -> None:
    if resources.workers is not None:
        config.rows_per_worker(resources.workers)


KIND: StepKind = StepKind(
    "model", 1, TrainingConfig, lambda _: ("base", "dataset"), run, _slug, identify_training,
    check=_check,
)  # fmt: skip

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("model"))
