"""A run handed to a cluster: submitted once under a name that says what it makes, and followed.

Whoever submits the same thing while it runs follows the run that is there. A connection that is
lost is tried again, from where the log was: a run does not end because nobody watches it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from cluster.errors import UserError
from cluster.identity import digest

State = Literal["waiting", "running", "succeeded", "failed"]
PATIENCE_SECONDS = 600.0
"""How long a cluster may be out of reach."""
NAMED = "tinysql-"
"""How names of jobs begin."""
_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Look:
    """How a job stands."""

    state: State
    why: str
    """What the cluster says of it, or nothing."""
    log: str
    """All of it so far."""

    @property
    def is_over(self) -> bool:
        return self.state in ("succeeded", "failed")


@dataclass(frozen=True)
class Run:
    """A job that was submitted under a name of ours."""

    name: str
    state: State
    why: str
    """What the cluster says of it, or nothing."""
    submitted: str
    """UTC, ISO 8601."""


class OutOfReach(Exception):
    """The cluster does not answer now."""


class Cluster(Protocol):
    """Where jobs run."""

    def look(self, name: str) -> Look | None:
        """How the job stands; None when there is none of this name. Raises OutOfReach."""

    def start(self, name: str, entrypoint: str) -> bool:
        """Starts a job; False when there is one of this name. Raises OutOfReach."""

    def runs(self) -> list[Run]:
        """The jobs that were submitted, those that are over as long as the cluster knows them,
        oldest first. Raises OutOfReach."""


def job_name(recipe: str, made: object) -> str:
    """A name of at most 30 letters, digits and -, the same for the same `made`."""
    words = "".join(each if each.isalnum() and each.isascii() else "-" for each in recipe.lower())
    return f"{NAMED}{words.strip('-')[:12].strip('-')}-{digest(made)[:8]}"


def submit(cluster: Cluster, name: str, entrypoint: str) -> tuple[str, bool]:
    """The name of the job that runs it, and whether it was started now.

    A job of that name that is over stays, and the next one gets a number.
    """
    tried, number = name, 1
    while (found := cluster.look(tried)) is not None and found.is_over:
        number += 1
        tried = f"{name}-{number}"
    return tried, found is None and cluster.start(tried, entrypoint)


def follow(
    cluster: Cluster, name: str, write: Callable[[str], None], say: Callable[[str], None]
) -> bool:
    """Whether the job succeeded, after it is over; write gets its log, say what happens to it.

    Raises UserError when the cluster is out of reach for too long, or the job is gone.
    """
    written, state, lost = 0, "", None
    while True:
        try:
            found = cluster.look(name)
        except OutOfReach as error:
            if lost is None:
                lost = time.monotonic()
                say(f"connection lost: {error}; trying again")
            if time.monotonic() - lost > PATIENCE_SECONDS:
                raise UserError(
                    f"{name}: the cluster is out of reach since {PATIENCE_SECONDS:g} s; the job "
                    "may still run: submit the same again to follow it"
                ) from error
            time.sleep(_POLL_SECONDS)
            continue
        if lost is not None:
            say("connected again")
            lost = None
        if found is None:
            raise UserError(f"{name}: the cluster knows no such job any more; submit it again")
        # Another attempt begins another log.
        written = written if len(found.log) >= written else 0
        write(found.log[written:])
        written = len(found.log)
        if found.state != state:
            state = found.state
            say(f"{name}: {state}" + (f", {found.why}" if found.why else ""))
        if found.is_over:
            return found.state == "succeeded"
        time.sleep(_POLL_SECONDS)
