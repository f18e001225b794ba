"""The word lists, checked as data: a clash here is a wrong label in every dataset."""

import re
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

WORDS = Path(__file__).parents[2] / "tinysql" / "data" / "words"

# Union of the reserved words of SQLite, PostgreSQL, MySQL 8 and DuckDB, plus unreserved keywords
# that some tool in the chain treats specially when they stand alone as a name.
RESERVED_WORDS = """
    abort accessible action add after all alter always analyse analyze and anti any array as
    asc asensitive asof asymmetric attach authorization autoincrement before begin between
    bigint binary bit blob boolean both by call cascade case cast change char character
    check coalesce collate collation column comment commit concurrently condition conflict
    constraint continue convert count create cross cube cume_dist current current_catalog
    current_date current_role current_schema current_time current_timestamp current_user
    cursor data database databases date datetime day day_hour day_microsecond day_minute
    day_second dec decimal declare default deferrable deferred delayed delete dense_rank
    desc describe detach deterministic distinct distinctrow div do domain double drop dual
    each else elseif empty enclosed end enum escape escaped except exclude exclusive exists
    exit explain extract fail false fetch file filter first first_value float float4 float8
    following for force foreign format freeze from full fulltext function generated get glob
    global grant greatest group grouping groups having high_priority hour hour_microsecond
    hour_minute hour_second if ignore ilike immediate in index indexed infile initially
    inner inout insensitive insert instead int int1 int2 int3 int4 int8 integer intersect
    interval into io_after_gtids io_before_gtids is isnull iterate join json_table key keys
    kill label lag lambda language last last_value lateral lead leading least leave left
    level like limit linear lines load local localtime localtimestamp location lock long
    longblob longtext loop low_priority macro manual map master_bind
    master_ssl_verify_server_cert match materialized max maxvalue mediumblob mediumint
    mediumtext method middleint min minute minute_microsecond minute_second mod modifies
    month name names national natural nchar next no none not nothing notnull
    no_write_to_binlog nth_value ntile null nullif nulls number numeric of offset on only
    operator optimize optimizer_costs option optionally or order ordinality others out outer
    outfile over overlaps overlay owner parallel partition password path percent
    percent_rank period pivot pivot_longer pivot_wider placing plan position positional
    pragma preceding precision primary procedure public purge qualify query quote raise
    range rank read reads read_write real recursive references regexp reindex release rename
    repeat replace require resignal restrict result return returning revoke right rlike role
    rollback row rows row_number savepoint schema schemas scope second second_microsecond
    select semi sensitive sequence session session_user set setof show signal similar size
    smallint some spatial specific sql sqlexception sqlstate sqlwarning sql_big_result
    sql_calc_found_rows sql_small_result ssl start starting state status stored
    straight_join struct substring summarize sum symmetric system system_user table tables
    tablesample temp temporary terminated text then ties time timestamp tinyblob tinyint
    tinytext title to total trailing transaction treat trigger trim true type unbounded undo
    union unique unlock unpack unpivot unsigned update usage use user using utc_date
    utc_time utc_timestamp vacuum value values varbinary varchar varcharacter variable
    variadic varying verbose version view views virtual volume week when where while window
    with within without write xor year year_month zerofill zone
"""
RESERVED = frozenset(RESERVED_WORDS.split())

# A synonym is read inside a sentence: these words would end the list of columns, name a direction,
# or ask for an aggregate.
AMBIGUOUS_WORDS = """
    and or by from of in on for with to the then than as per into at order orders ordered
    ordering sort sorted sorting rank ranked ranking group grouped table column field row
    select show ascending descending asc desc increasing decreasing rising falling
    newest oldest newer older latest earliest recent highest lowest higher lower high low
    largest smallest biggest greatest least most first last top bottom best worst up down
    upward downward backward forward backwards forwards reverse reversed alphabetical
    alphabetically longest shortest cheapest total sum count average avg mean median minimum
    maximum min max
"""
AMBIGUOUS = frozenset(AMBIGUOUS_WORDS.split())
# These change it only in front: "number of", "list", "overall" are openings of other clauses.
AMBIGUOUS_STARTS = frozenset(["number", "list", "overall"])

