"""What a language model is told when it writes a natural question, and when it reads one."""

import hashlib
from collections.abc import Sequence

from tinysql.data.natural.needs import Row, allowed_columns, names, needed_tables

Message = dict[str, str]

_WRITER = """\
You get a database schema, an SQL query, and a request for the same data in stiff words. Write the \
request the way a colleague would say it. Keep all that it asks for: every table, column, value, \
comparison, sort direction and limit, the columns in their order. Write values exactly as they \
are, without quotes. Add nothing. Reply with the new request alone: one line of plain English."""
_TASK = """\
Schema: {schema_sql}
SQL: {gold_sql}
Request: {question}
Words for its tables and columns, also in the plural:
{words}"""
_AGAIN = "Not yet: {complaints}. Reply with the corrected request alone."
_READER = """\
You get a database schema and a request. Write the SQLite query that answers it, with exactly the \
columns that it asks for, in its order. Reply with the SQL alone."""
_READ = """\
Schema: {schema_sql}
Request: {question}"""

PROMPTS = hashlib.sha256("\0".join((_WRITER, _TASK, _AGAIN, _READER, _READ)).encode()).hexdigest()
"""Identifies the prompts' wording."""

_MOST_COMPLAINTS = 4
_MOST_QUOTED = 1_200


def writing(row: Row) -> list[Message]:
    """The request for a natural question."""
    task = _TASK.format_map({**row, "words": "\n".join(_words(row))})
    return [_message("system", _WRITER), _message("user", task)]


def writing_again(answer: str, complaints: Sequence[str]) -> list[Message]:
    """What follows an answer that was refused."""
    said = "; ".join(complaints[:_MOST_COMPLAINTS])
    return [
        _message("assistant", answer[:_MOST_QUOTED]),
        _message("user", _AGAIN.format(complaints=said)),
    ]


def reading(row: Row, question: str) -> list[Message]:
    """The request for the SQL that the question asks for; only the schema comes with it."""
    asked = _READ.format(schema_sql=row["schema_sql"], question=question)
    return [_message("system", _READER), _message("user", asked)]


def _words(row: Row) -> list[str]:
    """A line for each table and column that the question may name: what to call it."""
    tables, columns = needed_tables(row), allowed_columns(row)
    lines = []
    for named in names(row):
        if named.kind == "table":
            used = named.position in tables
        else:
            used = (row["columns"][named.position]["table"], named.name) in columns
        if used:
            lines.append(f"- {named.kind} {named.name}: {', '.join(named.phrases)}")
    return lines


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}
