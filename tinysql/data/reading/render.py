"""The gold SQL of one reading, written row by row.

The generator writes the SQL of a whole shard from index tables; this writes it from the records
alone, and the two must be the same text.
"""

from tinysql.data.reading.records import Filter, Having, OrderKey, Reading, Schema, SelectItem

Prefixes = dict[int, str]  # what stands before a column, by table: "t1." or nothing


def write_sql(reading: Reading, schema: Schema, *, aliases: bool = True) -> str:
    """The SQL of a reading; without aliases as in the variant paper, where names are bare."""
    several = aliases and len(reading.from_tables) > 1
    prefixes = {
        table: f"t{number}." if several else ""
        for number, table in enumerate(reading.from_tables, start=1)
    }
    query = _query(reading, schema, prefixes)
    if reading.outer_aggregate:
        name, inner = reading.outer_aggregate, reading.select[0].alias
        return f"SELECT {name}({inner}) AS {name}_{inner} FROM ( {query} ) AS per_group"
    return query


def _query(reading: Reading, schema: Schema, prefixes: Prefixes) -> str:
    items = ", ".join(_item(item, prefixes) for item in reading.select)
    distinct = "DISTINCT " if reading.distinct else ""
    head = f"SELECT {distinct}{items} FROM {_from(reading, schema, prefixes)}"
    conditions = _conditions(reading, schema, prefixes, scope=0)
    parts = [head]
    if conditions:
        parts.append(f"WHERE {_combine(reading.where_form, conditions)}")
    if reading.set_operation:
        (second,) = _conditions(reading, schema, prefixes, scope=2)
        parts.append(f"{reading.set_operation} {head} WHERE {second}")
    if reading.group_by:
        keys = (f"{prefixes[key.table]}{key.column}" for key in reading.group_by)
        parts.append(f"GROUP BY {', '.join(keys)}")
    if reading.having:
        parts.append(f"HAVING {_having(reading.having[0], prefixes)}")
    if reading.order_by:
        keys = (_order_key(key, prefixes) for key in reading.order_by)
        parts.append(f"ORDER BY {', '.join(keys)}")
    if reading.limit:
        parts.append(f"LIMIT {reading.limit}")
    return " ".join(parts)


def _from(reading: Reading, schema: Schema, prefixes: Prefixes) -> str:
    text = []
    for number, table in enumerate(reading.from_tables):
        name, alias = schema.tables[table], prefixes[table].rstrip(".")
        text.append(f"{'JOIN ' if number else ''}{name}{f' AS {alias}' if alias else ''}")
        if number:
            join = reading.joins[number - 1]
            left, right = (
                (prefixes[side] or f"{schema.tables[side]}.") + column
                for side, column in (
                    (join.left, join.left_column), (join.right, join.right_column),
                )
            )  # fmt: skip
            text.append(f"ON {left} = {right}")
    return " ".join(text)


def _item(item: SelectItem, prefixes: Prefixes) -> str:
    name = prefixes.get(item.table, "") + item.column
    return f"{item.aggregate}({name}) AS {item.alias}" if item.aggregate else name


def _order_key(key: OrderKey, prefixes: Prefixes) -> str:
    if key.aggregate:
        return f"{key.aggregate}_{'rows' if key.column == '*' else key.column} {key.direction}"
    return f"{prefixes[key.table]}{key.column} {key.direction}"


def _having(having: Having, prefixes: Prefixes) -> str:
    name = prefixes.get(having.table, "") + having.column
    return _compare(f"{having.aggregate}({name})", having.operator, having.values)


def _conditions(
    reading: Reading, schema: Schema, prefixes: Prefixes, *, scope: int
) -> list[str]:
    """The conditions of a scope, each with the one inside of it."""
    following = (*reading.filters[1:], None)
    return [
        _condition(each, inner, schema, prefixes)
        for each, inner in zip(reading.filters, following, strict=False)
        if each.scope == scope
    ]


def _condition(each: Filter, inner: Filter | None, schema: Schema, prefixes: Prefixes) -> str:
    column = prefixes.get(each.table, "") + each.column
    operator = each.operator.removesuffix(" SELECT")
    if operator in ("EXISTS", "NOT EXISTS"):
        return f"{operator} ( {_matching(schema, each)} )"
    if each.operator == operator:
        return _compare(column, operator, each.values)
    if operator in ("IN", "NOT IN"):
        assert inner is not None
        table, key = _key_behind(schema, each)
        condition = _compare(inner.column, inner.operator, inner.values)
        return f"{column} {operator} ( SELECT {key} FROM {schema.tables[table]} WHERE {condition} )"
    operand = f"{each.aggregate}({each.column}) FROM {schema.tables[each.table]}"
    return f"{column} {operator} ( SELECT {operand} )"


def _key_behind(schema: Schema, each: Filter) -> tuple[int, str]:
    """The table and column that a condition's foreign key refers to."""
    return next(
        (key.parent, key.parent_column)
        for key in schema.foreign_keys
        if (key.table, key.column) == (each.table, each.column)
    )


def _matching(schema: Schema, each: Filter) -> str:
    parent, parent_column = _key_behind(schema, each)
    child = schema.tables[each.table]
    link = f"{child}.{each.column} = {schema.tables[parent]}.{parent_column}"
    return f"SELECT * FROM {child} WHERE {link}"


def _compare(name: str, operator: str, values: tuple[str, ...]) -> str:
    if operator in ("NOT >", "NOT <"):
        return f"NOT {name} {operator[-1]} {values[0]}"
    if operator in ("IN", "NOT IN"):
        return f"{name} {operator} ( {', '.join(values)} )"
    return " ".join((name, operator, " AND ".join(values))).rstrip()


def _combine(form: str, conditions: list[str]) -> str:
    """A where_form with its letters replaced by the conditions."""
    letters = dict(zip("ABC", conditions, strict=False))
    return " ".join(letters.get(word, word) for word in form.split(" "))
