"""The databases on which predictions for one gold query are judged, chosen to tell mistakes apart.

Candidates are drawn one by one from the seed: random around the constants of the queries, every
fifth of them thin (tables of two rows at most). A candidate that tells a mutant of the gold from it
that no earlier one did is kept; when there are enough candidates, or nothing is left to tell, the
places that are left go to the others in order. The databases of a challenge are not chosen; one
without rows and one with a row in every table come on top of them. Source of the idea: Zhong et al.
2020, "Semantic Evaluation for Text-to-SQL with Distilled Test Suites".
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, islice

from tinysql.sql.backwards import backwards
from tinysql.sql.catalog import Table
from tinysql.sql.compare import (
    Answer,
    Fit,
    Judgement,
    Reason,
    Run,
    Verdict,
    fit,
    is_strict,
    judge,
)
from tinysql.sql.constants import crowded_columns, hints_of_query, rows_needed, sort_columns
from tinysql.sql.engine import EngineError
from tinysql.sql.execute import run, run_backwards
from tinysql.sql.gold import Gold, GoldError, answer
from tinysql.sql.mutants import mutants
from tinysql.sql.result import Cell
from tinysql.sql.sample import NO_CROWD, Crowd, Hints, fill
from tinysql.sql.snapshot import prepare

_CANDIDATES_PER_DATABASE = 2
_PATIENCE = 4
"""Candidates in a row that told nothing, after which no more than are needed are drawn."""
_THIN_EVERY = 5
_MOST_MUTANTS = 32
_MOST_TURNED = 2
"""Databases on which a gold is tried with the rows the other way round: those that say most."""
_MOST_BYTES_TURNED = 8 * 2**20
"""Of a database that is copied with its rows the other way round."""
_TIERS = (Verdict.STRICT, Verdict.EQUIVALENT, Verdict.SUBSET)


Mutant = tuple[int, str]
"""The number of a gold, and a query that is nearly it."""


@dataclass(frozen=True)
class Suite:
    """What the golds of one item answer on its databases."""

    golds: Sequence[Gold]
    answers: Sequence[Sequence[Answer]]
    """By gold, then by database."""
    mutation_score: float | None
    """Share of the golds' mutants that some database tells from theirs; None without mutants."""

    @property
    def num_databases(self) -> int:
        """Databases a prediction is judged on."""
        return len(self.answers[0])

    @property
    def is_weak(self) -> bool:
        """Whether some gold says nothing: no rows, NULLs alone, or the same on every database."""
        return any(_says_nothing(answers) for answers in self.answers)

    def varies(self, run: Run = run) -> bool:
        """Whether the answer to a gold depends on how rows lie, beyond ties in its order."""
        return any(
            _depends_on_places(gold, each, run)
            for gold, answers in zip(self.golds, self.answers, strict=True)
            for each in sorted(answers, key=_num_rows, reverse=True)[:_MOST_TURNED]
        )

    def on(self, golds: Sequence[Gold], run: Run) -> "Suite":
        """The same databases with what another engine answers. Raises GoldError: one does not."""
        databases = [each.database for each in self.answers[0]]
        answers = [[answer(gold, database, run) for database in databases] for gold in golds]
        return Suite(golds, answers, self.mutation_score)

    def judge(self, pred_sql: str, run: Run = run, *, is_ordered: bool = True) -> Judgement:
        """The best verdict over the golds, the first of equals.

        Args:
            is_ordered: whether the prediction has an order; without one a right order is luck.
        """
        judgements: list[Judgement] = []
        for gold, answers in zip(self.golds, self.answers, strict=True):
            found = judge(pred_sql, answers, run)
            if found.holds and not is_ordered and _asks_for_order(gold, answers):
                found = Judgement(Verdict.WRONG, Reason.ORDER)
            judgements.append(found)
            if found.verdict in (Verdict.STRICT, Verdict.ERROR):
                break
        return min(judgements, key=rank)


def rank(judgement: Judgement) -> tuple[int, float]:
    """The better a judgement, the lower; without a tier, those wrong by their order go first."""
    if judgement.holds:
        return _TIERS.index(judgement.verdict), -judgement.precision
    return len(_TIERS) + (judgement.reason != Reason.ORDER), 0.0


def _asks_for_order(gold: Gold, answers: Sequence[Answer]) -> bool:
    return gold.is_ordered and any(len(each.groups) > 1 for each in answers)


def _num_rows(expected: Answer) -> int:
    return len(expected.gold.rows)


def _depends_on_places(gold: Gold, expected: Answer, run: Run) -> bool:
    try:
        if len(expected.database) > _MOST_BYTES_TURNED:
            result = run_backwards(gold.sql, expected.database)
        else:
            result = run(gold.sql, backwards(expected.database))
    except EngineError:
        return False  # with keys of its own, a table may take its rows in one order alone
    return result.error is None and fit(expected, result.rows) is Fit.NONE


def _says_nothing(answers: Sequence[Answer]) -> bool:
    cells = [cell for each in answers for row in each.gold.rows for cell in row]
    if all(cell is None for cell in cells):
        return True
    return len(answers) > 1 and all(each.gold.rows == answers[0].gold.rows for each in answers)


