"""One prediction scored against its golds: verdict, tiers, why it is wrong, and component scores.

The verdict comes from execution alone (see tinysql/sql/compare.py); what is read off the queries'
trees says why, and never changes it. An item's databases depend on its schema, its golds and the
configuration alone, so any split, order or number of workers gives the same verdicts.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from sqlglot import exp

from tinysql.config import Config
from tinysql.errors import InputError
from tinysql.sql.catalog import Table
from tinysql.sql.compare import Judgement, Reason, Run, Verdict
from tinysql.sql.components import canonical, components, score_parts
from tinysql.sql.engine import EngineError
from tinysql.sql.engines import open_engine
from tinysql.sql.execute import Limits, SharedRuns, run
from tinysql.sql.gold import Gold, GoldError, is_ordered, read_gold
from tinysql.sql.parsing import Unparsable, parse_query
from tinysql.sql.several import queries_in
from tinysql.sql.snapshot import prepare, read_snapshot
from tinysql.sql.spider import exact_set_match, hardness, partial_scores
from tinysql.sql.suite import Suite, challenge, make_suite, rank, suite_of_database
from tinysql.sql.taxonomy import command_set, error_class

GOLD_INVALID = "gold_invalid"
"""The verdict on an item that nobody can answer; it counts for no model."""


class ScoreConfig(Config):
    """How strictly predictions are judged."""

    num_databases: int = Field(4, ge=1)
    """Random databases on which a prediction must agree with the gold."""
    num_rows: int = Field(32, ge=8)
    """Rows of each table of a random database; more where LIMIT or HAVING COUNT need them."""
    max_steps: int = Field(1_000_000, ge=10_000)
    """Steps of SQLite's virtual machine after which a query counts as timed out."""
    seed: int = 0
    """Seed of the random databases."""
    engine: Literal["sqlite", "duckdb", "postgresql"] = "sqlite"
    """What runs the queries; databases are chosen by SQLite."""
    spider: bool = False
    """Whether Spider's own scores are computed, too."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A verdict row."""

    id: int | str
    verdict: str
    """A Verdict, or gold_invalid."""
    strict: bool = False
    equivalent: bool = False
    subset: bool = False
    """The tiers; strict implies equivalent, equivalent implies subset."""
    precision: float | None = None
    """Of the subset tier: gold columns among the predicted ones."""
    weak: bool = False
    """Every gold answers with nothing, or NULLs alone, on every database."""
    varies: bool = False
    """The answer to a gold depends on how rows lie, so that a right one may differ from it."""
    error_class: str | None = None
    error: str | None = None
    exact_match: bool = False
    """The text of a gold, blanks folded and one closing ";" dropped."""
    canonical_match: bool = False
    """The tree of a gold, whatever its case, aliases, or order of what AND connects."""
    hardness: str | None = None
    command_set: int | None = None
    category: str | None = None
    split: str | None = None
    num_tables: int = 0
    num_selected: int = 0
    """Columns that the first gold selects, a star as one."""
    components: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    spider: Mapping[str, float] = field(default_factory=dict)
    """Spider's partial scores and "exact_set_match", where asked for."""
    databases: int = 0
    golds_invalid: int = 0
    """Golds left out because they do not parse or run, where others do."""
    mutation_score: float | None = None
    question: str = ""
    schema_sql: str = ""
    gold_sql: Sequence[str] = ()
    pred_sql: str = ""


@dataclass(frozen=True)
class _Known:
    """What is the same for every prediction of an item."""

    suite: Suite
    schema: Mapping[str, Sequence[str]]
    golds_invalid: int
    run: Run
    """Runs golds."""

    @property
    def golds(self) -> Sequence[Gold]:
        return self.suite.golds

    @cached_property
    def canonical(self) -> frozenset[str]:
        return frozenset(canonical(gold.tree, self.schema) for gold in self.golds)

    @cached_property
    def parts(self) -> Mapping[str, Counter[str]]:
        return components(self.golds[0].tree, self.schema)

    @cached_property
    def varies(self) -> bool:
        return self.suite.varies(self.run)

    @cached_property
    def hardness(self) -> str:
        return hardness(self.golds[0].tree)


@cache
def runner(config: ScoreConfig, postgres_url: str | None = None) -> Run:
    """What runs predictions: with SQLite on connections that no gold uses.

    What it opens stays open in this process.

    Raises InputError: there is no usable PostgreSQL at the URL.
    """
    if config.engine == "sqlite":
        return SharedRuns(Limits(max_steps=config.max_steps))
    return _ENGINES.enter_context(open_engine(config.engine, postgres_url)).run


_ENGINES = ExitStack()


def _gold_runner(config: ScoreConfig, runner: Run) -> Run:
    """What runs golds beside `runner`, which runs predictions."""
    if config.engine == "sqlite":
        return partial(run, limits=Limits(max_steps=config.max_steps))
    return runner


