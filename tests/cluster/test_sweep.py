"""run_trials on a real Ray Tune: good and bad trials, lost processes, reruns, errors."""

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from cluster.fanout import FanoutError
from cluster.steps import Resources, StepContext
from cluster.store import Store
from cluster.sweep import Asha, run_trials
from cluster.trials import Trial

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

ASHA = Asha("loss", "min", grace_steps=2, max_steps=8, reduction_factor=2)
FUNCTION = "ray_functions.try_loss"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Where trials leave a file per start."""
    folder = tmp_path / "trace"
    folder.mkdir()
    return folder


@pytest.fixture
def context(local_store: Store, make_context: Any) -> StepContext:
    """One trial after the other, so that ASHA has the same to go by every time."""
    return make_context(local_store, resources=Resources(workers=1))


def trial(trace: Path, loss: float, group: str = "", **changes: Any) -> Trial:
    return Trial(f"trial-{loss}", {}, {"loss": loss, "trace": str(trace), **changes}, group)


def starts(trace: Path) -> list[tuple[str, int]]:
    """(loss, steps done) of every start, in order."""
    found = [path.name.split("-") for path in trace.glob("*-from-*")]
    return [(loss, int(done)) for loss, _, done, _ in sorted(found, key=lambda parts: parts[3])]


def ended(receipts: list[Any]) -> list[tuple[str, int]]:
    return [(one.metrics["ended"], one.metrics["rows"][-1]["step"]) for one in receipts]


def test_bad_trials_are_given_up_and_a_rerun_trains_none(context: StepContext, trace: Path):
    # Of each group, the first to come goes on, and worse ones do not. Group b is worse.
    losses = {"a": (0.2, 0.3, 0.1), "b": (0.9,)}
    trials = [trial(trace, loss, group) for group, each in losses.items() for loss in each]
    receipts = run_trials(context, FUNCTION, trials, gpu=False, asha=ASHA)
    expected = [("finished", 8), ("stopped", 2), ("finished", 8), ("finished", 8)]
    assert ended(receipts) == expected
    assert [row["step"] for row in receipts[0].metrics["rows"]] == list(range(1, 9))
    assert all(receipt.usage.cpu_seconds > 0 for receipt in receipts)
    assert (context.progress.total, context.progress.count) == (4, 4)
    assert not [one.key for one in context.store.list(f"{context.attempt.path}/trials/")]
    assert run_trials(context, FUNCTION, trials, gpu=False, asha=ASHA) == receipts
    assert len(starts(trace)) == 4
    # A trial that comes later is compared with those of the earlier run.
    more = [*trials, trial(trace, 0.5, "a")]
    assert ended(run_trials(context, FUNCTION, more, gpu=False, asha=ASHA))[-1] == ("stopped", 2)


@pytest.mark.long
def test_without_asha_every_trial_comes_to_its_end(context: StepContext, trace: Path):
    trials = [trial(trace, 0.1), trial(trace, 0.9, gives_up_at=3)]
    receipts = run_trials(context, FUNCTION, trials, gpu=False, asha=None)
    assert ended(receipts) == [("finished", 8), ("diverged", 2)]
    assert receipts[1].metrics["reason"] == "gave up at step 3"


@pytest.mark.long
def test_lost_process_goes_on_from_the_last_checkpoint(
    context: StepContext, trace: Path, caplog: pytest.LogCaptureFixture
):
    trials = [trial(trace, 0.1, kill_at=4), trial(trace, 0.05)]
    receipts = run_trials(context, FUNCTION, trials, gpu=False, asha=ASHA)
    assert ended(receipts) == [("finished", 8)] * 2
    assert sorted(starts(trace)) == [("0.05", 0), ("0.1", 0), ("0.1", 3)]
    assert [row["step"] for row in receipts[0].metrics["rows"]] == list(range(1, 9))
    assert "trial trial-0.1 is tried again, its process was lost" in caplog.text


@pytest.mark.long
def test_error_of_the_user_names_the_trial_and_keeps_the_others(context: StepContext, trace: Path):
    trials = [trial(trace, 0.1, failure="lr: got 0!"), trial(trace, 0.2)]
    with pytest.raises(UserError) as caught:
        run_trials(context, FUNCTION, trials, gpu=False, asha=ASHA)
    assert str(caught.value) == "step sample: trial-0.1: lr: got 0!"
    mended = [trial(trace, 0.1), trials[1]]
    assert ended(run_trials(context, FUNCTION, mended, gpu=False, asha=ASHA))[1] == ("finished", 8)
    assert [loss for loss, _ in starts(trace)] == ["0.1", "0.2", "0.1"]


@pytest.mark.long
def test_error_of_the_program_is_not_tried_again(context: StepContext, trace: Path):
    with pytest.raises(FanoutError) as caught:
        run_trials(context, FUNCTION, [trial(trace, 0.1, failure="x")], gpu=False, asha=None)
    assert "1 of 1 trials failed" in str(caught.value)
    assert "trial-0.1: KeyError: 'x'" in str(caught.value)
    assert "in try_loss" in caught.value.__notes__[0]
    assert len(starts(trace)) == 1