def make_suite(
    schema_sql: str,
    golds: Sequence[Gold],
    *,
    seed: str | int,
    num_databases: int,
    num_rows: int = 32,
    planted: Sequence[bytes] = (),
    run: Run = run,
) -> Suite:
    """A suite for queries on this schema; the arguments alone decide what is in it.

    Args:
        planted: candidates that come before the random ones.
        run: runs golds and mutants, one database after the other.

    Raises:
        GoldError: a gold does not run.
        InputError: SQLite refuses the schema, or a table takes no row.
    """
    tables = prepare(schema_sql)[1]
    draw = partial(_candidates, schema_sql, golds, tables, seed, num_rows, planted)
    return _of_many_rows_or_few(draw, partial(_chosen, golds, tables, num_databases, run))


def _of_many_rows_or_few(
    draw: Callable[[bool], Iterator[bytes]], use: Callable[[Iterator[bytes]], Suite]
) -> Suite:
    """A suite with as many rows as the queries count to, or with few if a gold fails on many."""
    try:
        return use(draw(True))
    except GoldError:
        return use(draw(False))


def _chosen(
    golds: Sequence[Gold],
    tables: Sequence[Table],
    num_databases: int,
    run: Run,
    candidates: Iterator[bytes],
) -> Suite:
    alive = _mutants(golds, tables)
    num_mutants: int | None = None
    kept: list[list[Answer]] = []
    spare: list[list[Answer]] = []
    idle = 0
    for database in islice(candidates, _CANDIDATES_PER_DATABASE * num_databases):
        expected = [answer(gold, database, run) for gold in golds]
        if num_mutants is None:
            # What does not run on one database runs on none.
            alive = {mutant for mutant in alive if run(mutant[1], database).error is None}
            num_mutants = len(alive)
        told = {each for each in alive if not is_strict(each[1], expected[each[0]], run)}
        alive -= told
        (kept if told else spare).append(expected)
        idle = 0 if told else idle + 1
        enough = len(kept) + len(spare) >= num_databases
        if len(kept) == num_databases or enough and (not alive or idle >= _PATIENCE):
            break
    chosen = [*kept, *spare][:num_databases]
    score = 1 - len(alive) / num_mutants if num_mutants else None
    return Suite(golds, [list(answers) for answers in zip(*chosen, strict=True)], score)


def _mutants(golds: Sequence[Gold], tables: Sequence[Table]) -> set[Mutant]:
    """Mutants that are no golds."""
    right = {gold.sql for gold in golds}
    most = max(1, _MOST_MUTANTS // len(golds))
    return {
        (number, mutant.sql)
        for number, gold in enumerate(golds)
        for mutant in mutants(gold.sql, tables, most=most)
        if mutant.sql not in right
    }


def challenge(
    schema_sql: str,
    golds: Sequence[Gold],
    pred: Gold,
    *,
    seed: str | int,
    num_databases: int,
    num_rows: int = 32,
    run: Run = run,
) -> Suite:
    """Databases around the constants of golds and prediction, which a right prediction survives.

    They are `num_databases` of many rows, and the small ones.

    Raises as make_suite.
    """
    tables = prepare(schema_sql)[1]
    queries, seed = [*golds, pred], f"{seed}/challenge"
    draw = partial(_candidates, schema_sql, queries, tables, seed, num_rows, ())
    small = _small(schema_sql, _hints(queries, tables), seed)

    def answered(candidates: Iterator[bytes]) -> Suite:
        databases = [*islice(candidates, num_databases), *small]
        return Suite(
            golds, [[answer(gold, each, run) for each in databases] for gold in golds], None
        )

    return _of_many_rows_or_few(draw, answered)


def suite_of_database(database: bytes, golds: Sequence[Gold], run: Run = run) -> Suite:
    """A suite of one database that is given. Raises GoldError: a gold does not run."""
    return Suite(golds, [[answer(gold, database, run)] for gold in golds], None)


def _candidates(
    schema_sql: str,
    golds: Sequence[Gold],
    tables: Sequence[Table],
    seed: str | int,
    num_rows: int,
    planted: Sequence[bytes],
    many: bool,
) -> Iterator[bytes]:
    yield from planted
    hints = _hints(golds, tables)
    sorted_by = sort_columns(golds[0].tree, tables)
    rows, crowd = num_rows, NO_CROWD
    if many:
        rows = max(rows_needed(gold.tree, num_rows) for gold in golds)
        crowd = max((crowded_columns(gold.tree, tables, num_rows) for gold in golds), key=_size)
    for number in count():
        thin = number % _THIN_EVERY == _THIN_EVERY - 1
        yield fill(
            schema_sql,
            seed=f"{seed}/{number}",
            num_rows=rows,
            hints=hints,
            sorted_by=sorted_by,
            crowd=crowd,
            sizes="thin" if thin else "uneven",
        )


def _small(schema_sql: str, hints: Hints, seed: str | int) -> list[bytes]:
    """A database without rows, and one with a row in every table."""
    return [
        fill(schema_sql, seed=f"{seed}/none", sizes="none"),
        fill(schema_sql, seed=f"{seed}/one", hints=hints, sizes="one"),
    ]


def _size(crowd: Crowd) -> int:
    return crowd.size


def _hints(golds: Sequence[Gold], tables: Sequence[Table]) -> Hints:
    merged: dict[str, dict[str, list[Cell]]] = {}
    for gold in golds:
        for table, columns in hints_of_query(gold.tree, tables).items():
            for column, values in columns.items():
                merged.setdefault(table, {}).setdefault(column, []).extend(values)
    return merged
