"""A process's place in the gang that trains, and what it may call of those who run it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

Record = dict[str, Any]
"""An entry of a training log."""


class Worker(NamedTuple):
    """This process's place in the gang, and what it may call."""

    rank: int
    world_size: int
    local_rank: int
    device: str
    log: Callable[[Record], None]
    save: Callable[[Record], AbstractContextManager[Path]]
    """Gives an empty folder for a checkpoint about which this is to be known, and keeps it."""
    is_ending: Callable[[], bool]
    """Whether a machine of the gang is about to be taken away; asked by all ranks together."""
    cache: Path
    """Where later starts on this machine find what this one leaves."""
    restore: Path | None
    """A copy of the last checkpoint, which is in the way once it is read."""
