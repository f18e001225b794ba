"""What a long step tells the person watching, as a protocol the caller implements.

The runner calls start once per step with an unknown total and done at its end; whoever learns the
total calls start again with it. info holds short facts to show beside the bar (loss=0.31,
note="waiting for node-3 pid 71"), or a warning, which stays on the screen. Prometheus is told how
far the step is on the way.
"""

import time
from typing import Protocol

from cluster.metrics import PROGRESS_TIME, WORK_DONE, WORK_TOTAL, show


class Progress(Protocol):
    def start(self, step: str, total: int | None, unit: str) -> None: ...

    def advance(self, n: int = 1, **info: object) -> None: ...

    def done(self) -> None: ...


class SilentProgress:
    """Shows nothing."""

    def start(self, step: str, total: int | None, unit: str) -> None:
        """Ignored."""

    def advance(self, n: int = 1, **info: object) -> None:
        """Ignored."""

    def done(self) -> None:
        """Ignored."""


class MeteredProgress:
    """Passes on what it is told, and shows how far the step is among the metrics."""

    def __init__(self, progress: Progress, identity: str) -> None:
        self._progress, self._identity = progress, identity[:12]
        self._labels: dict[str, str] = {}
        self._done = 0

    def start(self, step: str, total: int | None, unit: str) -> None:
        """Begins to count anew."""
        self._progress.start(step, total, unit)
        self._labels, self._done = {"step": step, "identity": self._identity, "unit": unit}, 0
        show(PROGRESS_TIME, time.time())
        if total is not None:
            show(WORK_TOTAL, total, **self._labels)
            show(WORK_DONE, 0, **self._labels)

    def advance(self, n: int = 1, **info: object) -> None:
        """Counts what is done, and not what failed."""
        self._progress.advance(n, **info)
        if n and "failed" not in info:
            self._done += n
            show(PROGRESS_TIME, time.time())
            show(WORK_DONE, self._done, **self._labels)

    def done(self) -> None:
        """Leaves the last numbers as they are."""
        self._progress.done()
