"""A plain loop over rows that does the work of TinySQL's generator, to measure ours against.

Command sets 1 to 5 as withmartian/TinySQL (TinySQL/training_data) defines them: its grammar and
probabilities, one object per row and per field, str operations and the random module, and rows in
the ten published columns. Both sides of the measurement draw from our word lists; the sentences
are in reference_phrases.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from reference_phrases import AGGREGATES, ASCENDING, COMPARISONS, DESCENDING, SENTENCES
from reference_records import (
    BatchItem,
    Join,
    OrderField,
    SelectField,
    TableField,
    TableName,
    WhereCondition,
    batchitem_to_dict,
    create_statement,
    sql_statement,
)

from tinysql.data import words

ORDER_SHARE = 0.9
WHERE_SHARE = 0.8
TABLE_SYNONYM_SHARE = 0.8
FIELD_SYNONYM_SHARE = 0.5

NUMBERS = {"INTEGER", "BIGINT", "SMALLINT", "DECIMAL", "NUMERIC", "REAL", "DOUBLE PRECISION"}
TEXTS = {"VARCHAR", "CHAR", "TEXT"}
DATES = {"DATE", "TIMESTAMP"}


class ReferenceLoop:
    """Rows of one command set, with tables of 2 to `max_cols` columns."""

    def __init__(
        self, command_set: int, *, max_cols: int = 12, use_synonyms: bool = False, seed: int = 0
    ) -> None:
        self.command_set = command_set
        self.max_cols = max_cols
        self.use_synonyms = use_synonyms
        self.draw = random.Random(seed)
        self.tables = words.tables()
        self.columns = words.columns()

    def write(self, batch_size: int, path: Path) -> None:
        """Generate the rows and write them as one Parquet file."""
        rows = [batchitem_to_dict(item) for item in self.items(batch_size)]
        pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")

    def items(self, batch_size: int) -> Iterator[BatchItem]:
        """The rows one by one; the first 90% have an ORDER BY, in command set 5 any 90%."""
        for number in range(batch_size):
            if self.command_set == 5:
                ordered = self.draw.random() < ORDER_SHARE
            else:
                ordered = self.command_set >= 2 and number < batch_size * ORDER_SHARE
            yield self.item(ordered)

    def item(self, ordered: bool) -> BatchItem:
        table, fields = self.table_name(), self.table_fields(2, self.max_cols)
        item = BatchItem(self.command_set, table, fields, self.select(fields))
        if ordered:
            item.order_by = self.order_by(fields)
        if self.command_set >= 4 and self.draw.random() < WHERE_SHARE:
            item.where = self.where(fields)
        if self.command_set == 5:
            item.join = self.join(fields)
        item.create_statement = create_statement(item)
        item.sql_statement = sql_statement(item)
        item.english_prompt = self.english(item)
        return item

    def table_name(self) -> TableName:
        table = self.draw.choice(self.tables)
        renamed = self.use_synonyms and self.draw.random() < TABLE_SYNONYM_SHARE
        return TableName(table.name, self.draw.choice(table.synonyms), renamed)

    def table_fields(self, fewest: int, most: int) -> list[TableField]:
        chosen = self.draw.sample(self.columns, self.draw.randint(fewest, most))
        return [
            TableField(each.name, self.draw.choice(each.types), self.draw.choice(each.synonyms))
            for each in chosen
        ]

    def select(self, fields: list[TableField]) -> list[SelectField]:
        selected = []
        for each in self.draw.sample(fields, self.draw.randint(1, len(fields))):
            aggregate = ""
            if self.command_set == 3:
                aggregate = self.draw.choice(aggregates_of(each.base_type))
            each.use_synonym = self.use_synonyms and self.draw.random() < FIELD_SYNONYM_SHARE
            selected.append(SelectField(each.name, aggregate, each.synonym, each.use_synonym))
        return selected

    def order_by(self, fields: list[TableField]) -> list[OrderField]:
        asc = self.draw.random() < 0.5
        chosen = self.draw.sample(fields, self.draw.randint(1, len(fields)))
        return [OrderField(each.name, asc) for each in chosen]

    def where(self, fields: list[TableField]) -> list[WhereCondition]:
        conditions = []
        for _ in range(self.draw.randint(1, 3)):
            each = self.draw.choice(fields)
            operator, literal = self.comparison(each.base_type)
            conditions.append(WhereCondition(each.name, operator, literal))
        return conditions

    def comparison(self, base_type: str) -> tuple[str, str]:
        if base_type in TEXTS:
            return "LIKE", f"'%{self.draw.choice('abcdefghijklmnopqrstuvwxyz')}%'"
        if base_type == "BOOLEAN":
            return "=", self.draw.choice(["TRUE", "FALSE"])
        operator = self.draw.choice(["=", ">", "<", ">=", "<="])
        if base_type in DATES:
            year, month = self.draw.randint(2000, 2023), self.draw.randint(1, 12)
            return operator, f"'{year}-{month:02d}-{self.draw.randint(1, 28):02d}'"
        return operator, str(self.draw.randint(1, 100))

    def join(self, fields: list[TableField]) -> Join | None:
        """A join on two columns of one base type, or None where the tables have no such pair."""
        table, others = self.table_name(), self.table_fields(1, 4)
        pairs = [
            (left, right) for left in fields for right in others
            if left.base_type == right.base_type
        ]
        if not pairs:
            return None
        left, right = self.draw.choice(pairs)
        return Join(table, left.name, right.name)

    def english(self, item: BatchItem) -> str:
        parts = [self.english_select(item)]
        if item.join:
            parts.append(item.join.english)
        if item.where:
            conditions = [f"{c.name} is {COMPARISONS[c.operator]} {c.literal}" for c in item.where]
            parts.append("where " + " and ".join(conditions))
        if item.order_by:
            phrases = ASCENDING if item.order_by[0].asc else DESCENDING
            parts.append(", ".join(f"{self.draw.choice(phrases)} {o.name}" for o in item.order_by))
        return " ".join(parts)

    def english_select(self, item: BatchItem) -> str:
        fields = []
        for each in item.select:
            lead = f"{self.draw.choice(AGGREGATES[each.aggregate])} " if each.aggregate else ""
            fields.append(lead + each.english)
        listing = fields[0]
        if len(fields) > 1:
            listing = ", ".join(fields[:-1]) + " and " + fields[-1]
        sentence = self.draw.choice(SENTENCES)
        return sentence.replace("[fields]", listing).replace("[table]", item.table_name.english)


def aggregates_of(base_type: str) -> list[str]:
    """The aggregates that a column may get; "" is none."""
    if base_type in NUMBERS:
        return ["SUM", "AVG", "MIN", "MAX", "COUNT", ""]
    if base_type in TEXTS or base_type in DATES:
        return ["MIN", "MAX", "COUNT", ""]
    return ["COUNT", ""]
