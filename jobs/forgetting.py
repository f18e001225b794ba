"""The forgetting step: the models of a curriculum's stages side by side, on every kind of item.

    python -m jobs.forgetting --recipe curriculum --store runs
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cluster.artifact import ArtifactRef
from cluster.errors import UserError
from cluster.manifest import Manifest
from cluster.steps import StepContext, StepKind
from tinysql.evaluate.forgetting import ForgettingConfig, Trained, forgetting_matrix


@dataclass(frozen=True)
class _Lineage:
    """The trainings behind an evaluated model, and what they started from."""

    root: str
    trainings: dict[str, Manifest]
    """By path, the last one first."""

    @property
    def trained(self) -> Trained:
        metrics = [manifest.metrics for manifest in self.trainings.values()]
        steps, tokens = (
            sum(int(str(each[name])) for each in metrics) for name in ("steps", "tokens")
        )
        return Trained(steps, tokens)


def run(context: StepContext, config: ForgettingConfig) -> dict[str, Any]:
    """Set the evaluations beside each other: matrix.json and matrix.html."""
    # Only now: planning and --help do without Arrow and templates.
    from tinysql.evaluate.matrix_page import write_matrix_page  # noqa: PLC0415
    from tinysql.evaluate.predictions import read_evaluation  # noqa: PLC0415

    lineages = {name: _lineage(context, name) for name in config.models}
    _check_stages(lineages, config)
    _check_scored_alike(context, config)
    rows = {name: read_evaluation(context.input(name)) for name in config.models}
    trained = {name: lineage.trained for name, lineage in lineages.items()}
    matrix = forgetting_matrix(rows, trained, config)
    context.put_json("matrix.json", matrix.as_json())
    with context.results() as folder:
        write_matrix_page(folder / "matrix.html", matrix, title=context.step.name)
    return {
        "rates": {line.model: {c.bucket: c.rate for c in line.cells} for line in matrix.lines},
        "tokens": {name: each.tokens for name, each in trained.items()},
        "words": matrix.in_words(),
    }


def _lineage(context: StepContext, role: str) -> _Lineage:
    evaluation = context.inputs[role].manifest()
    trainings: dict[str, Manifest] = {}
    parent = evaluation.parents["model"]
    while True:
        manifest = ArtifactRef(context.store, parent.path, parent.manifest_sha256).manifest()
        if manifest.kind != "model":
            return _Lineage(parent.path, trainings)
        trainings[parent.path] = manifest
        parent = manifest.parents["base"]


def _check_stages(lineages: Mapping[str, _Lineage], config: ForgettingConfig) -> None:
    """Raises UserError unless each stage goes on from the one before it, all from one base."""
    first = config.models[0]
    for name in config.models[1:]:
        if lineages[name].root != lineages[first].root:
            raise UserError(
                f"stages and control: {name!r} comes from {lineages[name].root} and {first!r} from "
                f"{lineages[first].root}, expected models of one base"
            )
    for before, after in pairwise(config.stages):
        earlier, later = (list(lineages[name].trainings) for name in (before, after))
        if len(later) <= len(earlier) or later[len(later) - len(earlier) :] != earlier:
            raise UserError(
                f"stages: the model of {after!r} was not trained from that of {before!r}; expected "
                "evaluations of the stages in the order of training"
            )


def _check_scored_alike(context: StepContext, config: ForgettingConfig) -> None:
    """Raises UserError where one evaluation judged otherwise than the first."""
    configs = {
        name: {**context.inputs[name].manifest().config, "compare": None} for name in config.models
    }
    first = config.models[0]
    for name, found in configs.items():
        for field, value in found.items():
            if value != configs[first][field]:
                raise UserError(
                    f"stages and control: {field} of evaluation {name!r} is {value!r} and of "
                    f"{first!r} {configs[first][field]!r}, expected the same"
                )


def _slug(config: ForgettingConfig) -> str:
    return f"{config.by}-{len(config.models)}models"


KIND: StepKind = StepKind(
    "forgetting", 1, ForgettingConfig, lambda config: config.models, run, _slug
)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("forgetting"))
