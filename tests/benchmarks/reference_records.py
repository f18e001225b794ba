"""What the reference loop makes per row and per field, and how each is written."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class TableName:
    name: str
    synonym: str
    use_synonym: bool = False

    @property
    def english(self) -> str:
        return self.synonym if self.use_synonym else self.name


@dataclass
class TableField:
    name: str
    type: str
    synonym: str
    use_synonym: bool = False

    @property
    def base_type(self) -> str:
        return self.type.split("(")[0]


@dataclass
class SelectField:
    name: str
    aggregate: str
    synonym: str
    use_synonym: bool = False

    @property
    def sql(self) -> str:
        if not self.aggregate:
            return self.name
        return f"{self.aggregate}({self.name}) AS {self.aggregate}_{self.name}"

    @property
    def english(self) -> str:
        return self.synonym if self.use_synonym else self.name


@dataclass
class OrderField:
    name: str
    asc: bool

    @property
    def sql(self) -> str:
        return f"{self.name} {'ASC' if self.asc else 'DESC'}"


@dataclass
class WhereCondition:
    name: str
    operator: str
    literal: str

    @property
    def sql(self) -> str:
        return f"{self.name} {self.operator} {self.literal}"


@dataclass
class Join:
    table: TableName
    left: str
    right: str

    @property
    def sql(self) -> str:
        return f"JOIN {self.table.name} ON {self.left} = {self.right}"

    @property
    def english(self) -> str:
        return f"join with {self.table.name} on {self.left} equals {self.right}"


@dataclass
class BatchItem:
    command_set: int
    table_name: TableName
    table_fields: list[TableField]
    select: list[SelectField]
    order_by: list[OrderField] = field(default_factory=list)
    where: list[WhereCondition] = field(default_factory=list)
    join: Join | None = None
    create_statement: str = ""
    english_prompt: str = ""
    sql_statement: str = ""


def create_statement(item: BatchItem) -> str:
    """CREATE TABLE t ( a TYPE, b TYPE )"""
    columns = ", ".join(f"{each.name} {each.type}" for each in item.table_fields)
    return f"CREATE TABLE {item.table_name.name} ( {columns} )"


def sql_statement(item: BatchItem) -> str:
    """The query, clause by clause."""
    select = ", ".join(each.sql for each in item.select)
    sql = f"SELECT {select} FROM {item.table_name.name}"
    if item.join:
        sql += f" {item.join.sql}"
    if item.where:
        sql += " WHERE " + " AND ".join(condition.sql for condition in item.where)
    if item.order_by:
        sql += " ORDER BY " + ", ".join(each.sql for each in item.order_by)
    return sql


def batchitem_to_dict(item: BatchItem) -> dict[str, Any]:
    """The row in the ten published columns, lists as JSON text."""
    order_by = None
    if item.command_set > 1:
        order_by = json.dumps([{"name": each.name, "asc": each.asc} for each in item.order_by])
    return {
        "command_set": item.command_set,
        "table_name": item.table_name.name,
        "table_name_synonym": item.table_name.synonym,
        "table_name_use_synonym": item.table_name.use_synonym,
        "create_statement": item.create_statement,
        "english_prompt": item.english_prompt,
        "sql_statement": item.sql_statement,
        "table_fields": json.dumps([vars(each) for each in item.table_fields]),
        "select": json.dumps([vars(each) for each in item.select]),
        "order_by": order_by,
    }
