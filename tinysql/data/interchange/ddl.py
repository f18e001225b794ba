"""CREATE TABLE text from records, for the formats that hold no such text: parents stand first."""

from collections.abc import Iterable, Sequence

from tinysql.data.interchange.reserved import reserved_in
from tinysql.data.interchange.schema import ForeignKey, Table


def render_schema(tables: Iterable[Table]) -> str:
    """The tables as our rows hold them, children after their parents where there is no circle."""
    return "; ".join(map(_create, _parents_first(list(tables))))


def quoted(name: str) -> str:
    """The name as SQL: in double quotes where it would not be one otherwise."""
    plain = name.isascii() and name.isidentifier() and not reserved_in(name)
    return name if plain else '"' + name.replace('"', '""') + '"'


def _create(table: Table) -> str:
    own: dict[str, ForeignKey] = {}
    for key in table.foreign:
        if len(key.columns) == 1:
            own.setdefault(key.columns[0], key)
    parts = []
    for name, declared in table.columns:
        words = [quoted(name), declared]
        if table.primary == (name,):
            words.append("PRIMARY KEY")
        if name in own:
            words.append(_references(own[name]))
        parts.append(" ".join(filter(None, words)))
    if len(table.primary) > 1:
        parts.append(f"PRIMARY KEY {_listed(table.primary)}")
    parts += [
        f"FOREIGN KEY {_listed(key.columns)} {_references(key)}"
        for key in table.foreign
        if key not in own.values()
    ]
    return f"CREATE TABLE {quoted(table.name)} ( {', '.join(parts)} )"


def _references(key: ForeignKey) -> str:
    target = f" {_listed(key.parent_columns)}" if key.parent_columns else ""
    return f"REFERENCES {quoted(key.parent)}{target}"


def _listed(names: Sequence[str]) -> str:
    return f"( {', '.join(map(quoted, names))} )"


def _parents_first(tables: list[Table]) -> list[Table]:
    ordered: list[Table] = []
    while tables:
        waiting = {table.name.lower() for table in tables}
        free = (
            table
            for table in tables
            if not {key.parent.lower() for key in table.foreign} & (waiting - {table.name.lower()})
        )
        # In a circle every table waits for another: the first one goes ahead.
        chosen = next(free, tables[0])
        ordered.append(chosen)
        tables = [table for table in tables if table is not chosen]
    return ordered
