"""Canonical texts and component scores: spelling does not count, meaning does."""

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysql.sql.components import COMPONENTS, Score, canonical, components, score_components
from tinysql.sql.parsing import parse_query

SCHEMA = {"T": ["a", "b", "k"], "u": ["c", "D", "k"]}
COLUMNS = ["t.a", "t.b", "t.k", "u.c", "u.d", "u.k"]
OPERATORS = {"=": "=", "<>": "<>", "<": ">", "<=": ">="}
"""Each with what it is when its sides change places."""


def text_of(sql: str) -> str:
    return canonical(parse_query(sql), SCHEMA)


def f1_of(gold: str, pred: str) -> dict[str, float]:
    scores = score_components(parse_query(gold), parse_query(pred), SCHEMA)
    return {name: round(score.f1, 3) for name, score in scores.items()}


@dataclass(frozen=True)
class Plan:
    """A query as what counts of it; two plans are equal if and only if their queries mean the same
    to a reader who knows no more than the spelling rules."""

    select: tuple[str, ...]
    connector: str
    conditions: frozenset[tuple[str, str, str]]
    order: tuple[tuple[str, str], ...]
    limit: int
    is_distinct: bool


columns = st.sampled_from(COLUMNS)
plans = st.builds(
    Plan,
    st.lists(columns, min_size=1, max_size=2).map(tuple),
    st.sampled_from(["AND", "OR"]),
    st.frozensets(
        st.tuples(columns, st.sampled_from([*OPERATORS]), st.sampled_from(["1", "'x'", "'X'"])),
        min_size=2, max_size=3,
    ),
    st.lists(st.tuples(columns, st.sampled_from(["ASC", "DESC"])), max_size=2).map(tuple),
    st.integers(0, 2),
    st.booleans(),
)  # fmt: skip


def spelled(plan: Plan, rng: random.Random) -> str:
    """One of the many ways to write a plan."""
    names = rng.choice([{"t": "t", "u": "u"}, {"t": "x", "u": "y"}, {"t": "u", "u": "t"}])
    names = {table: rng.choice([str.upper, str.lower])(name) for table, name in names.items()}

    def column(full: str) -> str:
        table, name = full.split(".")
        written = rng.choice([name, name.upper(), f'"{name}"', f"`{name}`"])
        return written if name != "k" and rng.random() < 0.3 else f"{names[table]}.{written}"

    def condition(name: str, operator: str, value: str) -> str:
        negated = {"=": "<>", "<>": "=", "<": ">=", "<=": ">"}[operator]
        shown = rng.choice(["<>", "!="]) if operator == "<>" else operator
        return rng.choice([
            f"{column(name)} {shown} {value}",
            f"( {value} {OPERATORS[operator]} {column(name)})",
            f"NOT {column(name)} {negated} {value}",
        ])  # fmt: skip

    def ordered(name: str, direction: str) -> str:
        place = str(plan.select.index(name) + 1) if name in plan.select else column(name)
        key = rng.choice([place, column(name)])
        return key if direction == "ASC" and rng.random() < 0.5 else f"{key} {direction}"

    tables = [f"{table} AS {name}" if table != name else table for table, name in names.items()]
    sides = ["{}.k".format(names["t"]), "{}.k".format(names["u"])]
    for some in (tables, sides):
        rng.shuffle(some)
    atoms = [condition(*atom) for atom in sorted(plan.conditions)]
    rng.shuffle(atoms)
    items = [
        column(name) + rng.choice(["", f" AS n{place}"]) for place, name in enumerate(plan.select)
    ]
    sql = f"SELECT {'DISTINCT ' * plan.is_distinct}{', '.join(items)} FROM {tables[0]} "
    sql += f"{rng.choice(['JOIN', 'INNER JOIN'])} {tables[1]} ON {sides[0]} = {sides[1]} "
    sql += f"WHERE {f' {plan.connector} '.join(atoms)}"
    if plan.order:
        sql += f" ORDER BY {', '.join(ordered(*key) for key in plan.order)}"
    sql += f" LIMIT {plan.limit}" if plan.limit else ""
    return sql.replace(" ", rng.choice([" ", "  ", "\n"])) + rng.choice(["", ";", " ; -- done"])


@settings(deadline=None, max_examples=60)
@given(plan=plans, seed=st.integers())
def test_spelling_does_not_count(plan: Plan, seed: int) -> None:
    first, second = (spelled(plan, random.Random(seed + i)) for i in range(2))
    assert text_of(first) == text_of(second)
    assert set(f1_of(first, second).values()) == {1.0}


