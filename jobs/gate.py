"""The gate step: whether a challenger is shown to be no worse than the champion.

    python -m jobs.gate --recipe nightly --store runs
"""

from typing import Any

from cluster.errors import UserError
from cluster.manifest import Manifest
from cluster.steps import StepContext, StepKind
from tinysql.evaluate.gate import NAMES, Check, GateConfig, as_json, judge, judge_speed


def run(context: StepContext, config: GateConfig) -> dict[str, Any]:
    """Check the verdicts on every set of rows: gate.json and gate.html."""
    # Only now: planning and --help do without Arrow and templates.
    from tinysql.evaluate.gate_page import write_gate_page  # noqa: PLC0415
    from tinysql.evaluate.predictions import read_evaluation  # noqa: PLC0415

    checks: list[Check] = []
    for rows in config.rows:
        roles = [f"{name}-{rows}" for name in NAMES]
        champion, challenger = (read_evaluation(context.input(role)) for role in roles)
        try:
            checks += judge(rows, champion, challenger, config)
        except ValueError as error:
            raise UserError(f"{context.step.name}: {rows}: {error}") from error
        made = [context.inputs[role].manifest() for role in roles]
        before, after = map(_seconds_per_answer, made)
        checks += judge_speed(rows, before, after, config, comparable=_are_alike(*made))
    models = {name: _model(context, f"{name}-{config.rows[0]}") for name in NAMES}
    found = as_json(checks)
    context.put_json("gate.json", {"models": models, **found})
    with context.results() as folder:
        write_gate_page(folder / "gate.html", checks, title=context.step.name, models=models)
    return {"passed": found["passed"], "reasons": found["reasons"]}


def _seconds_per_answer(evaluation: Manifest) -> float:
    return (evaluation.cpu_seconds + evaluation.gpu_seconds) / int(str(evaluation.metrics["n"]))


def _are_alike(champion: Manifest, challenger: Manifest) -> bool:
    """Whether one is not of last year, by other code: rows that never change are asked once."""
    return (champion.code, champion.environment) == (challenger.code, challenger.environment)


def _model(context: StepContext, role: str) -> str:
    return context.inputs[role].manifest().parents["model"].path


def _roles(config: GateConfig) -> tuple[str, ...]:
    return tuple(f"{name}-{rows}" for rows in config.rows for name in NAMES)


KIND: StepKind = StepKind("gate", 2, GateConfig, _roles, run, lambda config: "-".join(config.rows))

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("gate"))
