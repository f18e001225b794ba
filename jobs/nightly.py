"""The nightly verb: train on the rows of a date, and promote the model if it is shown no worse.

    python -m jobs.nightly --recipe nightly --store s3://bucket/prefix
    ray job submit --working-dir . -- python -m jobs.nightly --store s3://bucket/prefix

The recipe has the steps `fresh`, a dataset whose seed is the date, `challenger`, a model, and
`gate`; it may use `champion`, which is given. In a night without a champion the challenger stands
in for it, so that it only has to reach the floor. A date has one outcome: a second tick, a retry
and a late one find it and do nothing.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, cast

import typer
from rich.console import Console

from cluster import champion as champions
from cluster import nights
from cluster.champion import Champion, Version
from cluster.errors import IntegrityError, LeaseLost, UserError
from cluster.graph import Result
from cluster.manifest import read_manifest
from cluster.nights import Night
from cluster.steps import Step, taken_step
from cluster.store import Store, find_store, open_store
from jobs.console import stderr_console
from jobs.entry import (
    DEFAULT_STORE,
    Address,
    DryRun,
    Json,
    Overrides,
    RecipeName,
    RecipeOption,
    Request,
    StoreUri,
    main,
    make_request,
)
from jobs.kinds import KINDS
from jobs.recipes import Recipe, load_recipe
from jobs.running import run_targets
from jobs.wiring import build_steps

RECIPE = "nightly"
_NEEDED = ("fresh", "challenger", "gate")
_GIVEN = "champion"
WEBHOOK = "TINYSQL_WEBHOOK"
"""The environment variable with the address that outcomes go to, which is as good as a password."""

NightDate = Annotated[
    str | None, typer.Option("--date", help="Which night, as 2026-11-21. Default: today, UTC.")
]
LATE_HOURS = 36.0
LateHours = Annotated[
    float,
    typer.Option(
        help="Hours from the start of the date after which it is let go.", min=0.0, max=1e6
    ),
]


def nightly(
    recipe: RecipeName = None,
    recipe_option: RecipeOption = None,
    store: StoreUri = DEFAULT_STORE,
    address: Address = None,
    overrides: Overrides = None,
    night: NightDate = None,
    late_hours: LateHours = LATE_HOURS,
    dry_run: DryRun = False,
    json_output: Json = None,
) -> None:
    """Run the night of a date once: data, training, comparison, and perhaps a promotion.

    Example: tinysql nightly --store s3://bucket/prefix --date 2026-11-21
    """
    request = make_request(
        recipe or recipe_option or RECIPE, store, address, overrides, dry_run, json_output
    )
    of = night_date(night)
    console = stderr_console()
    if dry_run:
        targets = _planned(request, of, store)
        run_targets(list(targets.values()), request.options, about={"recipe": request.recipe})
        return
    with _failure_told(console, str(of)):
        # A recipe that is none is refused before anything is claimed.
        _planned(request, of, store)
        if late := lateness(of, late_hours):
            console.print(f"{late}: let go", highlight=False)
            _say(request, {"date": str(of), "verdict": "let go"})
            return
        found = _outcome_of(request, str(of), open_store(store), console)
    console.print(_in_words(found), style="bold", highlight=False, soft_wrap=True)
    _say(request, found.model_dump(mode="json"))


def _planned(request: Request, of: date, store: str) -> dict[str, Step]:
    found = find_store(store)
    return _built(request, of, _taken(found, _standing(found, str(of)).before))


@contextmanager
def _failure_told(console: Console, of: str) -> Iterator[None]:
    """Whoever the alerts go to hears of it, too."""
    try:
        yield
    except Exception as error:
        send_outcome(console, {"date": of, "verdict": "failed", "reasons": [str(error)]})
        raise


def _outcome_of(request: Request, of: str, store: Store, console: Console) -> Night:
    while True:
        try:
            return _once(request, of, store, console)
        except LeaseLost as lost:
            console.print(f"{of}: {lost}; waiting for the new owner", highlight=False)


def _once(request: Request, of: str, store: Store, console: Console) -> Night:
    """The outcome of the date: found, waited for, or made here."""

    def wait(owner: str) -> None:
        console.print(f"waiting for {owner}, who works on {of}", highlight=False)

    with nights.claim(store, of, wait) as lease:
        if lease is None:
            console.print(f"{of} has its outcome already, nothing ran", highlight=False)
            done = nights.read(store, of)
            assert done is not None, "there is no lease because there is a record"
            return done
        night = _run(request, of, store, console)
        lease.check()
        night = nights.record(store, night)
    send_outcome(console, night.model_dump(mode="json"))
    return night


@dataclass(frozen=True)
class _Standing:
    """The champion as a night finds it."""

    now: Version | None
    before: Champion | None
    """Whom to compare with."""
    promoted: Version | None
    """What this very night promoted, before it was interrupted."""


def _standing(store: Store, of: str) -> _Standing:
    versions = champions.history(store)
    now = versions[-1] if versions else None
    for earlier, each in zip([None, *versions], versions, strict=False):
        if each.champion.night == of and each.champion.restores is None:
            return _Standing(now, earlier.champion if earlier else None, each)
    return _Standing(now, now.champion if now else None, None)


def _run(request: Request, of: str, store: Store, console: Console) -> Night:
    while True:
        standing = _standing(store, of)
        targets = _built(request, date.fromisoformat(of), _taken(store, standing.before))
        results = run_targets(
            list(targets.values()), request.options, about={"recipe": request.recipe}, quiet=True
        )
        by_name = {result.step.name: result for result in results}
        gate, challenger = by_name["gate"], by_name["challenger"]
        after = standing.promoted or standing.now
        # What this night promoted before it was interrupted stays promoted.
        passed = standing.promoted is not None or bool(gate.manifest.metrics["passed"])
        if passed and standing.promoted is None:
            chosen = Champion(
                path=challenger.step.path, manifest_sha256=challenger.manifest.sha256,
                night=of, gate=gate.step.path,
            )  # fmt: skip
            after = champions.promote(store, chosen, over=standing.now)
            if after is None:
                console.print("the champion was moved meanwhile: comparing with the new one")
                continue
        return _outcome(of, passed, after, results)


def _outcome(of: str, passed: bool, after: Version | None, results: list[Result]) -> Night:
    by_name = {result.step.name: result for result in results}
    gate = by_name["gate"]
    reasons = gate.manifest.metrics["reasons"]
    assert isinstance(reasons, list)
    # Whichever attempt made it.
    of_date = [each.manifest for each in results if _descends(each.step, by_name["fresh"].step)]
    return Night(
        date=of,
        verdict="promoted" if passed else "held",
        reasons=tuple(str(reason) for reason in reasons),
        challenger=by_name["challenger"].step.path,
        champion=after.champion.path if after else "",
        version=after.version if after else 0,
        gate=gate.step.path,
        accuracy={
            name: cast("dict[str, float]", result.manifest.metrics["execution"])["rate"]
            for name, result in by_name.items()
            if result.step.kind.name == "evaluation"
        },
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        cpu_seconds=sum(each.cpu_seconds for each in of_date),
        gpu_seconds=sum(each.gpu_seconds for each in of_date),
    )


def _descends(step: Step, ancestor: Step) -> bool:
    if step.identity == ancestor.identity:
        return True
    return any(_descends(parent, ancestor) for parent in step.parents.values())


def _built(request: Request, of: date, champion: Step | None) -> dict[str, Step]:
    """The steps of a date's recipe; champion None: the challenger stands in for it."""
    recipe = load_night(request.recipe, request.overrides, of)
    if champion is None:
        return build_steps(_alone(recipe), KINDS)
    return build_steps(recipe, KINDS, {_GIVEN: champion})


