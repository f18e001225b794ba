"""The report step: one HTML page about a run, to read offline.

    python -m jobs.report --recipe quickstart --store runs --out report.html
"""

from typing import Any, Literal

from pydantic import JsonValue

from cluster.artifact import ArtifactRef
from cluster.manifest import Manifest
from cluster.steps import StepContext, StepKind
from tinysql.config import Config

_ALWAYS = ("dataset", "model", "evaluation")
Part = Literal["base", "baseline", "adapter_study", "pairs", "patching", "sae"]


class ReportConfig(Config):
    """What the page is called."""

    title: str = "quickstart"
    """Name of the recipe, shown at the top."""
    parts: tuple[Part, ...] = ("base", "pairs", "patching", "sae")
    """Roles of steps that the page shows beside dataset, model and evaluation; a baseline is the
    evaluation of another model on the same rows."""


def run(context: StepContext, config: ReportConfig) -> dict[str, Any]:
    """Build the page from the artifacts of the other steps."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415

    ancestry = _ancestry(context)
    manifests = [manifest for _, _, manifest in ancestry]
    about = {
        "recipe": config.title,
        "steps": [_about_step(name, path, manifest) for name, path, manifest in ancestry],
        "code_version": manifests[0].code.sha256,
        "environment": manifests[0].environment.model_dump(mode="json"),
        "created_at": max(manifest.timings.finished for manifest in manifests),
    }
    shards = [Shard("report", {"run": about})]
    (receipt,) = map_shards(context, "tinysql.report.page.build_report", shards)
    context.include(receipt)
    return receipt.metrics


def _ancestry(context: StepContext) -> list[tuple[str, str, Manifest]]:
    """(name, path, manifest) of every artifact behind the page, in the order they were made."""
    found = {ref.path: (role, ref.manifest()) for role, ref in context.inputs.items()}
    waiting = list(found.values())
    while waiting:
        child, manifest = waiting.pop()
        for role, parent in manifest.parents.items():
            if parent.path not in found:
                ref = ArtifactRef(context.store, parent.path, parent.manifest_sha256)
                found[parent.path] = (f"{role} of {child}", ref.manifest())
                waiting.append(found[parent.path])
    made = [(name, path, manifest) for path, (name, manifest) in found.items()]
    return sorted(made, key=lambda entry: entry[2].timings.finished)


def _about_step(name: str, path: str, manifest: Manifest) -> dict[str, JsonValue]:
    return {
        "name": name,
        "kind": manifest.kind,
        "identity": manifest.identity,
        "path": path,
        "seconds": manifest.timings.seconds,
        "peak_memory_bytes": manifest.peak_memory_bytes,
        "config": manifest.config,
        "metrics": manifest.metrics,
    }


KIND: StepKind = StepKind(
    "report", 2, ReportConfig, lambda config: (*_ALWAYS, *config.parts), run,
    lambda config: config.title,
)

if __name__ == "__main__":
    from jobs.entry import main
    from jobs.read_report import report

    main(report)
