"""What a model is asked and the right answers, read from a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinysql.errors import InputError


@dataclass(frozen=True, slots=True)
class Planted:
    """The database that the records of a generated row call for, made when it is needed."""

    id: int | str
    row: Mapping[str, Any] = field(compare=False, repr=False)

    def database(self) -> bytes:
        """A snapshot on which all conditions of the row's query hold together somewhere.

        Raises InputError: the row has fields of the same names and other contents.
        """
        from tinysql.evaluate.planted import planted_database  # noqa: PLC0415

        try:
            return planted_database(self.row, num_rows=32, seed=0)
        except (KeyError, TypeError) as error:
            raise InputError(f"row {self.id!r}: no records of a row: {error!r}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What a model was asked, and the right answers."""

    id: int | str
    schema_sql: str
    golds: tuple[str, ...]
    question: str = ""
    database: str | None = None
    """Path of a SQLite file to judge on instead of random databases."""
    category: str | None = None
    split: str | None = None
    command_set: int | None = None
    planted: Planted | None = None
    """A database to consider before random ones."""


def item_of(row: Mapping[str, Any]) -> Item:
    """The item in a row with id, schema_sql (or database), gold_sql and perhaps more.

    Raises InputError: a field is missing or of another type.
    """
    gold = row.get("gold_sql")
    golds = (gold,) if isinstance(gold, str) else tuple(gold) if isinstance(gold, list) else ()
    place = f"row {row.get('id', '?')!r}"
    if not golds or not all(isinstance(each, str) for each in golds):
        raise InputError(f"{place}: gold_sql: got {gold!r}, expected a text or a list of texts")
    if not isinstance(row.get("id"), int | str):
        raise InputError(f"{place}: id: expected a number or a text")
    texts = {name: row.get(name) for name in ("schema_sql", "database", "category", "split")}
    for name, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise InputError(f"{place}: {name}: got {value!r}, expected a text")
    everything = "".join([*golds, *filter(None, texts.values())])
    if any("\ud800" <= char <= "\udfff" for char in everything):
        raise InputError(f"{place}: half of a surrogate pair, expected Unicode text")
    if not texts["schema_sql"] and not texts["database"]:
        raise InputError(f"{place}: neither schema_sql nor database: expected one of them")
    if texts["database"] and not Path(texts["database"]).is_file():
        raise InputError(f"{place}: database {texts['database']!r}: no such file")
    return Item(
        id=row["id"],
        schema_sql=texts["schema_sql"] or "",
        golds=golds,
        question=str(row.get("question") or ""),
        database=texts["database"],
        category=texts["category"],
        split=texts["split"],
        command_set=row.get("command_set"),
        planted=_planted(row),
    )


def _planted(row: Mapping[str, Any]) -> Planted | None:
    """For a row of a dataset generated here, whose records tell what its conditions are about."""
    lists = [row.get(name) for name in ("tables", "filters", "having")]
    records = [each for found in lists if isinstance(found, list) for each in found]
    if None in lists or "where_form" not in row or not all(isinstance(r, dict) for r in records):
        return None
    return Planted(row["id"], row)
