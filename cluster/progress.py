"""What a long step tells the person watching, as a protocol the caller implements.

The runner calls start once per step with an unknown total and done at its end; whoever learns the
total calls start again with it. info holds short facts to show beside the bar (loss=0.31,
note="waiting for node-3 pid 71"), or a warning, which stays on the screen.
"""

from typing import Protocol


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
