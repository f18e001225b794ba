"""What an import found: counts, shares and examples of every problem and note."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tinysql.data.interchange.problems import Finding, Note

_EXAMPLES = 5
_EXAMPLE_CHARS = 500


@dataclass
class _Kind:
    """Rows with one problem or note, and the first few of them."""

    rows: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, example: dict[str, Any]) -> None:
        self.rows += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(example)

    def as_json(self, total: int) -> dict[str, Any]:
        return {"rows": self.rows, "share": _share(self.rows, total), "examples": self.examples}


@dataclass
class Report:
    """Tallies of an import, filled row by row."""

    accepted: Counter[str] = field(default_factory=Counter)
    """Rows by split."""
    quarantined: Counter[str] = field(default_factory=Counter)
    hardness: Counter[str] = field(default_factory=Counter)
    command_sets: Counter[str] = field(default_factory=Counter)
    problems: dict[str, _Kind] = field(default_factory=dict)
    notes: dict[str, _Kind] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows read."""
        return self.accepted.total() + self.quarantined.total()

    def accept(self, row: dict[str, Any], place: str, notes: Sequence[Note]) -> None:
        """Count a row that is kept."""
        self.accepted[row["split"]] += 1
        self.hardness[row["hardness"]] += 1
        self.command_sets[str(row["command_set"])] += 1
        for note in dict.fromkeys(notes):
            example = {"place": place, "gold_sql": _clipped(row["gold_sql"])}
            self.notes.setdefault(note, _Kind()).add(example)

    def quarantine(
        self, split: str, place: str, texts: dict[str, Any], findings: Sequence[Finding]
    ) -> None:
        """Count a row that is kept out; a row with several problems counts for each."""
        self.quarantined[split] += 1
        first = {finding.problem: finding for finding in reversed(findings)}
        for problem, finding in first.items():
            clipped = {name: _clipped(text) for name, text in texts.items()}
            example = {"place": place, "detail": finding.detail, **clipped}
            self.problems.setdefault(problem, _Kind()).add(example)

    def as_json(self) -> dict[str, Any]:
        """Counts, shares of all rows read, and examples."""
        splits = sorted({*self.accepted, *self.quarantined})
        by_rows = sorted(self.problems.items(), key=lambda item: (-item[1].rows, item[0]))
        return {
            "rows": self.rows,
            "accepted": self.accepted.total(),
            "quarantined": self.quarantined.total(),
            "quarantined_share": _share(self.quarantined.total(), self.rows),
            "splits": {
                split: {"accepted": self.accepted[split], "quarantined": self.quarantined[split]}
                for split in splits
            },
            "hardness": dict(sorted(self.hardness.items())),
            "command_sets": dict(sorted(self.command_sets.items())),
            "problems": {name: kind.as_json(self.rows) for name, kind in by_rows},
            "notes": {
                name: kind.as_json(self.rows) for name, kind in sorted(self.notes.items())
            },
        }


def _share(rows: int, total: int) -> float:
    return round(rows / total, 6) if total else 0.0


def _clipped(text: Any) -> str:
    written = text if isinstance(text, str) else repr(text)
    return written if len(written) <= _EXAMPLE_CHARS else written[:_EXAMPLE_CHARS] + " [...]"