def load_night(recipe: str, overrides: Sequence[str], of: date) -> Recipe:
    """The recipe of a date. Raises UserError when it is not one of nights."""
    missing = [name for name in _NEEDED if name not in load_recipe(recipe).steps]
    if missing:
        raise UserError(
            f"recipe {recipe} has no step {missing[0]!r}: a nightly recipe has "
            f"{', '.join(_NEEDED)}"
        )
    return load_recipe(recipe, [*overrides, f"fresh.seed={of:%Y%m%d}"])


def _alone(recipe: Recipe) -> Recipe:
    """The same with the challenger in the champion's place."""
    steps = {}
    for name, entry in recipe.steps.items():
        uses = {
            role: "challenger" if used == _GIVEN else used for role, used in entry.uses.items()
        }
        steps[name] = entry.model_copy(update={"uses": uses})
    return recipe.model_copy(update={"steps": steps})


def _taken(store: Store, champion: Champion | None) -> Step | None:
    if champion is None:
        return None
    manifest = read_manifest(store, champion.path)
    if manifest is None or manifest.sha256 != champion.manifest_sha256:
        raise IntegrityError(f"the champion {champion.path} is not in {store.uri} as it was")
    return taken_step(_GIVEN, KINDS[manifest.kind], manifest)


def night_date(night: str | None) -> date:
    """The date as written, or today's. Raises UserError when it is none, or has not come yet."""
    today = datetime.now(UTC).date()
    if night is None:
        return today
    try:
        found = date.fromisoformat(night)
    except ValueError as error:
        raise UserError(f"--date {night!r}: expected a date such as {today}") from error
    if found > today:
        raise UserError(f"--date {night}: it has not come yet, today is {today} (UTC)")
    return found


def lateness(of: date, late_hours: float) -> str | None:
    """Why a night is let go, if it is."""
    age = datetime.now(UTC) - datetime(of.year, of.month, of.day, tzinfo=UTC)
    if age <= timedelta(hours=late_hours):
        return None
    hours = f"{age.total_seconds() / 3600:.0f} hours ago"
    return f"{of} is {hours}, more than --late-hours {late_hours:g}"


def send_outcome(console: Console, outcome: dict[str, object]) -> None:
    """Tells the webhook, if there is one; that it was not told is no failure."""
    address = os.environ.get(WEBHOOK)
    if address:
        # Only now: no other command needs an HTTP client.
        from cluster.alerts import send_alert  # noqa: PLC0415

        problem = send_alert(address, outcome)
        if problem:
            console.print(f"the outcome was not sent: {problem}", highlight=False, style="yellow")


def _in_words(night: Night) -> str:
    if night.verdict == "promoted":
        return f"{night.date}: promoted {night.challenger}, version {night.version}"
    why = "; ".join(night.reasons)
    return f"{night.date}: held {night.challenger}: {why}"


def _say(request: Request, outcome: dict[str, object]) -> None:
    if request.options.as_json:
        print(json.dumps(outcome))  # noqa: T201


if __name__ == "__main__":
    main(nightly)