@settings(deadline=None, max_examples=60)
@given(plan=plans, other=plans, seed=st.integers(), data=st.data())
def test_meaning_counts(plan: Plan, other: Plan, seed: int, data: st.DataObject) -> None:
    """Two plans that differ in one field, too, and so only just."""
    field = data.draw(st.sampled_from([*Plan.__dataclass_fields__]))
    close = Plan(**{**vars(plan), field: vars(other)[field]})
    rng = random.Random(seed)
    for another in (other, close):
        same = text_of(spelled(plan, rng)) == text_of(spelled(another, rng))
        assert same == (plan == another)


EQUAL = [
    (
        "SELECT a, COUNT(*) AS n FROM t GROUP BY a ORDER BY n",
        "SELECT a, COUNT(*) FROM t GROUP BY 1 ORDER BY COUNT(*)",
    ),
    ("SELECT a AS b, b AS a FROM t ORDER BY a", "SELECT a, b FROM t ORDER BY b"),
    ('SELECT a FROM t WHERE b = "x"', "SELECT a FROM t WHERE b = 'x'"),
    ("SELECT a FROM t WHERE a IN (2, 1)", "SELECT a FROM t WHERE a IN (1, 2)"),
    ("SELECT a FROM t WHERE (a=1 AND b=2) OR k=3", "SELECT a FROM t WHERE k=3 OR b=2 AND a=1"),
    ("SELECT a FROM t WHERE a NOT LIKE 'x'", "SELECT a FROM t WHERE NOT (a LIKE 'x')"),
    ("SELECT a FROM t WHERE a IS NOT NULL", "SELECT a FROM t WHERE NOT a IS NULL"),
    ("SELECT x.a FROM t x JOIN t y ON x.a = y.b", "SELECT x.a FROM t y JOIN t x ON y.b = x.a"),
    ("SELECT a FROM t LEFT JOIN u ON a = c", "SELECT a FROM t LEFT OUTER JOIN u ON c = a"),
    ("SELECT n FROM (SELECT COUNT(*) AS n FROM t)", "SELECT s.m FROM (SELECT COUNT(*) m FROM t) s"),
    (
        "WITH x AS (SELECT a FROM t) SELECT a FROM x",
        "WITH y AS (SELECT a AS z FROM t) SELECT z FROM y",
    ),
    (
        "SELECT a FROM t WHERE a > (SELECT AVG(a) FROM t AS i WHERE i.b = t.b)",
        "SELECT o.a FROM t o WHERE (SELECT AVG(a) FROM t WHERE b = o.b) < a",
    ),
    (
        "SELECT a FROM t UNION SELECT c FROM u ORDER BY a",
        "(SELECT a FROM t) UNION SELECT c FROM u ORDER BY 1",
    ),
    ("SELECT a FROM t LIMIT 1 OFFSET 2", "SELECT a FROM t LIMIT 2, 1"),
]
DIFFERENT = [
    ('SELECT a FROM t WHERE b = "k"', "SELECT a FROM t WHERE b = 'k'"),
    ("SELECT a FROM t WHERE a BETWEEN 1 AND 2", "SELECT a FROM t WHERE a >= 1 AND a <= 2"),
    ("SELECT a FROM t WHERE (a=1 AND b=2) OR k=3", "SELECT a FROM t WHERE a=1 AND (b=2 OR k=3)"),
    ("SELECT a - b FROM t", "SELECT b - a FROM t"),
    ("SELECT (a = b) = k FROM t", "SELECT a = (b = k) FROM t"),
    ("SELECT a, b FROM t", "SELECT b, a FROM t"),
    ('SELECT "a, t.b" FROM t', "SELECT a, b FROM t"),
    ("SELECT COUNT(a) FROM t", "SELECT COUNT(DISTINCT a) FROM t"),
    ("SELECT x.a FROM t x JOIN t y ON x.a = y.b", "SELECT y.a FROM t x JOIN t y ON x.a = y.b"),
    ("SELECT a FROM t LEFT JOIN u ON a = c", "SELECT a FROM u LEFT JOIN t ON a = c"),
    ("SELECT a FROM t JOIN u USING (k)", "SELECT a FROM t JOIN u ON t.k = u.k"),
    (
        "SELECT a FROM t WHERE a > (SELECT AVG(a) FROM t AS i WHERE i.b = t.b)",
        "SELECT a FROM t WHERE a > (SELECT AVG(a) FROM t AS i WHERE i.b = i.b)",
    ),
    ("SELECT a FROM t EXCEPT SELECT c FROM u", "SELECT c FROM u EXCEPT SELECT a FROM t"),
    ("SELECT a FROM t ORDER BY a NULLS LAST", "SELECT a FROM t ORDER BY a"),
]


@pytest.mark.parametrize(("first", "second"), EQUAL)
def test_spellings_of_one_query_have_one_canonical_text(first: str, second: str) -> None:
    assert text_of(first) == text_of(second)


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_other_queries_have_other_canonical_texts(first: str, second: str) -> None:
    assert text_of(first) != text_of(second)


