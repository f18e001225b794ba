"""The word lists, checked as data: a clash here is a wrong label in every dataset."""

import hashlib
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from graphlib import TopologicalSorter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysql.data import words
from tinysql.data.interchange.reserved import reserved_in

KINDS = words.kinds()
WORDS: tuple[words.Table | words.Column, ...] = (*words.tables(), *words.columns())
PHRASES = [phrase.replace("_", " ") for word in WORDS for phrase in word.phrases]
FAMILY = {column.name: KINDS[column.kind].family for column in words.columns()}

# A phrase that starts with one of these opens another clause of the question ...
OPENINGS = """
    number count total sum average mean highest lowest largest smallest maximum minimum earliest
    latest first last most least distinct different unique combined top row rows entries records
    sorted ordered ascending each all every per not alphabetically
"""
# ... and these end a phrase wherever they stand.
ENDINGS = "and or by for where with from in of is to than between which whose the per each"
NOT_IN_VALUES = "and or not is in the of by for from with where than between true false null"
TYPES = {
    "number": r"INTEGER|BIGINT|SMALLINT|REAL|DOUBLE PRECISION|(DECIMAL|NUMERIC)\(\d+,\d+\)",
    "text": r"TEXT|(VARCHAR|CHAR)\(\d+\)",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "boolean": "BOOLEAN",
}


def repeated(values: Iterable[str]) -> list[str]:
    return [value for value, times in Counter(values).items() if times > 1]


def digest(names: list[str]) -> str:
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:12]


def test_the_lists_are_as_long_as_promised() -> None:
    assert len(words.tables()) >= 500
    assert len({table.domain for table in words.tables()}) >= 40
    assert len(words.columns()) >= 830
    assert [word.name for word in WORDS if len(word.synonyms) < 3] == []


def test_the_small_vocabulary_comes_first_in_its_order() -> None:
    assert digest([table.name for table in words.tables()[:180]]) == "1caaf08a95ab"
    assert digest([column.name for column in words.columns()[:300]]) == "f42126eb8cf5"


def test_columns_are_a_mix_of_families() -> None:
    share = {family: times / len(FAMILY) for family, times in Counter(FAMILY.values()).items()}
    assert 0.3 < share["text"] < 0.5
    assert 0.3 < share["number"] < 0.5
    assert 0.1 < share["date"] + share["timestamp"] < 0.2
    assert 0.03 < share["boolean"] < 0.08
    additive = sum(KINDS[column.kind].additive for column in words.columns())
    assert 0.4 < additive / len(FAMILY) / share["number"] < 0.65


def test_names_and_phrases_are_plain_lower_case_words() -> None:
    names = [word.name for word in WORDS] + [table.singular for table in words.tables()]
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)] == []
    form = r"[a-z][a-z0-9]*( [a-z0-9]+)*"
    assert [phrase for phrase in PHRASES if not re.fullmatch(form, phrase)] == []


def test_booleans_and_only_they_are_named_as_a_claim() -> None:
    claims = {name for name in FAMILY if name.startswith(("is_", "has_"))}
    assert claims ^ {name for name, family in FAMILY.items() if family == "boolean"} == set()


def test_no_phrase_has_two_owners_nor_one_owner_twice() -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for table in words.tables():
        singular = () if table.singular == table.name else (table.singular,)
        for phrase in (*table.phrases, *singular):
            owners[phrase.replace("_", " ")].append(f"table {table.name}")
    for column in words.columns():
        for phrase in column.phrases:
            owners[phrase.replace("_", " ")].append(f"column {column.name}")
    assert {phrase: names for phrase, names in owners.items() if len(names) > 1} == {}


def test_no_phrase_opens_or_ends_a_clause() -> None:
    phrases = [phrase.removeprefix("is ") for phrase in PHRASES]
    assert [phrase for phrase in phrases if phrase.split()[0] in OPENINGS.split()] == []
    assert [phrase for phrase in phrases if set(ENDINGS.split()) & set(phrase.split())] == []


def test_no_column_is_named_like_a_key() -> None:
    singulars = [table.singular for table in words.tables()]
    keys = {"id", *(f"{one}_{end}" for one in singulars for end in ("id", "code"))}
    assert keys & set(FAMILY) == set()


def test_parents_are_up_to_three_other_tables_without_a_cycle() -> None:
    graph = {table.name: table.parents for table in words.tables()}
    assert [name for name, parents in graph.items() if not set(parents) <= set(graph)] == []
    assert [name for name, parents in graph.items() if len(parents) > 3 or repeated(parents)] == []
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


def test_no_name_is_reserved_in_postgresql() -> None:
    assert [word.name for word in WORDS if "PostgreSQL" in reserved_in(word.name)] == []


@pytest.fixture(params=["sqlite", "duckdb"])
def execute(request: pytest.FixtureRequest) -> Iterator[Callable[[str], list[tuple[object, ...]]]]:
    """Runs one statement and returns its rows."""
    engine = sqlite3 if request.param == "sqlite" else pytest.importorskip("duckdb")
    with closing(engine.connect(":memory:")) as database:
        yield lambda sql: database.execute(sql).fetchall()


def test_every_table_name_works_unquoted(execute: Callable[[str], object]) -> None:
    for table in words.tables():
        execute(f"CREATE TABLE {table.name} ( probe INTEGER )")


def test_every_column_works_unquoted_with_every_type(execute: Callable[[str], object]) -> None:
    for turn in range(3):
        declared = [f"{one.name} {one.types[turn % len(one.types)]}" for one in words.columns()]
        execute(f"CREATE TABLE probe{turn} ( {', '.join(declared)} )")
    execute(f"SELECT {', '.join(FAMILY)} FROM probe0 ORDER BY {' ASC, '.join(FAMILY)} DESC")


