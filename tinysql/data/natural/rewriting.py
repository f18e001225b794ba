"""A templated question rewritten by a language model: asked for, checked, asked for again, or not.

An answer counts only if nothing is wrong with its words (recover.py) and if the model, given the
new question and the schema alone, writes a query that answers as the gold query does on populated
databases. What the model writes is hostile: its SQL runs in the guarded executor only, its question
is plain text of bounded length or refused.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tinysql.data.files import split_files
from tinysql.data.natural.needs import Row
from tinysql.data.natural.plan import NaturalConfig
from tinysql.data.natural.prompts import reading, writing, writing_again
from tinysql.data.natural.recover import Complaint, Reason, clean, complaints
from tinysql.endpoint import Chat, Reply, RequestRefused, in_parallel
from tinysql.evaluate.planted import planted_database
from tinysql.sql.compare import Verdict
from tinysql.sql.gold import read_gold
from tinysql.sql.suite import Suite, make_suite

_NUM_ROWS = 32
_MOST_SHOWN = 300
_FENCED = re.compile(r"```\w*\s(.*?)```", re.DOTALL)
_PHRASED = ("tables", "select", "filters", "having", "order_by")


@dataclass
class Rewriting:
    """One row's way: its accepted question, if any, and what it took."""

    question: str | None = None
    refused: list[Reason] = field(default_factory=list)
    """The first reason against each answer, or against the row itself."""
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unasked: RequestRefused | None = None
    """Why the endpoint would not even answer."""

    def note(self, reply: Reply) -> Reply:
        """Count a reply."""
        self.requests += 1
        self.prompt_tokens += reply.prompt_tokens or 0
        self.completion_tokens += reply.completion_tokens or 0
        return reply


def rewrite_shard(
    out_dir: Path,
    *,
    dataset: Path,
    chat: Chat,
    config: NaturalConfig,
    split: str,
    start: int,
    stop: int,
    file_name: str,
) -> dict[str, Any]:
    """Write what becomes of rows [start, stop) of a split as one Parquet file; returns counts.

    Raises:
        InputError, EndpointError: the endpoint is of no use.
    """
    source = _read(dataset, split, start, stop)
    rows = source.to_pylist()
    outcomes = in_parallel(
        partial(rewrite, chat=chat, config=config), rows, config.connection.concurrency
    )
    _require_answers(outcomes)
    accepted = [
        natural_row(row, outcome.question, config.model)
        for row, outcome in zip(rows, outcomes, strict=True)
        if outcome.question is not None
    ]
    schema = source.schema.append(pa.field("source_question", pa.string()))
    table = pa.Table.from_pylist(accepted, schema.append(pa.field("writer_model", pa.string())))
    pq.write_table(table, out_dir / file_name, compression="zstd")
    return {
        "asked": len(rows),
        "rows": len(accepted),
        "refused": dict(Counter(str(reason) for each in outcomes for reason in each.refused)),
        **{
            name: sum(getattr(each, name) for each in outcomes)
            for name in ("requests", "prompt_tokens", "completion_tokens")
        },
    }


def rewrite(row: Row, *, chat: Chat, config: NaturalConfig) -> Rewriting:
    """Ask for a natural question until one is accepted or the tries are used up."""
    outcome = Rewriting()
    suite = make_suite(
        row["schema_sql"],
        [read_gold(row["gold_sql"])],
        seed=0,
        num_databases=config.num_databases,
        num_rows=_NUM_ROWS,
        planted=[planted_database(row, num_rows=_NUM_ROWS, seed=0)],
    )
    if not any(each.gold.rows for each in suite.answers[0]):
        outcome.refused.append(Reason.UNTESTABLE)
        return outcome
    asked = {"seed": config.seed, "max_tokens": config.max_tokens, **config.parameters}
    messages = writing(row)
    try:
        for _ in range(config.max_tries):
            reply = outcome.note(chat(messages, temperature=config.temperature, **asked))
            question = clean(reply.text)
            found = _truncated(reply) or complaints(question, row)
            if not found:
                read = chat(reading(row, question), temperature=0.0, **asked)
                found = _misread(outcome.note(read), suite)
            if not found:
                outcome.question = question
                return outcome
            outcome.refused.append(found[0].reason)
            messages += writing_again(reply.text, [each.text for each in found])
    except RequestRefused as error:
        outcome.refused.append(Reason.REQUEST)
        outcome.unasked = error
    return outcome


def natural_row(row: Row, question: str, model: str) -> dict[str, Any]:
    """The row with a new question: what tells of the words of the old one is taken out."""

    def kept(name: str, value: Any) -> Any:
        is_phrase = name == "phrase" or name.endswith("_phrase")
        return value if not (is_phrase and value) or _holds(question, value) else None

    phrased = {
        name: [{key: kept(key, value) for key, value in record.items()} for record in row[name]]
        for name in _PHRASED
    }
    return {
        **row,
        **phrased,
        "question": question,
        "variant": "natural",
        "template_id": -1,
        "source_question": row["question"],
        "writer_model": model,
    }


def sql_in(answer: str) -> str:
    """The query in a model's answer, without thoughts and a code fence around it."""
    text = answer.rpartition("</think>")[2]
    fenced = _FENCED.search(text)
    return (fenced[1] if fenced else text).strip()


def _truncated(reply: Reply) -> list[Complaint]:
    if reply.finish_reason != "length":
        return []
    return [Complaint(Reason.TRUNCATED, "it was cut off; be brief")]


def _misread(reply: Reply, suite: Suite) -> list[Complaint]:
    """What is wrong with a question that was read as this SQL."""
    sql = sql_in(reply.text)
    verdict = suite.judge(sql).verdict
    if verdict is Verdict.STRICT:
        return []
    text = f"read back it gives {sql[:_MOST_SHOWN]!r}, which answers otherwise ({verdict})"
    return [Complaint(Reason.EXECUTION, text)]


def _require_answers(outcomes: Sequence[Rewriting]) -> None:
    """Raise the refusal of a request, unless other requests were answered: then it is the row's."""
    unasked = [outcome.unasked for outcome in outcomes if outcome.unasked is not None]
    if unasked and not any(outcome.requests for outcome in outcomes):
        raise unasked[0]


def _holds(question: str, phrase: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", question, re.IGNORECASE) is not None


def _read(dataset: Path, split: str, start: int, stop: int) -> pa.Table:
    """Rows [start, stop) of a split, counted through its files."""
    parts, first = [], 0
    for file in split_files(dataset, split):
        num_rows = pq.read_metadata(file).num_rows
        low, high = max(start - first, 0), min(stop - first, num_rows)
        if low < high:
            parts.append(pq.read_table(file).slice(low, high - low))
        first += num_rows
    return pa.concat_tables(parts)
