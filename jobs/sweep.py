"""The sweep step: trainings from one base model over a grid of settings and datasets.

    python -m jobs.sweep --recipe sweep --store runs
"""

from typing import Any, cast

from cluster.errors import UserError
from cluster.steps import StepContext, StepKind
from tinysql.train.sweep import SweepConfig, identify_sweep, trials_of


def run(context: StepContext, config: SweepConfig) -> dict[str, Any]:
    """Train every trial as far as it is worth it, and add the table and the best training."""
    from cluster.sweep import Asha, run_trials  # noqa: PLC0415
    from cluster.trials import Trial  # noqa: PLC0415
    from tinysql.errors import InputError  # noqa: PLC0415
    from tinysql.train.outcomes import Outcome, write_outcomes  # noqa: PLC0415

    trials = [
        Trial(
            trial.name,
            inputs={"base": "base", "dataset": trial.dataset},
            arguments={"config": trial.training},
            group=trial.dataset,
        )
        for trial in trials_of(config)
    ]
    asha = None
    if config.asha is not None:
        asha = Asha(
            metric=config.key,
            mode="min" if config.key == "loss" else "max",
            grace_steps=config.grace_steps,
            max_steps=config.most_steps,
            reduction_factor=config.asha.reduction_factor,
        )
    receipts = run_trials(
        context, "tinysql.train.trial.train_trial", trials, gpu=True, asha=asha
    )
    for receipt in receipts:
        context.include(receipt)
    outcomes = [Outcome(**cast("dict[str, Any]", receipt.metrics)) for receipt in receipts]
    with context.results() as folder:
        try:
            metrics = write_outcomes(folder, config, outcomes)
        except InputError as error:
            raise UserError(f"{context.step.name}: {error}") from error
    return metrics


def _note(config: SweepConfig) -> str:
    return f"{len(trials_of(config))} trials"


def _slug(config: SweepConfig) -> str:
    return "-x-".join(name.rpartition(".")[2] for name in config.grid)


KIND: StepKind = StepKind(
    "sweep", 1, SweepConfig, lambda config: ("base", *config.datasets), run, _slug,
    identify_sweep, _note,
)  # fmt: skip

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("sweep"))
