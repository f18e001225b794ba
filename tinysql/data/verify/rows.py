"""Whether the rows of a dataset are what they should be, file by file.

A row is checked by running its gold SQL on rows planted for it (see populate.py) in every engine,
by comparing the answers, and by reading its question back. Where an answer is empty or says nothing
(one row that is always the same), other data are tried before that is counted.

What is read goes through record batches, and what is kept are counts and a few examples, so memory
does not grow with the file. `merge` makes one result of several, which report.py judges.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tinysql.data.natural.recover import complaints
from tinysql.data.reading.agreement import disagreements
from tinysql.data.verify.checks import ambiguous_names, is_sorted
from tinysql.data.verify.populate import populate
from tinysql.data.verify.report import VerificationConfig
from tinysql.sql.compare import same_bag, within
from tinysql.sql.engine import Engine, EngineError
from tinysql.sql.engines import open_engine
from tinysql.sql.result import Row

_BATCH_ROWS = 500
_TRIES = 4
_MOST_EXAMPLES = 5

# PostgreSQL adds up REAL in single precision.
_TOLERANCE = 1e-5
COLUMNS = (
    "id", "command_set", "split", "variant", "question", "schema_sql", "gold_sql", "tables",
    "columns", "foreign_keys", "from_tables", "joins", "select", "distinct", "outer_aggregate",
    "where_form", "filters", "set_operation", "group_by", "having", "order_by", "limit",
)  # fmt: skip
"""The columns of a dataset that are read."""

Data = dict[str, list[Row]]


@dataclass
class Tally:
    """What was found in some rows: counts by check, and the first rows that a check is about."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, check: str, row: Mapping[str, Any], message: str = "") -> None:
        """Count a row, and keep it as an example if it is one of the first."""
        self.counts[check] += 1
        kept = self.examples.setdefault(check, [])
        if len(kept) < _MOST_EXAMPLES:
            example = {key: row[key] for key in ("id", "split", "question", "gold_sql")}
            kept.append({**example, "message": message})

    def as_json(self) -> dict[str, Any]:
        """The same in JSON values."""
        return {"counts": dict(self.counts), "examples": self.examples}


def merge(results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The results of several files as one, in JSON values."""
    merged = Tally()
    for result in results:
        merged.counts.update(result["counts"])
        for check, examples in result["examples"].items():
            kept = merged.examples.setdefault(check, [])
            kept += examples[: _MOST_EXAMPLES - len(kept)]
    return merged.as_json()


def verify_files(
    files: Sequence[Path],
    config: VerificationConfig,
    *,
    postgres_url: str | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Counts and examples of everything that is checked row by row, in JSON values.

    Args:
        postgres_url: where PostgreSQL is, if it is among the engines.
        advance: told the number of rows that were checked since the last call.

    Raises:
        InputError: an engine cannot be used.
    """
    tally = Tally()
    with ExitStack() as stack:
        engines = [stack.enter_context(open_engine(each, postgres_url)) for each in config.engines]
        for file in files:
            for rows in _batches(file, config.rows):
                for row in rows:
                    verify_row(row, engines, tally, num_rows=config.num_rows)
                advance(len(rows))
    return tally.as_json()


def _batches(file: Path, limit: int | None) -> Iterator[list[dict[str, Any]]]:
    left = limit
    with pq.ParquetFile(file) as source:
        for batch in source.iter_batches(_BATCH_ROWS, columns=list(COLUMNS)):
            rows = batch.slice(0, left).to_pylist()
            yield rows
            if left is not None:
                left -= len(rows)
                if left == 0:
                    return


def verify_row(
    row: Mapping[str, Any], engines: Sequence[Engine], tally: Tally, *, num_rows: int
) -> None:
    """Add what is found in one row to the tally."""
    tally.counts["rows"] += 1
    tally.counts[f"rows.{row['command_set']}"] += 1
    for message in ambiguous_names(row)[:1]:
        tally.add("ambiguous", row, message)
    for message in _misunderstandings(row)[:1]:
        tally.add("english", row, message)
    first, *others = engines
    data, answer = _tried(row, first, tally, num_rows)
    for engine in others:
        try:
            other = engine.answer(row["schema_sql"], data, row["gold_sql"])
        except EngineError as error:
            tally.add(f"failed.{engine.name}", row, str(error))
            continue
        if not is_sorted(row, other):
            tally.add("unsorted", row, engine.name)
        if answer is None:
            first, answer = engine, other
        elif not same_bag(answer, other, _TOLERANCE):
            chose = _chose_otherwise(row, data, ((first, answer), (engine, other)))
            check = "chosen" if chose else "differing"
            tally.add(check, row, f"{first.name}: {answer[:3]}, {engine.name}: {other[:3]}")


def _misunderstandings(row: Mapping[str, Any]) -> list[str]:
    if row["variant"] == "natural":
        # Nobody can derive records from a language model's words.
        return [complaint.text for complaint in complaints(row["question"], row)]
    return disagreements(row)


def _tried(
    row: Mapping[str, Any], engine: Engine, tally: Tally, num_rows: int
) -> tuple[Data, list[Row] | None]:
    """Data on which the answer says something, if any were found, and the answer."""
    seen: list[tuple[Data, list[Row]]] = []
    for seed in range(_TRIES):
        data = populate(row, num_rows=num_rows, seed=seed)
        try:
            answer = engine.answer(row["schema_sql"], data, row["gold_sql"])
        except EngineError as error:
            tally.add(f"failed.{engine.name}", row, str(error))
            return data, None
        if not is_sorted(row, answer):
            tally.add("unsorted", row, engine.name)
        seen.append((data, answer))
        distinct = {cells for _, rows in seen for cells in rows}
        if answer and len(distinct) > 1:
            return data, answer
    found = [pair for pair in seen if pair[1]]
    tally.add("constant" if found else "empty", row)
    return found[0] if found else seen[0]


def _chose_otherwise(
    row: Mapping[str, Any], data: Data, answers: Sequence[tuple[Engine, list[Row]]]
) -> bool:
    """Whether the answers differ only in which of the equally good rows LIMIT kept."""
    limit = f" LIMIT {row['limit']}"
    if not row["limit"] or not row["gold_sql"].endswith(limit):
        return False
    unlimited = row["gold_sql"].removesuffix(limit)
    (one, kept), (other, kept_by_other) = answers
    whole = one.answer(row["schema_sql"], data, unlimited)
    return (
        len(kept) == len(kept_by_other)
        and same_bag(whole, other.answer(row["schema_sql"], data, unlimited), _TOLERANCE)
        and within(kept, whole, _TOLERANCE)
        and within(kept_by_other, whole, _TOLERANCE)
    )
