"""What the trials of a sweep came to: one table, and the best training for each dataset."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tinysql.errors import InputError
from tinysql.train.sweep import DATASET, SweepConfig, Trial, trials_of

FINISHED = "finished"


class Outcome(NamedTuple):
    """How a trial ended."""

    ended: str
    """finished: at its last step; stopped: given up by ASHA; diverged: its loss was no number."""
    reason: str
    rows: list[dict[str, Any]]
    """The validation records of its log, in the order of steps."""


def write_outcomes(
    folder: Path, config: SweepConfig, outcomes: Sequence[Outcome]
) -> dict[str, Any]:
    """Write trials.parquet, table.md and best.yaml, and return the key metrics.

    The files have no clock, so that the same trainings give the same files; the metrics have the
    seconds of each trial.

    Raises InputError: on some dataset, no trial came to its last step.
    """
    trials = trials_of(config)
    rows = [_row(*pair) for pair in zip(trials, outcomes, strict=True)]
    best = {role: _best(config, trials, rows, role) for role in config.datasets}
    for place, row in enumerate(rows):
        row["best"] = place in best.values()
    pq.write_table(_table(config, trials, rows), folder / "trials.parquet")
    (folder / "table.md").write_text(_markdown(config, trials, rows))
    (folder / "best.yaml").write_text(_recipe(config, trials, best))
    ended = [row["outcome"] for row in rows]
    return {
        "trials": len(rows),
        **{name: ended.count(name) for name in (FINISHED, "stopped", "diverged")},
        "best": {role: _winner(trials[place], rows[place]) for role, place in best.items()},
        "seconds": {
            trial.name: outcome.rows[-1]["seconds"] if outcome.rows else 0.0
            for trial, outcome in zip(trials, outcomes, strict=True)
        },
    }


def _row(trial: Trial, outcome: Outcome) -> dict[str, Any]:
    last = outcome.rows[-1] if outcome.rows else {}
    return {
        "trial": trial.name,
        "outcome": outcome.ended,
        "steps_done": last.get("step", 0),
        "tokens": last.get("tokens", 0),
        "validation_loss": last.get("loss"),
        "validation_exact_match": last.get("exact_match"),
        "reason": outcome.reason,
    }


def _best(
    config: SweepConfig, trials: Sequence[Trial], rows: Sequence[dict[str, Any]], role: str
) -> int:
    """The place of the best trial on a dataset; of equal ones the first."""
    ours = [place for place, trial in enumerate(trials) if trial.dataset == role]
    finished = [place for place in ours if rows[place]["outcome"] == FINISHED]
    if not finished:
        reason = next((rows[place]["reason"] for place in ours if rows[place]["reason"]), "")
        raise InputError(f"no trial on {role} came to its last step: {reason}")
    return min(finished, key=lambda place: _order(config, rows[place]))


def _order(config: SweepConfig, row: dict[str, Any]) -> tuple[float, float]:
    """Smallest for the best."""
    loss, exact = row["validation_loss"], row["validation_exact_match"]
    return (loss, -exact) if config.metric == "validation_loss" else (-exact, loss)


def _winner(trial: Trial, row: dict[str, Any]) -> dict[str, Any]:
    shown = ("trial", "steps_done", "tokens", "validation_loss", "validation_exact_match")
    return {"settings": trial.settings, **{name: row[name] for name in shown}}


def _table(
    config: SweepConfig, trials: Sequence[Trial], rows: Sequence[dict[str, Any]]
) -> pa.Table:
    columns: dict[str, pa.Array] = {"trial": pa.array([trial.name for trial in trials])}
    for field in config.grid:
        values = [trial.settings[field] for trial in trials]
        try:
            columns[field] = pa.array(values)
        except pa.ArrowException:
            # Values of several types, such as all-linear and a list of names.
            columns[field] = pa.array([json.dumps(value) for value in values])
    numbers = {"steps_done": pa.int64(), "tokens": pa.int64(), "best": pa.bool_()}
    numbers |= {"validation_loss": pa.float64(), "validation_exact_match": pa.float64()}
    for name, values in {name: [row[name] for row in rows] for name in rows[0]}.items():
        columns[name] = pa.array(values, numbers.get(name, pa.string()))
    return pa.table(columns)


def _markdown(
    config: SweepConfig, trials: Sequence[Trial], rows: Sequence[dict[str, Any]]
) -> str:
    """The trials, best first within a dataset, and those that did not finish last."""

    def order(place: int) -> tuple[Any, ...]:
        row = rows[place]
        unfinished = row["outcome"] != FINISHED
        how_good = (0.0, 0.0) if row["validation_loss"] is None else _order(config, row)
        dataset = config.datasets.index(trials[place].dataset)
        return dataset, unfinished, -row["steps_done"], how_good

    headings = [*config.grid, "outcome", "steps", "tokens", "loss", "exact match"]
    lines = [["trial", *headings], ["---"] * (1 + len(headings))]
    for place in sorted(range(len(rows)), key=order):
        row = rows[place]
        name = f"**{row['trial']}**" if row["best"] else row["trial"]
        tried = [_text(value) for value in trials[place].settings.values()]
        loss, exact = row["validation_loss"], row["validation_exact_match"]
        figures = [f"{each:.4f}" if each is not None else "" for each in (loss, exact)]
        counts = [row["outcome"], f"{row['steps_done']}", f"{row['tokens']}"]
        lines.append([name, *tried, *counts, *figures])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _recipe(config: SweepConfig, trials: Sequence[Trial], best: dict[str, int]) -> str:
    """The steps of a recipe that train the best models."""
    parts = []
    for role, place in best.items():
        trial, rivals = trials[place], sum(each.dataset == role for each in trials)
        settings = ", ".join(f"{name} {_text(value)}" for name, value in trial.settings.items())
        uses = {} if role == DATASET else {"uses": {DATASET: role}}
        training = trial.training.model_dump(mode="json", exclude_defaults=True)
        step = {f"model{role.removeprefix(DATASET)}": {"kind": "model", **uses, "config": training}}
        parts.append(
            f"# {trial.name}, the best of {rivals} on {role} by {config.metric}: {settings}\n"
            + yaml.safe_dump(step, sort_keys=False)
        )
    return "".join(parts)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
