"""Verdicts counted one by one, in total and by kind of item, so that a summary needs no list.

Counts add up, so shards are counted where they are scored. A row whose gold is invalid says nothing
about a model: it is counted apart and is in no n.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from tinysql.evaluate.breakdown import ITEM_KINDS, bucket_of, in_order
from tinysql.evaluate.stats import rate
from tinysql.evaluate.verdicts import GOLD_INVALID, Scored

MEASURES = {
    "execution": "strict", "equivalent": "equivalent", "subset": "subset", "exact": "exact_match",
    "canonical": "canonical_match",
}  # fmt: skip
"""What a summary calls the fields of a verdict row."""
_KINDS = (*ITEM_KINDS, "weak")
_WRONG_KEPT = 20
_SHOWN = ("id", "question", "gold_sql", "pred_sql", "verdict", "error_class", "error")


class Tally:
    """Counts of verdicts."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._verdicts: Counter[str] = Counter()
        self._mutation = (0.0, 0)  # their sum, and how many
        self._by: dict[str, defaultdict[str, Counter[str]]] = {
            kind: defaultdict(Counter) for kind in _KINDS
        }
        self._wrong: list[dict[str, Any]] = []

    def add(self, scored: Scored, *, truncated: bool = False) -> None:
        """Count one verdict row, of an answer that was cut off or not."""
        if scored.verdict == GOLD_INVALID:
            self._counts[GOLD_INVALID] += 1
            return
        found = {name: int(getattr(scored, field)) for name, field in MEASURES.items()}
        found |= {"n": 1}
        self._counts.update(found, varies=int(scored.varies), truncated=int(truncated))
        self._verdicts[scored.error_class or scored.verdict] += 1
        for kind, buckets in self._by.items():
            buckets[bucket_of(getattr(scored, kind))].update(found)
        if scored.mutation_score is not None:
            self._add_mutation(scored.mutation_score, 1)
        if not scored.strict and len(self._wrong) < _WRONG_KEPT:
            shown = {name: getattr(scored, name) for name in _SHOWN}
            self._wrong.append(shown | {"gold_sql": scored.gold_sql[0]})

    def _add_mutation(self, total: float, n: int) -> None:
        self._mutation = self._mutation[0] + total, self._mutation[1] + n

    def counts(self) -> dict[str, Any]:
        """What was counted, as JSON for `merged`."""
        return {
            "counts": dict(self._counts),
            "verdicts": dict(self._verdicts),
            "mutation": list(self._mutation),
            "by": {kind: dict(buckets) for kind, buckets in self._by.items()},
            "wrong": self._wrong,
        }

    def summary(self) -> dict[str, Any]:
        """Rates with 95% Wilson intervals and counts, as JSON.

        "verdicts" counts answers by tier, those of no tier by error class; "by" has the rates by
        kind of item; "wrong" is a sample of answers that are not strictly right; "weak" counts rows
        whose gold says nothing, "varies" those whose gold leaves the answer open; "mutation_score"
        is the mean over the rows; "truncated" counts answers that were cut off.
        """
        total, num_scores = self._mutation
        return {
            **_rates(self._counts),
            "verdicts": dict(sorted(self._verdicts.items(), key=lambda each: (-each[1], each[0]))),
            "by": {
                kind: {bucket: _rates(buckets[bucket]) for bucket in in_order(buckets)}
                for kind, buckets in self._by.items()
            },
            "wrong": self._wrong,
            "weak": self._by["weak"].get("True", Counter())["n"],
            **{name: self._counts[name] for name in ("varies", GOLD_INVALID, "truncated")},
            "mutation_score": total / num_scores if num_scores else None,
        }


def merged(parts: Iterable[Mapping[str, Any]]) -> Tally:
    """The tally of all that the parts counted, in their order."""
    tally = Tally()
    for part in parts:
        tally._counts.update(part["counts"])
        tally._verdicts.update(part["verdicts"])
        tally._add_mutation(*part["mutation"])
        for kind, bucket, counts in _buckets(part["by"]):
            tally._by[kind][bucket].update(counts)
        tally._wrong += part["wrong"][: _WRONG_KEPT - len(tally._wrong)]
    return tally


def _buckets(by: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, int]]]:
    for kind, buckets in by.items():
        for bucket, counts in buckets.items():
            yield kind, bucket, counts


def _rates(counts: Counter[str]) -> dict[str, Any]:
    n = counts["n"]
    return {"n": n} | {
        name: asdict(rate(counts[name], n)) if n else None for name in MEASURES
    }
