"""One prediction scored against its golds: verdict, tiers, why it is wrong, and component scores.

The verdict comes from execution alone (see tinysql/sql/compare.py); what is read off the queries'
trees says why, and never changes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tinysql.errors import InputError
from tinysql.evaluate.config import ScoreConfig
from tinysql.evaluate.golds import Golds, Parsed, gold_runner, golds_of
from tinysql.evaluate.items import Item
from tinysql.sql.compare import Judgement, Reason, Run, Verdict
from tinysql.sql.components import score_parts
from tinysql.sql.engine import EngineError
from tinysql.sql.gold import Gold, GoldError, is_ordered
from tinysql.sql.parsing import Unparsable, parse_query
from tinysql.sql.spider import exact_set_match, partial_scores
from tinysql.sql.suite import challenge, rank
from tinysql.sql.taxonomy import error_class

GOLD_INVALID = "gold_invalid"
"""The verdict on an item that nobody can answer; it counts for no model."""
_TIERS = (
    {Verdict.STRICT},
    {Verdict.STRICT, Verdict.EQUIVALENT},
    {Verdict.STRICT, Verdict.EQUIVALENT, Verdict.SUBSET},
)


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


def score_item(item: Item, pred_sql: str, config: ScoreConfig, run: Run) -> Scored:
    """The verdict row of a prediction; that the item cannot be judged is a verdict, too.

    Args:
        run: runs predictions, see golds.runner.
    """
    about: dict[str, Any] = {
        "id": item.id, "category": item.category, "split": item.split, "question": item.question,
        "schema_sql": item.schema_sql, "gold_sql": item.golds,
        # Lone surrogates have no place in JSON or Parquet.
        "pred_sql": pred_sql.encode(errors="replace").decode(),
    }  # fmt: skip
    try:
        golds = golds_of(item, config, run)
    except (GoldError, InputError, EngineError) as error:
        return Scored(
            **about, verdict=GOLD_INVALID, error_class=GOLD_INVALID, error=str(error),
            command_set=item.command_set,
        )  # fmt: skip
    pred = _parsed(pred_sql, golds)
    judgement = _judge(item, pred_sql, pred, golds, config, run)
    ran = pred if judgement.verdict is not Verdict.ERROR else None
    tiers = [judgement.verdict in tier for tier in _TIERS]
    return Scored(
        **about,
        verdict=judgement.verdict,
        strict=tiers[0], equivalent=tiers[1], subset=tiers[2],
        precision=judgement.precision if tiers[2] else None,
        weak=golds.suite.is_weak,
        varies=golds.varies,
        error_class=_error_class(judgement, golds, pred),
        error=judgement.error,
        exact_match=fold(pred_sql) in map(fold, item.golds),
        canonical_match=ran is not None and ran.canonical in golds.canonical,
        hardness=golds.hardness,
        command_set=item.command_set or golds.command_set,
        num_tables=len(golds.schema),
        num_selected=len(golds.first.tree.selects),
        components=_components(golds, pred),
        spider=_spider(golds, pred) if config.spider else {},
        databases=golds.suite.num_databases,
        golds_invalid=golds.num_invalid,
        mutation_score=golds.suite.mutation_score,
    )  # fmt: skip


def fold(sql: str) -> str:
    """The text that exact match compares: single blanks, no closing ";"."""
    return " ".join(sql.split()).removesuffix(";").rstrip()


def _parsed(sql: str, golds: Golds) -> Parsed | None:
    try:
        return golds.parsed(parse_query(sql))
    except Unparsable:
        return None


def _judge(
    item: Item,
    pred_sql: str,
    pred: Parsed | None,
    golds: Golds,
    config: ScoreConfig,
    run: Run,
) -> Judgement:
    """The verdict on the item's databases, and then on some around the prediction's constants."""
    has_order = pred is None or is_ordered(pred.tree)
    found = golds.suite.judge(pred_sql, run, is_ordered=has_order)
    if not found.holds:
        return found
    if pred is None:
        return Judgement(Verdict.WRONG, Reason.UNPARSABLE)
    if item.database is not None or pred.canonical in golds.canonical:
        return found
    challenged = challenge(
        item.schema_sql,
        golds.suite.golds,
        Gold(pred_sql, pred.tree),
        seed=config.seed,
        num_databases=config.num_databases,
        num_rows=config.num_rows,
        run=gold_runner(config, run),
    ).judge(pred_sql, run, is_ordered=has_order)
    return max(found, challenged, key=rank)


def _error_class(judgement: Judgement, golds: Golds, pred: Parsed | None) -> str | None:
    """Why no tier holds: as the engine says, else as the trees differ, else as the rows do."""
    if judgement.verdict is not Verdict.WRONG:
        return judgement.reason
    if pred is None or judgement.reason == Reason.ORDER:
        return judgement.reason
    return error_class(golds.first.parts, pred.parts)


def _components(golds: Golds, pred: Parsed | None) -> dict[str, dict[str, float]]:
    if pred is None:
        return {}
    scores = score_parts(golds.first.parts, pred.parts)
    return {name: asdict(score) for name, score in scores.items()}


def _spider(golds: Golds, pred: Parsed | None) -> dict[str, float]:
    if pred is None:
        return {}
    gold, schema = golds.first.tree, golds.schema
    exact = exact_set_match(gold, pred.tree, schema)
    return {"exact_set_match": float(exact), **partial_scores(gold, pred.tree, schema)}
