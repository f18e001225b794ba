"""What a person sees of a long step, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from jobs import console
from jobs.console import make_progress


@pytest.mark.parametrize("is_terminal", [True, False])
def test_warnings_stay_on_the_screen(is_terminal: bool) -> None:
    written = io.StringIO()
    progress = make_progress(Console(file=written, force_terminal=is_terminal, width=100))
    progress.start("model", 100, "steps")
    progress.advance(0, warning="checkpoint-7 is not usable (a is missing), trying the one before")
    progress.advance(20, loss=0.25)
    progress.done()
    assert "model: checkpoint-7 is not usable (a is missing)" in written.getvalue()


def test_a_long_step_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_SECONDS_PER_LINE", 0.0)
    written = io.StringIO()
    progress = make_progress(Console(file=written, width=30))
    progress.start("model", 2200, "steps")
    progress.advance(20, split="train", loss=0.25, lr=1.0, tokens_per_second=12345.6)
    progress.advance(0)
    progress.advance(0, split="validation", loss=0.5)
    assert written.getvalue() == (
        "model: 20 of 2200 steps  train: loss 0.25  tokens_per_second 12,346\n"
        "model: 20 of 2200 steps  validation: loss 0.5\n"
    )
