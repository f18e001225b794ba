"""Runs a graph of steps to committed artifacts, reusing what is committed already.

Running a step: take over its manifest when it exists; else hold the lease, work in an attempt named
after the fencing number, and write the manifest last, with create-if-absent. A retry, a preemption,
a duplicate tick, two people and Ctrl-C are thus one case: run it again. A failed or losing attempt
only leaves unreferenced objects behind.
"""

import logging
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cluster import logs
from cluster.artifact import ArtifactRef, Attempt
from cluster.errors import IntegrityError, LeaseLost
from cluster.lease import Lease, hold
from cluster.manifest import (
    MANIFEST_NAME,
    Manifest,
    Meter,
    ParentRef,
    Provenance,
    capture_provenance,
    content_sha256,
    read_manifest,
)
from cluster.metrics import STEPS, count
from cluster.progress import MeteredProgress, Progress
from cluster.steps import Step, StepContext
from cluster.store import Store

LEASE_NAME = "lease.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Planned:
    step: Step
    manifest: Manifest | None
    """None: not committed yet."""


@dataclass(frozen=True)
class Result:
    step: Step
    manifest: Manifest
    reused: bool
    """True when somebody else, or an earlier run, committed it."""


def plan(steps: Sequence[Step], store: Store) -> list[Planned]:
    """The steps and all they need, parents first, with what is committed. Writes nothing."""
    return [Planned(step, _committed(step, store)) for step in _parents_first(steps)]


def run_steps(
    steps: Sequence[Step],
    store: Store,
    *,
    progress: Progress,
    provenance: Provenance | None = None,
    cache: Path | None = None,
) -> Iterator[Result]:
    """Commits the steps and all they need, parents first, yielding each as it is there.

    Whatever a kind raises is raised. provenance None means what capture_provenance() sees; cache
    None the machine's default.
    """
    runner = _Runner(store, progress, provenance or capture_provenance(), cache)
    for step in _parents_first(steps):
        yield runner.finish(step)


def _parents_first(steps: Sequence[Step]) -> list[Step]:
    ordered: dict[tuple[str, str], Step] = {}

    def visit(step: Step) -> None:
        key = (step.name, step.identity)
        if key not in ordered:
            for parent in step.parents.values():
                visit(parent)
            ordered[key] = step

    for step in steps:
        visit(step)
    return list(ordered.values())


def _committed(step: Step, store: Store) -> Manifest | None:
    manifest = read_manifest(store, step.path)
    if manifest is not None and manifest.identity != step.identity:
        raise IntegrityError(
            f"{step.path} holds identity {manifest.identity}, step {step.name} is {step.identity}"
        )
    return manifest


@dataclass(frozen=True)
class _Runner:
    store: Store
    progress: Progress
    provenance: Provenance
    cache: Path | None

    def finish(self, step: Step) -> Result:
        """The committed step: found, waited for, or made here; logs and metrics tell which."""
        metered = replace(self, progress=MeteredProgress(self.progress, step.identity))
        with logs.about(step=step.name, identity=step.identity[:12]):
            try:
                result = metered._finish(step)
            except Exception as error:
                name = type(error).__name__
                count(STEPS, kind=step.kind.name, outcome="failed", error=name)
                # The user's own mistake is told once, in the one line at the end.
                level = logging.INFO if getattr(error, "user_error", False) else logging.ERROR
                _log.log(level, "step %s failed: %s: %s", step.name, name, error)
                raise
            outcome = "reused" if result.reused else "committed"
            count(STEPS, kind=step.kind.name, outcome=outcome, error="")
            _log.info("step %s %s: %s", step.name, outcome, step.path)
            return result

    def _finish(self, step: Step) -> Result:
        self.progress.start(step.name, None, "")
        try:
            while True:
                manifest = _committed(step, self.store)
                if manifest is not None:
                    self.progress.advance(0, note="reused")
                    return Result(step, manifest, reused=True)
                try:
                    made = self._make(step)
                except LeaseLost as lost:
                    _log.warning("step %s: %s; waiting for the new owner", step.name, lost)
                    continue
                if made is not None:
                    return made
        finally:
            self.progress.done()

    def _make(self, step: Step) -> Result | None:
        """Runs the step under its lease; None when another process committed it meanwhile."""

        def note_wait(owner: str) -> None:
            _log.info("step %s: waiting for %s", step.name, owner)
            self.progress.advance(0, note=f"waiting for {owner}")

        with hold(
            self.store,
            f"{step.path}/{LEASE_NAME}",
            until=lambda: self.store.exists(f"{step.path}/{MANIFEST_NAME}"),
            on_wait=note_wait,
        ) as lease:
            if lease is None:
                return None
            context = self._context(step, lease)
            with logs.about(attempt=context.attempt.name):
                return self._attempt(context)

    def _attempt(self, context: StepContext) -> Result:
        step, meter = context.step, Meter()
        _log.info("step %s started", step.name)
        metrics = {**step.kind.run(context, step.config)}
        context.metrics.update(metrics)
        manifest = self._manifest(context, meter)
        context.lease.check()
        return self._commit(step, manifest)

    def _context(self, step: Step, lease: Lease) -> StepContext:
        name = f"a{lease.fence:04d}-{secrets.token_hex(2)}"
        inputs = {}
        for role, parent in step.parents.items():
            manifest = _committed(parent, self.store)
            if manifest is None:
                raise IntegrityError(f"{parent.path} was committed and its manifest is gone")
            inputs[role] = ArtifactRef(self.store, parent.path, manifest.sha256)
        attempt = Attempt(self.store, step.path, name)
        return StepContext(step, self.store, attempt, lease, inputs, self.progress, self.cache)

    def _manifest(self, context: StepContext, meter: Meter) -> Manifest:
        step = context.step
        objects = tuple(sorted(context.objects, key=lambda ref: ref.name))
        names = [ref.name for ref in objects]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"step {step.name} put two objects under each of the names {twice}")
        usage = context.usage + meter.usage()
        return Manifest(
            kind=step.kind.name,
            version=step.kind.version,
            identity=step.identity,
            slug=step.slug,
            config=step.config.model_dump(mode="json"),
            parents={
                role: ParentRef(
                    identity=step.parents[role].identity,
                    path=ref.path,
                    manifest_sha256=ref.manifest_sha256,
                )
                for role, ref in context.inputs.items()
            },
            objects=objects,
            content_sha256=content_sha256(objects),
            metrics=context.metrics,
            code=self.provenance.code,
            environment=self.provenance.environment,
            attempt=context.attempt.name,
            timings=meter.timings(),
            cpu_seconds=usage.cpu_seconds,
            gpu_seconds=usage.gpu_seconds,
            peak_memory_bytes=usage.peak_memory_bytes,
        )

    def _commit(self, step: Step, manifest: Manifest) -> Result:
        if self.store.create(f"{step.path}/{MANIFEST_NAME}", manifest.encode()):
            return Result(step, manifest, reused=False)
        theirs = _committed(step, self.store)
        if theirs is None:
            raise IntegrityError(f"{step.path} was committed by another process and is gone")
        _log.warning("step %s: attempt %s committed first, using it", step.name, theirs.attempt)
        self.progress.advance(0, note=f"using attempt {theirs.attempt}, which committed first")
        return Result(step, theirs, reused=True)