def test_every_literal_is_found_again_in_every_type(
    execute: Callable[[str], list[tuple[object, ...]]],
) -> None:
    for kind in KINDS.values():
        used = {
            one for column in words.columns() if column.kind == kind.name for one in column.types
        }
        names = [f"c{i}" for i in range(len(used))]
        declared = [f"{name} {one}" for name, one in zip(names, sorted(used), strict=True)]
        execute(f"CREATE TABLE {kind.name}_probe ( {', '.join(declared)} )")
        rows = [f"( {', '.join([one] * len(names))} )" for one in kind.literals]
        execute(f"INSERT INTO {kind.name}_probe VALUES {', '.join(rows)}")
        found = [f"COUNT(DISTINCT {one})" for one in names]
        everywhere = [f"{one} IN ( {', '.join(kind.literals)} )" for one in names]
        counts = f"SELECT {', '.join(found)} FROM {kind.name}_probe WHERE "
        (result,) = execute(counts + " AND ".join(everywhere))
        assert set(result) == {len(kind.literals)}, (kind.name, declared)


def holds(sql_type: str, kind: words.Kind) -> bool:
    """Whether every value of the kind fits the type without loss."""
    sizes = [int(size) for size in re.findall(r"\d+", sql_type)]
    if sql_type.startswith(("VARCHAR", "CHAR")):
        lengths = {len(value) for value in kind.values}
        return lengths == set(sizes) if sql_type[0] == "C" else max(lengths) <= sizes[0]
    if sql_type.startswith(("DECIMAL", "NUMERIC")):
        return sizes[1] >= kind.decimals and Decimal(kind.high) < 10 ** (sizes[0] - sizes[1])
    # Four bytes hold whole numbers well, but their 0.1 is not the 0.1 of a literal.
    bits = {"SMALLINT": 15, "INTEGER": 31, "BIGINT": 63, "REAL": 24}.get(sql_type)
    return bits is None or (kind.decimals == 0 and Decimal(kind.high) < 2**bits)


def test_every_column_has_one_to_three_types_wide_enough_for_its_kind() -> None:
    for column in words.columns():
        kind = KINDS[column.kind]
        assert 1 <= len(column.types) <= 3, column
        assert repeated(column.types) == [], column
        for sql_type in column.types:
            assert re.fullmatch(TYPES[kind.family], sql_type), column
            assert holds(sql_type, kind), column


def test_kinds_are_the_ones_that_columns_use() -> None:
    assert set(KINDS) == {column.kind for column in words.columns()}
    assert {kind.family for kind in KINDS.values()} == set(TYPES)
    assert {kind.family for kind in KINDS.values() if kind.additive} == {"number"}


def test_text_values_are_distinct_plain_words_and_no_phrases() -> None:
    columns = {p.replace("_", " ") for column in words.columns() for p in column.phrases}
    for kind in KINDS.values():
        lower = [value.lower() for value in kind.values]
        assert len(lower) >= 16 if kind.family == "text" else lower == [], kind
        assert repeated(lower) == [], kind
        form = r"[A-Z0-9][A-Za-z0-9-]*( [A-Z0-9][A-Za-z0-9-]*)?"
        assert [value for value in kind.values if not re.fullmatch(form, value)] == []
        assert [
            one for one in lower if set(NOT_IN_VALUES.split()) & set(re.split("[ -]", one))
        ] == []
        assert columns & set(lower) == set(), kind


def test_literals_are_distinct_and_of_their_family() -> None:
    for kind in KINDS.values():
        inside = [literal.strip("'") for literal in kind.literals]
        assert repeated(inside) == [], kind
        if kind.family == "text":
            assert tuple(inside) == kind.values
        elif kind.family == "boolean":
            assert kind.literals == ("FALSE", "TRUE")
        elif kind.family == "number":
            assert kind.literals == tuple(inside)
            assert 0 <= Decimal(kind.low) < Decimal(kind.high), kind
        else:
            day = date if kind.family == "date" else datetime
            assert [str(day.fromisoformat(one)) for one in inside] == sorted(inside)
            assert kind.low < inside[0] < inside[-1] < kind.high
            assert len(inside) == 64


@given(st.integers(-10_000, 10_000), st.integers(1, 10**7), st.integers(0, 2))
def test_number_literals_are_evenly_spread(low: int, width: int, decimals: int) -> None:
    kind = words.Kind("any", "number", False, str(low), str(low + width), decimals, ())
    numbers = [Decimal(literal) for literal in kind.literals]
    (step,) = {after - before for before, after in zip(numbers, numbers[1:], strict=False)}
    assert low <= numbers[0] < low + step
    assert low + width - step < numbers[-1] <= low + width
    assert step % Decimal(1).scaleb(-decimals) == 0
    assert len(numbers) <= 64
    assert len(numbers) >= 25 or step == Decimal(1).scaleb(-decimals)
    assert not any(re.search(r"E|\.\d*0$", literal) for literal in kind.literals)


def test_every_tenth_word_is_held_out_and_columns_of_every_family_are() -> None:
    assert list(words.held_tables()) == [i for i in range(len(words.tables())) if i % 10 == 9]
    assert list(words.held_columns()) == [i for i in range(len(words.columns())) if i % 10 == 9]
    held = [words.columns()[position].name for position in words.held_columns()]
    assert {FAMILY[name] for name in held} == set(TYPES)
