"""Whole shards of text-to-SQL rows as Arrow columns, without a Python loop per row.

1. schema and query are drawn as arrays of numbers from (config, seed, row number) alone;
2. question, schema and SQL are written from them piece by piece, for all rows at once;
3. the same arrays become the columns of records.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tinysql.data import paper
from tinysql.data.card import count
from tinysql.data.dataset import BUCKETS, EVERY_BUCKET, DatasetConfig
from tinysql.data.draws import Draws
from tinysql.data.hardness import LEVELS, levels
from tinysql.data.queries import NUM_TABLES, Query, Rates, draw_queries, num_tables_of
from tinysql.data.questions import Wording, draw_shapes, write_question
from tinysql.data.row_records import row_records
from tinysql.data.schemas import Layout, Schemas, draw_schemas, write_schema
from tinysql.data.sql_text import write_sql
from tinysql.data.text import Indices, Text, gather, mentions, pieces

HELD_SYNONYMS = (0.8, 0.5)
"""Rates of table and column synonyms in the split of unseen phrases, whatever the dataset's."""

# These are nearly all different: a dictionary of them would only cost time and space.
_WITHOUT_DICTIONARY = ("id", "question", "schema_sql", "gold_sql")


def generate_shard(
    out_dir: Path, *, config: DatasetConfig, split: str, start: int, stop: int, file_name: str
) -> dict[str, Any]:
    """Write rows [start, stop) as one Parquet file; returns their number and the card's counts."""
    drawn = _draw(config, split, np.arange(start, stop))
    write_rows(_rows(config, split, drawn), out_dir / file_name)
    counts = count(
        drawn.command_set, drawn.schemas, drawn.query, drawn.shape, drawn.level, drawn.question,
    )  # fmt: skip
    return {"rows": stop - start, "counts": counts}


def write_rows(rows: pa.Table, file: Path) -> None:
    """Write rows as a Parquet file, compressed with zstd."""
    pq.write_table(
        rows, file, compression="zstd", compression_level=1, write_statistics=False,
        write_batch_size=2**15,  # levels at a time: nested columns are written an eighth faster
        use_dictionary=[leaf for leaf in _leaves(rows.schema) if leaf not in _WITHOUT_DICTIONARY],
    )  # fmt: skip


def generate_rows(config: DatasetConfig, split: str, row_numbers: Indices) -> pa.Table:
    """The rows with these numbers (any, in any order) of a split, as the dataset's columns."""
    return _rows(config, split, _draw(config, split, row_numbers))


def _rows(config: DatasetConfig, split: str, drawn: "_Drawn") -> pa.Table:
    return pa.table(
        {
            "id": pa.array(drawn.numbers, pa.int64()),
            "command_set": pa.array(drawn.command_set, pa.int8()),
            "split": pa.repeat(split, len(drawn.numbers)),
            "variant": pa.repeat(config.variant, len(drawn.numbers)),
            "question": drawn.question.build(),
            "schema_sql": drawn.schema.build(),
            "gold_sql": drawn.sql.build(),
            **row_records(drawn.schemas, drawn.query, drawn.question),
            "template_id": pa.array(drawn.shape, pa.int16()),
            "hardness": gather(pieces(LEVELS)[drawn.level]),
        }
    )


def generate_mentions(config: DatasetConfig, split: str, row_numbers: Indices) -> pa.Table:
    """Where every name, phrase and value of these rows stands, beside the texts it stands in.

    Columns id, question, schema_sql, gold_sql, and mentions: a list of {key, start, end} in
    characters; docs/data.md lists the keys. They are made anew instead of being stored, because
    they would be a third of a dataset and few readers want them.
    """
    drawn = _draw(config, split, row_numbers)
    texts = [drawn.question, drawn.schema, drawn.sql]
    return pa.table(
        {
            "id": pa.array(row_numbers, pa.int64()),
            "question": drawn.question.build(),
            "schema_sql": drawn.schema.build(),
            "gold_sql": drawn.sql.build(),
            "mentions": mentions(texts, len(row_numbers)),
        }
    )


class _Drawn(NamedTuple):
    numbers: Indices
    command_set: Indices
    schemas: Schemas
    query: Query
    shape: Indices
    level: Indices
    question: Text
    schema: Text
    sql: Text


def _draw(config: DatasetConfig, split: str, row_numbers: Indices) -> _Drawn:
    draws = Draws(config.seed, row_numbers.astype(np.uint64))
    sets = (config.higher,) if split == "higher_command_set" else config.command_sets
    command_set = np.array(sets)[draws.below("command_set", len(sets))]
    in_paper = config.variant == "paper"
    num_tables = (
        paper.num_tables_of(command_set) if in_paper else num_tables_of(command_set, draws)
    )
    schemas = draw_schemas(_layout(config, split, sets), num_tables, draws)
    rates = Rates(
        order_by=config.order_by_rate, aggregate=config.aggregate_rate, where=config.where_rate,
        join=config.join_rate, first_table=config.first_table_rate,
    )  # fmt: skip
    if in_paper:
        schemas, query = paper.draw_queries(command_set, schemas, rates, draws)
    else:
        query = draw_queries(command_set, schemas, rates, draws)
    held = split == "held_phrases"
    synonyms = HELD_SYNONYMS if held else (config.table_synonym_rate, config.column_synonym_rate)
    wording = Wording(*synonyms, held=held)
    shape = draw_shapes(query, wording, draws)
    question = write_question(schemas, query, shape, wording, draws, explicit_joins=in_paper)
    schema = write_schema(schemas)
    sql = write_sql(schemas, query, qualified=not in_paper)
    return _Drawn(
        row_numbers, command_set, schemas, query, shape, levels(query), question, schema, sql
    )


def _leaves(schema: pa.Schema) -> list[str]:
    """The Parquet paths of a schema's columns."""

    def below(path: str, kind: pa.DataType) -> list[str]:
        if pa.types.is_list(kind):
            return below(f"{path}.list.element", kind.value_type)
        if pa.types.is_struct(kind):
            return [leaf for field in kind for leaf in below(f"{path}.{field.name}", field.type)]
        return [path]

    return [leaf for field in schema for leaf in below(field.name, field.type)]


def _layout(config: DatasetConfig, split: str, command_sets: tuple[int, ...]) -> Layout:
    in_paper = config.variant == "paper"
    tables = [NUM_TABLES[number] for number in command_sets]
    low, high = config.longer_range if split == "longer_schemas" else (
        config.min_columns, config.max_columns
    )
    half = (low, max(low, high // 2))
    return Layout(
        num_tables=config.num_tables,
        num_columns=config.num_columns,
        alone=(low, high),
        first=(low, high) if in_paper else half,
        others=paper.JOINED_COLUMNS if in_paper else half,
        held_tables=split == "held_tables",
        held_columns=split == "held_columns",
        buckets=BUCKETS.get(split, EVERY_BUCKET),
        keys=not in_paper,
        least_tables=min(least for least, _ in tables),
        most_tables=max(most for _, most in tables),
    )
