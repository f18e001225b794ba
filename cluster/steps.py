"""Runs a graph of steps to committed artifacts, reusing what is committed already.

A step is (kind, version, config, parents); its identity hashes exactly that and names its path,
"<kind>/<slug>-<id12>". Running one: take over its manifest when it exists; else hold the lease,
work in an attempt named after the fencing number, and write the manifest last, with
create-if-absent. A retry, a preemption, a duplicate tick, two people and Ctrl-C are thus one
case: run it again. A failed or losing attempt only leaves unreferenced objects behind.
"""

import json
import logging
import math
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue

from cluster import logs
from cluster.artifact import ArtifactRef, Attempt, Receipt
from cluster.errors import IntegrityError, LeaseLost
from cluster.identity import step_identity
from cluster.lease import Lease, hold
from cluster.manifest import (
    MANIFEST_NAME,
    Manifest,
    Meter,
    ObjectRef,
    ParentRef,
    Provenance,
    Usage,
    capture_provenance,
    content_sha256,
    read_manifest,
)
from cluster.metrics import STEPS, count
from cluster.progress import MeteredProgress, Progress
from cluster.scratch import scratch
from cluster.store import Store

LEASE_NAME = "lease.json"
_log = logging.getLogger(__name__)
_KIND_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED_KINDS = ("pointers", "nights")


@dataclass(frozen=True)
class StepKind:
    """What a step does. Raise version by hand whenever the meaning of its result changes."""

    name: str
    version: int
    config: type[BaseModel]
    parents: Callable[[Any], tuple[str, ...]]
    """The roles a step of this kind must be given, from the config."""
    run: Callable[["StepContext", Any], Mapping[str, JsonValue]]
    """Does the work through the context; returns the key metrics."""
    slug: Callable[[Any], str]
    """A short name for people, from the config."""
    identify: Callable[[Any], dict[str, Any]] | None = None
    """The science fields of the config; None means all of its fields."""
    note: Callable[[Any], str] = lambda _: ""
    """What a plan should say of it in a few words, from the config: "12 trials"."""
    check: Callable[[Any, "Resources"], None] = lambda _config, _resources: None
    """Raises ValueError, in one line, where a config cannot be carried out with these resources."""

    def __post_init__(self) -> None:
        if not _KIND_NAME.fullmatch(self.name) or self.name in _RESERVED_KINDS:
            raise ValueError(
                f"kind name {self.name!r} must match {_KIND_NAME.pattern} "
                f"and not be one of {_RESERVED_KINDS}"
            )


@dataclass(frozen=True)
class Resources:
    """Where a step runs: runtime only, never in its identity.

    workers None means as many as fit; gpus_per_worker None means one where the cluster has GPUs and
    the step can use them, 0 means none.
    """

    workers: int | None = None
    cpus_per_worker: float = 1.0
    gpus_per_worker: float | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers: got {self.workers}, expected 1 or more, or null")
        for name in ("cpus_per_worker", "gpus_per_worker"):
            amount = getattr(self, name)
            if amount is not None and not 0 <= amount < math.inf:
                raise ValueError(f"{name}: got {amount}, expected 0 or more")


@dataclass(frozen=True)
class Step:
    """One unit of a recipe. name is the recipe's word for it and not part of its identity."""

    name: str
    kind: StepKind
    config: BaseModel
    parents: dict[str, "Step"] = field(default_factory=dict)
    resources: Resources = Resources()
    taken: Manifest | None = None
    """The artifact that it stands for, whatever its kind has come to mean since; else None."""

    def __post_init__(self) -> None:
        if self.taken is not None:
            return
        if not isinstance(self.config, self.kind.config):
            raise TypeError(
                f"step {self.name}: config is a {type(self.config).__name__}, "
                f"kind {self.kind.name} takes a {self.kind.config.__name__}"
            )
        roles = self.kind.parents(self.config)
        if set(self.parents) != set(roles):
            raise ValueError(
                f"step {self.name}: parents are {sorted(self.parents)}, "
                f"kind {self.kind.name} takes {sorted(roles)}"
            )

    @cached_property
    def identity(self) -> str:
        """64 hex digits over kind, version, config and the parents' identities."""
        if self.taken is not None:
            return self.taken.identity
        identify = self.kind.identify
        config = identify(self.config) if identify else self.config.model_dump(mode="json")
        parents = {role: parent.identity for role, parent in self.parents.items()}
        return step_identity(self.kind.name, self.kind.version, config, parents)

    @cached_property
    def slug(self) -> str:
        """The kind's slug, reduced to what is safe in a path and a URL."""
        if self.taken is not None:
            return self.taken.slug
        slug = re.sub(r"[^a-z0-9._]+", "-", self.kind.slug(self.config).lower())
        return slug[:60].strip("-._") or self.kind.name

    @property
    def path(self) -> str:
        """Where its artifact lives below the store's root."""
        return f"{self.kind.name}/{self.slug}-{self.identity[:12]}"


def taken_step(name: str, kind: StepKind, manifest: Manifest) -> Step:
    """A step that is an artifact, to be a parent of others."""
    return Step(name, kind, kind.config.model_construct(), taken=manifest)


@dataclass
class StepContext:
    """What a kind's run function works with; it lives for one attempt."""

    step: Step
    store: Store
    attempt: Attempt
    lease: Lease
    inputs: dict[str, ArtifactRef]
    progress: Progress
    cache: Path | None = None
    """Root of the local copies; None means the machine's default."""
    objects: list[ObjectRef] = field(default_factory=list)
    """What the manifest will name."""
    usage: Usage = field(default_factory=Usage)
    """What workers reported; the driver's own use is added at the end."""
    metrics: dict[str, JsonValue] = field(default_factory=dict)
    """Merged with what run returns, which wins."""

    def input(self, role: str) -> Path:
        """Directory with a verified copy of that parent's files."""
        return self.inputs[role].local_dir(self.cache)

    @contextmanager
    def results(self) -> Iterator[Path]:
        """An empty directory, whose files are added to the artifact unless an error is raised."""
        with scratch("results-") as folder:
            yield folder
            self.objects.extend(self.attempt.put_dir(folder))

    def put_json(self, name: str, record: object) -> None:
        """Adds one file of JSON to the artifact."""
        with self.results() as folder:
            text = json.dumps(record, indent=1) + "\n"
            (folder / name).write_text(text, encoding="utf-8")

    def include(self, receipt: Receipt) -> None:
        """Adds a finished shard, of this attempt or an earlier one, to the artifact."""
        self.objects.extend(receipt.objects)
        self.usage = self.usage + receipt.usage


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
