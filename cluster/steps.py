"""What a step is, and what its kind's function works with.

A step is (kind, version, config, parents); its identity hashes exactly that and names its path,
"<kind>/<slug>-<id12>".
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue

from cluster.artifact import ArtifactRef, Attempt, Receipt
from cluster.identity import step_identity
from cluster.lease import Lease
from cluster.manifest import Manifest, ObjectRef, Usage
from cluster.progress import Progress
from cluster.scratch import scratch
from cluster.store import Store

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

    workers None means as many as fit, of a training on CPUs at most two; gpus_per_worker None means
    one where the cluster has GPUs and the step can use them, 0 means none.
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
