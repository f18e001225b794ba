"""A thing that is wrong with a manifest."""

from typing import NamedTuple


class Problem(NamedTuple):
    """What is wrong, and where."""

    manifest: str
    """Kind and name."""
    place: str
    """Dotted path inside it, "" for the whole."""
    message: str

    def __str__(self) -> str:
        where = f"{self.manifest} {self.place}".rstrip()
        return f"{where}: {self.message}"
