"""Whether a challenger may take the champion's place: shown to be no worse, good and quick enough.

Every check must pass by itself. Since all of them must, each is tested at 5%, and a challenger that
is worse by its margin anywhere passes with at most that probability: an intersection-union test
needs no adjustment for being many (Berger 1982, Technometrics 24, theorem 1).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import Field

from tinysql.config import Config
from tinysql.evaluate.breakdown import Contrast, VerdictRow, compare_models
from tinysql.evaluate.stats import SIGNIFICANT, Rate, not_worse

NAMES = ("champion", "challenger")


ItemKind = Literal["command_set", "hardness", "category", "split", "num_tables", "num_selected"]


class GateConfig(Config):
    """What a challenger has to pass, on each of several sets of rows."""

    rows: tuple[str, ...] = Field(default=("frozen", "fresh"), min_length=1)
    """Names of the sets of rows: the evaluations of NAME play the roles "champion-NAME" and
    "challenger-NAME"."""
    margin: float = Field(default=0.02, gt=0, lt=1)
    """Execution accuracy that the challenger may lose over all items of a set, at most."""
    bucket_margin: float = Field(default=0.05, gt=0, lt=1)
    """The same in a bucket, which has fewer items to prove it on."""
    kinds: tuple[ItemKind, ...] = ("command_set", "hardness", "num_selected")
    """What makes buckets."""
    min_items: int = Field(default=100, ge=1)
    """Items of a bucket below which it proves nothing either way and is only shown."""
    floor: float = Field(default=0.0, ge=0, le=1)
    """Execution accuracy below which no challenger passes, whatever the champion's."""
    max_slowdown: float | None = Field(default=2.0, gt=0)
    """Seconds per answer, as a multiple of the champion's; None: it may take as long as it likes.
    """


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the challenger had to pass."""

    rows: str
    what: Literal["no worse", "floor", "speed"]
    bucket: str
    passed: bool | None
    """None: it cannot be told, which stops nobody."""
    champion: float
    challenger: float
    words: str


def judge(
    rows: str,
    champion: Sequence[VerdictRow],
    challenger: Sequence[VerdictRow],
    config: GateConfig,
) -> list[Check]:
    """What the verdicts on one set of rows say.

    Raises ValueError when the two are not of the same items.
    """
    found = compare_models(champion, challenger, kinds=config.kinds, names=NAMES)
    whole = found.overall.tuned
    floor = Check(
        rows, "floor", "all", whole.rate >= config.floor, found.overall.base.rate, whole.rate,
        f"{_percent(whole)}, the floor is {100 * config.floor:.1f}%",
    )  # fmt: skip
    return [floor, *(_compared(rows, each, config) for each in found.contrasts)]


def judge_speed(
    rows: str, champion: float, challenger: float, config: GateConfig, *, comparable: bool
) -> list[Check]:
    """What the seconds per answer say; nothing where the two were not measured alike."""
    if config.max_slowdown is None:
        return []
    times = f"{1000 * challenger:.1f} ms an answer against {1000 * champion:.1f} ms"
    passed: bool | None = challenger <= config.max_slowdown * champion
    words = f"{times}, at most {config.max_slowdown:g} times as long"
    if not comparable:
        passed, words = None, f"{times}, by other code or software, which proves nothing"
    return [Check(rows, "speed", "all", passed, champion, challenger, words)]


def reasons(checks: Sequence[Check]) -> list[str]:
    """Why the challenger is held, a line each; none where it passed."""
    return [
        f"{check.rows}, {check.bucket}: {check.words}" for check in checks if check.passed is False
    ]


def _compared(rows: str, contrast: Contrast, config: GateConfig) -> Check:
    base, tuned = contrast.base, contrast.tuned
    is_bucket = contrast.by is not None
    margin = config.bucket_margin if is_bucket else config.margin
    bucket = f"{contrast.by} {contrast.bucket}".replace("_", " ") if is_bucket else "all"
    p = not_worse(contrast.only_tuned, contrast.only_base, base.n, margin)
    rates = f"{_percent(tuned)} against {_percent(base)}"
    passed: bool | None = p < SIGNIFICANT
    if is_bucket and base.n < config.min_items:
        passed = None
        words = f"{rates}, too few items to tell"
    elif passed:
        words = f"{rates}: not worse by {100 * margin:g} points (p = {p:.2g})"
    else:
        words = f"{rates}: not shown to lose less than {100 * margin:g} points (p = {p:.2g})"
    return Check(rows, "no worse", bucket, passed, base.rate, tuned.rate, words)


def _percent(found: Rate) -> str:
    return f"{100 * found.rate:.1f}% ({found.k}/{found.n})"


def as_json(checks: Sequence[Check]) -> dict[str, Any]:
    """The checks and what follows from them."""
    return {
        "passed": not reasons(checks),
        "reasons": reasons(checks),
        "checks": [asdict(check) for check in checks],
    }
