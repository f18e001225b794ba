"""Verdicts counted by kind of item, and two models compared on the same items.

A row is a verdict as `tinysql score` writes it. Its tiers are nested (strict implies equivalent
implies subset) and each has a number of its own, never merged; the headline is strict. A row whose
gold query is invalid says nothing about a model: it is counted apart and is in no n.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, NamedTuple, TypeVar

from tinysql.evaluate.stats import (
    Difference,
    Rate,
    discordant,
    holm,
    in_words,
    mcnemar,
    paired_bootstrap,
    rate,
)

VerdictRow = Mapping[str, Any]
"""One verdict, by field name."""
Pair = tuple[VerdictRow, VerdictRow]
"""The verdicts of base and tuned on one item."""
Item = TypeVar("Item")

VERDICTS = ("strict", "equivalent", "subset", "wrong", "error", "gold_invalid")
TIERS = ("strict", "equivalent", "subset")
HARDNESS = ("easy", "medium", "hard", "extra")
ITEM_KINDS = ("command_set", "hardness", "category", "split", "num_tables", "num_selected")
"""What is known of an item before any model has answered it."""
BREAKDOWNS = (*ITEM_KINDS, "error_class")

NONE = "none"
"""The bucket of rows whose field is null."""


@dataclass(frozen=True, slots=True)
class Cell(Rate):
    """A rate with its 95% Wilson interval, of one bucket and one tier or other measure."""

    bucket: str
    tier: str


@dataclass(frozen=True, slots=True)
class Totals:
    """A whole evaluation, without the rows whose gold is invalid."""

    n: int
    gold_invalid: int
    cells: tuple[Cell, ...]
    """The tiers and "exact_match"; empty if n is 0."""
    verdicts: tuple[Cell, ...]
    """How often each verdict fell, the invalid golds left out; empty if n is 0."""
    weak: int
    """Items whose gold said nothing on any database, so that hardly anything was asked."""
    weak_strict: int
    """Those of them that count as strict."""
    mutation_score: float | None
    """Mean share of the gold's mutants that the databases tell from it; None if never measured."""


class _Outcomes(NamedTuple):
    """Whether each model has each item of a bucket right, in the same order."""

    by: str | None
    bucket: str
    base: list[bool]
    tuned: list[bool]


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two models on the same items of one bucket."""

    by: str | None
    """The field that makes the bucket; None for all items."""
    bucket: str
    base: Rate
    tuned: Rate
    only_base: int
    """Items that base alone has right."""
    only_tuned: int
    """Items that tuned alone has right."""
    difference: Difference
    """The rate of tuned minus that of base."""
    p: float
    """Exact McNemar test."""
    p_adjusted: float
    """The same after Holm's adjustment over all buckets; of all items, p itself."""
    words: str
    """What follows, at a significance level of 5%."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same items: all of them, and bucket by bucket."""

    tier: str
    gold_invalid: int
    """Items left out because their gold is invalid."""
    overall: Contrast
    buckets: tuple[Contrast, ...]

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """Of all items first, then bucket by bucket."""
        return (self.overall, *self.buckets)


def as_json(found: Comparison | Totals | Sequence[Cell]) -> Any:
    """What was found as JSON values, its fields by name."""
    return [asdict(cell) for cell in found] if isinstance(found, Sequence) else asdict(found)


def scored(rows: Iterable[VerdictRow]) -> list[VerdictRow]:
    """The rows whose gold is valid."""
    return [row for row in rows if row["verdict"] != "gold_invalid"]


def totals(rows: Sequence[VerdictRow]) -> Totals:
    """The rates of all rows together, and what qualifies them."""
    valid = scored(rows)
    mutation = [row["mutation_score"] for row in valid if row["mutation_score"] is not None]
    return Totals(
        n=len(valid),
        gold_invalid=len(rows) - len(valid),
        cells=tuple(_cells("all", (*TIERS, "exact_match"), valid)),
        verdicts=tuple(_shares([row["verdict"] for row in valid], VERDICTS[:-1])),
        weak=sum(row["weak"] for row in valid),
        weak_strict=sum(row["weak"] and row["strict"] for row in valid),
        mutation_score=fmean(mutation) if mutation else None,
    )


def breakdown(rows: Sequence[VerdictRow], by: str) -> list[Cell]:
    """The rate of every tier in every bucket: bucket by bucket in their order, strict first.

    Args:
        by: one of BREAKDOWNS. Rows without a value are the bucket "none".
    """
    if by not in BREAKDOWNS:
        raise ValueError(f"no breakdown by {by!r}: expected one of {', '.join(BREAKDOWNS)}")
    groups = _grouped(scored(rows), lambda row: row[by])
    return [cell for bucket in groups for cell in _cells(bucket, TIERS, groups[bucket])]


def error_shares(rows: Sequence[VerdictRow], also: Iterable[str] = ()) -> list[Cell]:
    """The share of all answers that has each error class, the most frequent first.

    Args:
        also: classes that are counted even if no answer has them.
    """
    classes = [bucket_of(row["error_class"]) for row in scored(rows)]
    names = sorted({*classes, *also} - {NONE})
    return sorted(_shares(classes, names), key=lambda cell: -cell.k)


def components(rows: Sequence[VerdictRow]) -> list[Cell]:
    """How often each component of the query is exactly right (F1 = 1), where it was scored."""
    right: dict[str, list[bool]] = {}
    for row in scored(rows):
        for name, found in row["components"].items():
            if found["f1"] is not None:
                right.setdefault(name, []).append(found["f1"] >= 1)
    return [_cell(name, "component", sum(each), len(each)) for name, each in right.items()]