@settings(deadline=None, max_examples=60)
@given(plan=plans, seed=st.integers())
def test_the_canonical_text_says_what_the_query_says(plan: Plan, seed: int) -> None:
    """SQLite is the judge: the text of a query without sub-queries is SQL itself."""
    rng = random.Random(seed)
    sql = spelled(plan, rng)
    cells = [0, 1, 2, "x", "X", None]
    with closing(sqlite3.connect(":memory:")) as connection:
        for table, names in SCHEMA.items():
            connection.execute(f"CREATE TABLE {table} ({', '.join(names)})")
            rows = [[rng.choice(cells) for _ in names] for _ in range(8)]
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)
        found, again = (
            connection.execute(text).fetchall()
            for text in (sql.partition("LIMIT")[0], text_of(sql).partition("LIMIT")[0])
        )
    assert sorted(map(repr, found)) == sorted(map(repr, again))


GOLD = "SELECT a, MAX(b) FROM t WHERE a > 1 AND b = 'x' GROUP BY a ORDER BY a, MAX(b) DESC LIMIT 3"


@pytest.mark.parametrize(
    ("pred", "lower"),
    [
        (GOLD.replace("MAX(b) FROM", "MIN(b) FROM"), {"select": 0.5}),
        (GOLD.replace("a, MAX(b) FROM", "a FROM"), {"select": 0.667}),
        (GOLD.replace("a, MAX(b) FROM", "MAX(b), a FROM"), {}),
        (GOLD.replace("'x'", "'y'"), {"where": 0.667}),
        (GOLD.replace(" AND ", " OR "), {"where": 0.667}),
        (GOLD.replace("a > 1", "NOT a > 1"), {"where": 0.667}),
        (GOLD.replace("WHERE a > 1 AND b = 'x' ", ""), {"where": 0.0}),
        (GOLD.replace("BY a, MAX(b) DESC", "BY MAX(b) DESC, a"), {"order": 0.0}),
        (GOLD.replace(" DESC", ""), {"order": 0.5}),
        (GOLD.replace("LIMIT 3", "LIMIT 4"), {"limit": 0.0}),
        (GOLD.replace("SELECT", "SELECT DISTINCT"), {"distinct": 0.0}),
        (GOLD.replace("GROUP BY a", "GROUP BY b"), {"group": 0.0}),
        (GOLD.replace("GROUP BY a", "GROUP BY a HAVING COUNT(*) > 1"), {"having": 0.0}),
        (GOLD + " -- ", {}),
    ],
)  # fmt: skip
def test_only_the_component_that_differs_scores_lower(pred: str, lower: dict[str, float]) -> None:
    scores = f1_of(GOLD, pred)
    assert (scores.pop("all") < 1) == bool(lower)
    assert {name: f1 for name, f1 in scores.items() if f1 < 1} == lower


def test_scores_are_precision_recall_and_f1_of_bags() -> None:
    gold, pred = parse_query("SELECT a, a, b FROM t"), parse_query("SELECT a FROM t ORDER BY a")
    assert score_components(gold, pred, SCHEMA) == {
        "select": Score(1.0, 1 / 3, 0.5),
        "from": Score(1.0, 1.0, 1.0),
        "order": Score(0.0, 0.0, 0.0),
        "all": Score(2 / 3, 2 / 4, 4 / 7),
    }


@pytest.mark.parametrize(
    ("sql", "part", "text"),
    [
        ("SELECT COUNT(DISTINCT A) n FROM t", "select", "COUNT(DISTINCT t.a)"),
        ("SELECT * FROM t LEFT JOIN u ON a = c", "from", "LEFT JOIN u ON t.a = u.c"),
        ("SELECT * FROM t JOIN u ON c = a", "from", "ON t.a = u.c"),
        ("SELECT a FROM t WHERE k IN (SELECT k FROM u)", "where", "t.k IN (...)"),
        ("SELECT a FROM t WHERE k IN (SELECT k FROM u)", "nested", "SELECT u.k FROM u"),
        ("SELECT a FROM t UNION ALL SELECT c FROM u", "set_ops", "UNION ALL"),
        ("SELECT a FROM t UNION ALL SELECT c FROM u", "nested", "SELECT u.c FROM u"),
        ("SELECT x.a FROM t x, t y", "from", "t#2"),
        ("SELECT k FROM t JOIN u", "select", "k"),
        ("SELECT a FROM t ORDER BY b DESC, a", "order", "2. t.a ASC"),
    ],
)
def test_parts_are_named_by_canonical_texts(sql: str, part: str, text: str) -> None:
    parts = components(parse_query(sql), SCHEMA)
    assert text in parts[part]
    assert tuple(parts) == COMPONENTS
