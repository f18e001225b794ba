"""The report: one HTML file without any outside reference, built from the artifacts of a recipe.

The page forbids itself every load (Content-Security-Policy) and names its one script by hash, so
text that came from a model can neither run nor call out even if escaping failed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tinysql.report import causal, rows, sections
from tinysql.report.adapters import adapters_view
from tinysql.report.charts import Span, waterfall
from tinysql.report.comparison import comparison_view
from tinysql.report.marking import clip, visible
from tinysql.report.svg import duration, size
from tinysql.report.template import load_template

SECTIONS = (
    ("overview", "Overview"),
    ("steps", "Steps"),
    ("dataset", "Dataset"),
    ("curves", "Learning curves"),
    ("scores", "Scores"),
    ("errors", "Wrong answers"),
    ("comparison", "Base and tuned"),
    ("adapters", "Adapters"),
    ("patching", "Patching"),
    ("saes", "Autoencoders"),
    ("provenance", "Provenance"),
)


@dataclass(frozen=True)
class StepView:
    """One step as the page shows it."""

    name: str
    kind: str
    identity: str
    path: str
    took: str
    memory: str
    config: str
    metrics: str


def build_report(
    out_dir: Path,
    *,
    dataset: Path,
    model: Path,
    evaluation: Path,
    run: Mapping[str, Any],
    base: Path | None = None,
    baseline: Path | None = None,
    adapter_study: Path | None = None,
    pairs: Path | None = None,
    patching: Path | None = None,
    sae: Path | None = None,
) -> dict[str, Any]:
    """Write `out_dir`/report.html.

    Args:
        out_dir: an existing directory.
        dataset, model, evaluation: local artifact directories.
        run: recipe (str), steps (a list of {name, kind, identity, path, seconds,
            peak_memory_bytes, config, metrics}), code_version (str), environment (a dict),
            created_at (str).
        base, baseline, adapter_study, pairs, patching, sae: directories, too; None if the recipe
            has no such step, and then the section says so. The baseline is the evaluation of
            another model on the same rows.

    Returns:
        bytes (size of the page), sections (their ids), wrong_answers (number shown or not).
    """
    failed, wrong = sections.wrong_answers(evaluation)
    trained = [("base model", base), ("model", model)]
    page = load_template("tinysql.report", {"svg": Markup, "value": _value}).render(
        sections=SECTIONS,
        run=run,
        steps=[_step_view(step) for step in run["steps"]],
        total_time=duration(sum(step["seconds"] for step in run["steps"])),
        pipeline=_pipeline(run),
        dataset=rows.dataset_view(dataset),
        curves=[sections.curve(title, path) for title, path in trained if path],
        has_base=base is not None,
        scores=sections.scores_view(evaluation),
        failed=failed,
        wrong=wrong,
        comparison=comparison_view(baseline, evaluation) if baseline else None,
        adapters=adapters_view(adapter_study, run["steps"]) if adapter_study else None,
        features=causal.patching_view(patching, pairs) if patching else None,
        has_pairs=pairs is not None,
        saes=causal.saes_view(sae) if sae else None,
    )
    written = (out_dir / "report.html").write_bytes(visible(page).strip().encode("utf-8"))
    return {
        "bytes": written,
        "sections": [section for section, _ in SECTIONS],
        "wrong_answers": failed,
    }


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(item)}" for name, item in sorted(value.items()))
    return value if isinstance(value, str) else json.dumps(value)


def _pipeline(run: Mapping[str, Any]) -> str:
    spans = [Span(step["name"], step["kind"], step["seconds"]) for step in run["steps"]]
    return waterfall(spans, label="The steps and the time each took")


def _step_view(step: Mapping[str, Any]) -> StepView:
    return StepView(
        name=step["name"],
        kind=step["kind"],
        identity=step["identity"],
        path=step["path"],
        took=duration(step["seconds"]),
        memory=size(step["peak_memory_bytes"]),
        config=_pretty(step["config"]),
        metrics=_pretty(step["metrics"]),
    )


def _pretty(value: object) -> str:
    return clip(json.dumps(value, indent=2, sort_keys=True), limit=6000)