def paired(base_rows: Sequence[VerdictRow], tuned_rows: Sequence[VerdictRow]) -> list[Pair]:
    """The verdicts of both models on each item, in the order of tuned_rows.

    Raises ValueError when an id is missing, comes twice, or stands for another gold or schema.
    """
    base, tuned = ({row["id"]: row for row in rows} for rows in (base_rows, tuned_rows))
    for name, rows, by_id in (("base", base_rows, base), ("tuned", tuned_rows, tuned)):
        if len(by_id) != len(rows):
            raise ValueError(f"{name} has {len(rows)} rows of {len(by_id)} ids: expected one each")
    lonely = [*(base.keys() - tuned.keys()), *(tuned.keys() - base.keys())]
    if lonely:
        raise ValueError(
            f"{len(lonely)} ids are of one model only, such as {lonely[0]!r}: "
            "expected both on the same items"
        )
    for key, row in tuned.items():
        for field in ("gold_sql", "schema_sql"):
            if row[field] != base[key][field]:
                raise ValueError(f"id {key!r} has another {field} in each model's rows")
    return [(base[key], row) for key, row in tuned.items()]


def compare_models(
    base_rows: Sequence[VerdictRow],
    tuned_rows: Sequence[VerdictRow],
    *,
    tier: str = "strict",
    kinds: Sequence[str] = ITEM_KINDS,
    names: tuple[str, str] = ("base", "tuned"),
    seed: int = 0,
    draws: int = 10_000,
) -> Comparison:
    """Whether tuned answers the same items better or worse than base.

    The test on all items stands for itself. The buckets, of each of these kinds of item that has at
    least two, are one family of tests for Holm's adjustment. Error classes are no buckets here:
    which one an item is in depends on how it was answered, and that would decide the outcome.

    Args:
        kinds: some of ITEM_KINDS.
        names: what base and tuned are called in words.
        seed, draws: of the bootstrap.

    Raises:
        ValueError: the rows are not of the same items, or none of them can be compared.
    """
    if tier not in TIERS:
        raise ValueError(f"no tier {tier!r}: expected one of {', '.join(TIERS)}")
    pairs = paired(base_rows, tuned_rows)
    valid = [pair for pair in pairs if len(scored(pair)) == len(pair)]
    if not valid:
        raise ValueError(f"nothing to compare in {len(pairs)} items: none has a valid gold query")
    everything = _outcomes(None, "all", valid, tier)
    parts = [each for by in kinds for each in _parts(valid, by, tier)]
    adjusted = holm([mcnemar(*discordant(part.base, part.tuned)) for part in parts])
    return Comparison(
        tier,
        len(pairs) - len(valid),
        _contrast(everything, None, names, seed, draws),
        tuple(
            _contrast(part, p_adjusted, names, seed, draws)
            for part, p_adjusted in zip(parts, adjusted, strict=True)
        ),
    )


def _parts(pairs: Sequence[Pair], by: str, tier: str) -> Iterator[_Outcomes]:
    """The outcomes bucket by bucket; none where all items are in one."""
    groups = _grouped(pairs, lambda pair: pair[1][by])
    if len(groups) > 1:
        for bucket, group in groups.items():
            yield _outcomes(by, bucket, group, tier)


def _outcomes(by: str | None, bucket: str, pairs: Sequence[Pair], tier: str) -> _Outcomes:
    base, tuned = ([bool(row[tier]) for row in rows] for rows in zip(*pairs, strict=True))
    return _Outcomes(by, bucket, base, tuned)


def _contrast(
    outcomes: _Outcomes, p_adjusted: float | None, names: tuple[str, str], seed: int, draws: int
) -> Contrast:
    by, bucket, base, tuned = outcomes
    only_base, only_tuned = discordant(base, tuned)
    rates = rate(sum(base), len(base)), rate(sum(tuned), len(tuned))
    p = mcnemar(only_base, only_tuned)
    return Contrast(
        by,
        bucket,
        *rates,
        only_base,
        only_tuned,
        difference=paired_bootstrap(tuned, base, seed=seed, draws=draws),
        p=p,
        p_adjusted=p if p_adjusted is None else p_adjusted,
        words=in_words(*rates, p if p_adjusted is None else p_adjusted, names=names),
    )


def _grouped(items: Iterable[Item], value: Callable[[Item], object]) -> dict[str, list[Item]]:
    """The items of each bucket, in the order in which buckets are shown."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(bucket_of(value(item)), []).append(item)
    return {bucket: groups[bucket] for bucket in in_order(groups)}


def bucket_of(value: object) -> str:
    """The name of the bucket that a value of a verdict's field is in."""
    return NONE if value is None else str(value)


def in_order(buckets: Iterable[str]) -> list[str]:
    """The buckets as they are shown."""
    return sorted(buckets, key=_rank)


def _rank(bucket: str) -> tuple[int, float, str]:
    """Hardness by difficulty, numbers by size, other names by the alphabet, "none" last."""
    if bucket in HARDNESS:
        return 0, HARDNESS.index(bucket), bucket
    if bucket.isdecimal() and len(bucket) < 16:
        return 1, int(bucket), bucket
    return (3 if bucket == NONE else 2), 0, bucket


def _cells(bucket: str, tiers: Sequence[str], rows: Sequence[VerdictRow]) -> Iterator[Cell]:
    for tier in tiers if rows else ():
        yield _cell(bucket, tier, sum(bool(row[tier]) for row in rows), len(rows))


def _shares(values: Sequence[str], buckets: Sequence[str]) -> Iterator[Cell]:
    counts = Counter(values)
    for bucket in buckets if values else ():
        yield _cell(bucket, "share", counts[bucket], len(values))


def _cell(bucket: str, tier: str, k: int, n: int) -> Cell:
    found = rate(k, n)
    return Cell(k, n, found.rate, found.low, found.high, bucket, tier)
