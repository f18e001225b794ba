"""The textual scores that TinySQL (withmartian/TinySQL) publishes for command sets 1 to 3.

An oracle written from the published rules and from the scores measured there on changed gold SQL:
points earned over points possible, by the words of the prediction alone. Commas, directions and the
order of columns do not count. Four habits of the original that the measured scores pin down:

- whether a word stands after another counts only when the other is there at all;
- a selected column that is missing still counts as standing in its place;
- only the text up to a second ORDER BY is looked at, and no ORDER BY at all is not punished;
- a word with a semicolon stuck to it is an unknown word.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Points(NamedTuple):
    """Points of one part of a score."""

    earned: int
    possible: int

    def plus(self, other: "Points") -> "Points":
        return Points(self.earned + other.earned, self.possible + other.possible)


class Wanted(NamedTuple):
    """What the gold SQL of a row has, in upper case."""

    sql: str
    table: str
    anchors: Sequence[str]  # per selected column the word that is looked for after SELECT
    words: Sequence[str]  # every word that the selected columns put into the SQL
    order: Sequence[str]


def score(command_set: int, row: Mapping[str, Any], pred_sql: str) -> float:
    """The published score in [0, 1] of a prediction for a row in the ten-column format."""
    prediction = _fold(pred_sql)
    if not prediction:
        return 0.0
    wanted = _wanted(command_set, row)
    if command_set == 1:
        earned, possible = _select_points(wanted, prediction, wanted.sql)
        return earned / possible
    before, *after = prediction.split("ORDER BY")
    points = _select_points(wanted, before.strip(), wanted.sql.split("ORDER BY")[0].strip())
    if after:
        points = points.plus(_order_points(wanted, after[0]))
    return points.earned / points.possible


def _wanted(command_set: int, row: Mapping[str, Any]) -> Wanted:
    anchors, words = [], []
    for item in json.loads(row["select"]):
        name, aggregate = item["name"].upper(), (item["aggregate"] or "").upper()
        if aggregate and command_set >= 3:
            anchors.append(f"{aggregate}({name})")
            words += [f"{aggregate}({name})", f"{aggregate}_{name}"]
        else:
            anchors.append(name)
            words.append(name)
    order = [key["name"].upper() for key in json.loads(row["order_by"] or "[]") or []]
    return Wanted(_fold(row["sql_statement"]), row["table_name"].upper(), anchors, words, order)


def _select_points(wanted: Wanted, prediction: str, gold: str) -> Points:
    return _structure_points(wanted, prediction, gold).plus(_column_points(wanted, prediction))


def _structure_points(wanted: Wanted, prediction: str, gold: str) -> Points:
    words = _words(prediction)
    checks = ["SELECT" in words, wanted.table in words, "FROM" in words, words[:1] == ["SELECT"]]
    extra = len(prediction) - len(gold)
    steps = ((2, 10), (4, 8), (6, 6), (8, 4), (10, 2))
    length = next((points for most, points in steps if extra <= most), 0)
    return Points(sum(checks) + length, len(checks) + 10)


def _column_points(wanted: Wanted, prediction: str) -> Points:
    words = _words(prediction)
    place = {word: position for position, word in reversed(list(enumerate(words)))}
    checks = [word in place for word in wanted.words]
    last = max((place.get(anchor, -1) for anchor in wanted.anchors), default=-1)
    if "SELECT" in place:
        checks += [place.get(anchor, len(words)) > place["SELECT"] for anchor in wanted.anchors]
    if "FROM" in place:
        checks.append(place["FROM"] > last)
        if wanted.table in place:
            checks.append(place[wanted.table] > place["FROM"])
    known = {"SELECT", "FROM", "AS", wanted.table, *wanted.words}
    return Points(sum(checks), len(checks)).plus(_unknown_points(words, known))


def _order_points(wanted: Wanted, keys: str) -> Points:
    words = _words(keys)
    found = sum(name in words for name in wanted.order)
    starts = Points(1, 1)  # the text was cut at ORDER BY
    present = Points(found, len(wanted.order))
    return starts.plus(present).plus(_unknown_points(words, {"ASC", "DESC", *wanted.order}))


def _unknown_points(words: Iterable[str], known: set[str]) -> Points:
    unknown = sum(word not in known for word in words)
    steps = ((0, 10), (1, 8), (2, 6), (4, 4), (8, 2))
    return Points(next((points for most, points in steps if unknown <= most), 0), 10)


def _fold(sql: str) -> str:
    return " ".join(sql.upper().split())


def _words(sql: str) -> list[str]:
    return sql.replace(",", " ").split()
