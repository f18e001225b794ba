"""The golds of an item made ready to judge predictions by: on which databases, and what they are.

An item's databases depend on its schema, its golds and the configuration alone, so any split, order
or number of workers gives the same verdicts.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial
from pathlib import Path

from sqlglot import exp

from tinysql.evaluate.config import ScoreConfig
from tinysql.evaluate.items import Item, Planted
from tinysql.sql.catalog import Table
from tinysql.sql.compare import Run
from tinysql.sql.components import canonical, components
from tinysql.sql.engines import open_engine
from tinysql.sql.execute import SharedRuns, run
from tinysql.sql.gold import Gold, GoldError, read_gold
from tinysql.sql.result import Limits
from tinysql.sql.several import queries_in
from tinysql.sql.snapshot import prepare, read_snapshot
from tinysql.sql.spider import hardness
from tinysql.sql.suite import Suite, make_suite, suite_of_database
from tinysql.sql.taxonomy import command_set


@dataclass(frozen=True)
class Parsed:
    """A query's tree, and what is read off it."""

    tree: exp.Query
    schema: Mapping[str, Sequence[str]]

    @cached_property
    def canonical(self) -> str:
        """Its canonical text."""
        return canonical(self.tree, self.schema)

    @cached_property
    def parts(self) -> Mapping[str, Counter[str]]:
        """Its components."""
        return components(self.tree, self.schema)


@dataclass(frozen=True)
class Golds:
    """What is the same for every prediction of an item."""

    suite: Suite
    schema: Mapping[str, Sequence[str]]
    num_invalid: int
    """Golds left out because they do not parse or run."""
    run: Run
    """Runs golds."""

    @property
    def databases(self) -> list[bytes]:
        """On which predictions are judged first."""
        return [each.database for each in self.suite.answers[0]]

    @cached_property
    def first(self) -> Parsed:
        """The one that a prediction's parts are compared with."""
        return self.parsed(self.suite.golds[0].tree)

    @cached_property
    def canonical(self) -> frozenset[str]:
        """The canonical texts."""
        return frozenset(self.parsed(gold.tree).canonical for gold in self.suite.golds)

    @cached_property
    def varies(self) -> bool:
        """Whether the answer to one of them depends on how rows lie."""
        return self.suite.varies(self.run)

    @cached_property
    def hardness(self) -> str:
        """Spider's level of the first."""
        return hardness(self.first.tree)

    @cached_property
    def command_set(self) -> int:
        """The lowest that has all that the first uses."""
        return command_set(self.first.tree)

    def parsed(self, tree: exp.Query) -> Parsed:
        """A query on the item's schema."""
        return Parsed(tree, self.schema)


def golds_of(item: Item, config: ScoreConfig, run: Run) -> Golds:
    """The item's golds, kept for its next prediction.

    Args:
        run: runs predictions.

    Raises:
        GoldError: none of them runs.
        InputError: the schema or the database file is none.
        EngineError: another engine than SQLite refuses the schema.
    """
    return _golds(item.schema_sql, item.golds, item.database, item.planted, config, run)


@lru_cache(128)
def _golds(
    schema_sql: str,
    golds: tuple[str, ...],
    database: str | None,
    planted: Planted | None,
    config: ScoreConfig,
    run: Run,
) -> Golds:
    read, num_unread = _read_golds(golds)
    choose: Callable[[Sequence[Gold]], Suite]
    if database is not None:
        snapshot, tables = read_snapshot(Path(database))
        choose = partial(suite_of_database, snapshot, run=gold_runner(config, run))
    else:
        tables = prepare(schema_sql)[1]
        databases = (planted.database(),) if planted else ()
        choose = partial(_random_suite, schema_sql, databases, config, run)
    suite = _of_those_that_run(read, choose)
    golds_invalid = num_unread + len(read) - len(suite.golds)
    return Golds(suite, _columns(tables), golds_invalid, gold_runner(config, run))


def _read_golds(texts: Sequence[str]) -> tuple[list[Gold], int]:
    """The golds in texts, and how many cannot be parsed. Raises GoldError: none can."""
    read: list[Gold] = []
    errors: list[GoldError] = []
    for text in texts:
        try:
            queries = queries_in(text)
        except ValueError as error:
            errors.append(GoldError(str(error)))
            continue
        for query in queries:
            try:
                read.append(read_gold(query))
            except GoldError as error:
                errors.append(error)
    if not read:
        raise errors[0]
    return read, len(errors)


def _of_those_that_run(golds: Sequence[Gold], choose: Callable[[Sequence[Gold]], Suite]) -> Suite:
    """The suite of the golds without those that do not run. Raises GoldError: none does."""
    try:
        return choose(golds)
    except GoldError:
        usable = [gold for gold in golds if len(golds) > 1 and _runs(gold, choose)]
        if not usable:
            raise
    return choose(usable)


def _runs(gold: Gold, choose: Callable[[Sequence[Gold]], Suite]) -> bool:
    try:
        choose([gold])
    except GoldError:
        return False
    return True


def _random_suite(
    schema_sql: str,
    planted: Sequence[bytes],
    config: ScoreConfig,
    run: Run,
    golds: Sequence[Gold],
) -> Suite:
    choose = partial(
        make_suite,
        schema_sql,
        golds,
        seed=config.seed,
        num_databases=config.num_databases,
        num_rows=config.num_rows,
        planted=planted,
    )
    with closing(SharedRuns(Limits(max_steps=config.max_steps))) as shared:
        if config.engine == "sqlite":
            return choose(run=shared)
        return _chosen_by_sqlite(partial(choose, run=shared), golds, run)


def _chosen_by_sqlite(
    choose: Callable[..., Suite], golds: Sequence[Gold], run: Run
) -> Suite:
    """SQLite runs hundreds of mutants while another engine opens a database for one."""
    try:
        suite = choose()
    except GoldError:
        return choose(run=run)
    return suite.on(golds, run)


def _columns(tables: Sequence[Table]) -> dict[str, list[str]]:
    return {table.name: [column.name for column in table.columns] for table in tables}


def runner(config: ScoreConfig, postgres_url: str | None = None) -> Run:
    """What runs predictions: with SQLite on connections that no gold uses.

    What it opens stays open in this process.

    Raises InputError: there is no usable PostgreSQL at the URL.
    """
    return _runner(config.engine, config.max_steps, postgres_url)


@cache
def _runner(engine: str, max_steps: int, postgres_url: str | None) -> Run:
    if engine == "sqlite":
        return SharedRuns(Limits(max_steps=max_steps))
    return _ENGINES.enter_context(open_engine(engine, postgres_url)).run


_ENGINES = ExitStack()


def gold_runner(config: ScoreConfig, runner: Run) -> Run:
    """What runs golds beside `runner`, which runs predictions."""
    if config.engine == "sqlite":
        return partial(run, limits=Limits(max_steps=config.max_steps))
    return runner