NAME = re.compile(r"[a-z][a-z0-9_]*")
SYNONYM = re.compile(r"[a-z]+( [a-z]+)*")
TYPE = re.compile(
    r"(INTEGER|BIGINT|SMALLINT|REAL|TEXT|DATE|TIMESTAMP|BOOLEAN|(VARCHAR|CHAR)\(\d+\)|(DECIMAL|NUMERIC)\(\d+,\d+\))"
)


def read(name: str) -> list[dict[str, str]]:
    header, *lines = (WORDS / name).read_text(encoding="ascii").splitlines()
    keys = header.split("\t")
    return [dict(zip(keys, line.split("\t"), strict=True)) for line in lines]


TABLES = read("tables.tsv")
COLUMNS = read("columns.tsv")
ENTRIES = TABLES + COLUMNS
SYNONYMS = [synonym for entry in ENTRIES for synonym in entry["synonyms"].split("; ")]


def repeated(values: list[str]) -> list[str]:
    return [value for value, times in Counter(values).items() if times > 1]


def test_headers_and_sizes_are_the_published_ones() -> None:
    assert list(TABLES[0]) == ["name", "synonyms"]
    assert list(COLUMNS[0]) == ["name", "types", "synonyms"]
    assert (len(TABLES), len(COLUMNS)) == (180, 300)


def test_no_two_entries_share_a_name_or_a_synonym_in_any_spelling() -> None:
    names = [entry["name"].replace("_", " ") for entry in ENTRIES]
    assert repeated(names + SYNONYMS) == []


def test_names_and_synonyms_are_plain_ascii_words() -> None:
    assert [entry["name"] for entry in ENTRIES if not NAME.fullmatch(entry["name"])] == []
    assert [synonym for synonym in SYNONYMS if not SYNONYM.fullmatch(synonym)] == []
    assert [
        entry["name"] for entry in ENTRIES if "__" in entry["name"] or entry["name"][-1] == "_"
    ] == []


def test_every_entry_has_two_or_three_synonyms() -> None:
    assert {len(entry["synonyms"].split("; ")) for entry in ENTRIES} <= {2, 3}


def test_no_name_or_synonym_is_a_reserved_word() -> None:
    spellings = [entry["name"] for entry in ENTRIES] + [
        synonym.replace(" ", "_") for synonym in SYNONYMS
    ]
    assert [spelling for spelling in spellings if spelling in RESERVED] == []


def test_no_synonym_contains_a_word_that_changes_the_sentence() -> None:
    assert [synonym for synonym in SYNONYMS if AMBIGUOUS & set(synonym.split())] == []
    assert [synonym for synonym in SYNONYMS if synonym.split()[0] in AMBIGUOUS_STARTS] == []


def test_every_column_has_one_to_three_distinct_known_types() -> None:
    for column in COLUMNS:
        types = column["types"].split("; ")
        assert 1 <= len(types) <= 3, column
        assert repeated(types) == [], column
        assert all(TYPE.fullmatch(sql_type) for sql_type in types), column


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_every_name_works_unquoted_in_sqlite(direction: str) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        for table in TABLES:
            database.execute(f"CREATE TABLE {table['name']} ( probe INTEGER )")
            database.execute(f"SELECT probe FROM {table['name']} ORDER BY probe {direction}")
        for column in COLUMNS:
            name = column["name"]
            for sql_type in column["types"].split("; "):
                database.execute(f"CREATE TABLE probe ( {name} {sql_type} )")
                database.execute(f"SELECT {name} FROM probe ORDER BY {name} {direction}")
                database.execute("DROP TABLE probe")