def score_item(item: Item, pred_sql: str, config: ScoreConfig, run: Run) -> Scored:
    """The verdict row of a prediction; that the item cannot be judged is a verdict, too."""
    about: dict[str, Any] = {
        "id": item.id, "category": item.category, "split": item.split, "question": item.question,
        "schema_sql": item.schema_sql, "gold_sql": item.golds,
        # Lone surrogates have no place in JSON or Parquet.
        "pred_sql": pred_sql.encode(errors="replace").decode(),
    }  # fmt: skip
    try:
        known = _known(item.schema_sql, item.golds, item.database, item.planted, config, run)
    except (GoldError, InputError, EngineError) as error:
        return Scored(
            **about, verdict=GOLD_INVALID, error_class=GOLD_INVALID, error=str(error),
            command_set=item.command_set,
        )  # fmt: skip
    first = known.golds[0].tree
    tree = _tree(pred_sql)
    judgement = _judge(item, pred_sql, tree, known, config, run)
    ran = tree if judgement.verdict is not Verdict.ERROR else None
    tiers = [judgement.verdict in tier for tier in _TIERS]
    return Scored(
        **about,
        verdict=judgement.verdict,
        strict=tiers[0], equivalent=tiers[1], subset=tiers[2],
        precision=judgement.precision if tiers[2] else None,
        weak=known.suite.is_weak,
        varies=known.varies,
        error_class=_error_class(judgement, known, tree),
        error=judgement.error,
        exact_match=fold(pred_sql) in map(fold, item.golds),
        canonical_match=ran is not None and canonical(ran, known.schema) in known.canonical,
        hardness=known.hardness,
        command_set=item.command_set or command_set(first),
        num_tables=len(known.schema),
        num_selected=len(first.selects),
        components=_components(known, tree),
        spider=_spider(known, tree) if config.spider else {},
        databases=known.suite.num_databases,
        golds_invalid=known.golds_invalid,
        mutation_score=known.suite.mutation_score,
    )  # fmt: skip


def _judge(
    item: Item,
    pred_sql: str,
    tree: exp.Query | None,
    known: _Known,
    config: ScoreConfig,
    run: Run,
) -> Judgement:
    """The verdict on the item's databases, and then on some around the prediction's constants."""
    has_order = tree is None or is_ordered(tree)
    found = known.suite.judge(pred_sql, run, is_ordered=has_order)
    if not found.holds:
        return found
    if tree is None:
        return Judgement(Verdict.WRONG, Reason.UNPARSABLE)
    if item.database is not None or canonical(tree, known.schema) in known.canonical:
        return found
    challenged = challenge(
        item.schema_sql,
        known.golds,
        Gold(pred_sql, tree),
        seed=config.seed,
        num_databases=config.num_databases,
        num_rows=config.num_rows,
        run=_gold_runner(config, run),
    ).judge(pred_sql, run, is_ordered=has_order)
    return max(found, challenged, key=rank)


def databases_of(item: Item, config: ScoreConfig, run: Run) -> list[bytes]:
    """The databases on which predictions for the item are judged. Raises GoldError: on none."""
    known = _known(item.schema_sql, item.golds, item.database, item.planted, config, run)
    return [each.database for each in known.suite.answers[0]]


_TIERS = (
    {Verdict.STRICT},
    {Verdict.STRICT, Verdict.EQUIVALENT},
    {Verdict.STRICT, Verdict.EQUIVALENT, Verdict.SUBSET},
)


@lru_cache(128)
def _known(
    schema_sql: str,
    golds: tuple[str, ...],
    database: str | None,
    planted: Planted | None,
    config: ScoreConfig,
    run: Run,
) -> _Known:
    read, num_unread = _read_golds(golds)
    choose: Callable[[Sequence[Gold]], Suite]
    if database is not None:
        snapshot, tables = read_snapshot(Path(database))
        choose = partial(suite_of_database, snapshot, run=_gold_runner(config, run))
    else:
        tables = prepare(schema_sql)[1]
        databases = (planted.database(),) if planted else ()
        choose = partial(_random_suite, schema_sql, databases, config, run)
    suite = _of_those_that_run(read, choose)
    golds_invalid = num_unread + len(read) - len(suite.golds)
    return _Known(suite, _columns(tables), golds_invalid, _gold_runner(config, run))


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


def _tree(sql: str) -> exp.Query | None:
    try:
        return parse_query(sql)
    except Unparsable:
        return None


def _error_class(judgement: Judgement, known: _Known, tree: exp.Query | None) -> str | None:
    """Why no tier holds: as the engine says, else as the trees differ, else as the rows do."""
    if judgement.verdict is not Verdict.WRONG:
        return judgement.reason
    if tree is None or judgement.reason == Reason.ORDER:
        return judgement.reason
    return error_class(known.golds[0].tree, tree, known.schema)


def _components(known: _Known, pred: exp.Query | None) -> dict[str, dict[str, float]]:
    if pred is None:
        return {}
    scores = score_parts(known.parts, components(pred, known.schema))
    return {name: asdict(score) for name, score in scores.items()}


def _spider(known: _Known, pred: exp.Query | None) -> dict[str, float]:
    if pred is None:
        return {}
    gold = known.golds[0].tree
    exact = exact_set_match(gold, pred, known.schema)
    return {"exact_set_match": float(exact), **partial_scores(gold, pred, known.schema)}


def fold(sql: str) -> str:
    """The text that exact match compares: single blanks, no closing ";"."""
    return " ".join(sql.split()).removesuffix(";").rstrip()


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
