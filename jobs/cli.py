"""The `tinysql` command: every verb under one name."""

import typer

from jobs.champion import history, nights, promote, rollback
from jobs.data import app as data_verbs
from jobs.entry import exit_codes, step_command
from jobs.equivalent import equivalent
from jobs.evaluate import evaluate
from jobs.finetune import finetune
from jobs.gc import gc
from jobs.ls import ls
from jobs.models import app as model_verbs
from jobs.nightly import nightly
from jobs.pipeline import run
from jobs.read_report import report
from jobs.score import score
from jobs.show import show
from jobs.status import status
from jobs.submit import submit_run

_STEPS = (
    "dataset", "natural", "import", "mixture", "verification", "export", "base", "sweep", "model",
    "evaluation", "forgetting", "gate", "pairs", "patching", "sae", "adapter_study",
)  # fmt: skip


def main() -> None:
    """Entry point of the console script."""
    app = typer.Typer(
        help="A factory and laboratory for small text-to-SQL models, on Ray.",
        epilog="Start with: tinysql run quickstart",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for verb in (run, status, ls, show, report, gc):
        app.command(rich_help_panel="Recipes and artifacts")(verb)
    app.command("submit", rich_help_panel="Recipes and artifacts")(submit_run)
    for verb in (nightly, nights, history, promote, rollback):
        app.command(rich_help_panel="Nights and the champion")(verb)
    for verb in (finetune, evaluate, score, equivalent):
        app.command(rich_help_panel="Models and SQL without a recipe")(verb)
    for kind in _STEPS:
        app.command(rich_help_panel="One step of a recipe, and what it needs")(step_command(kind))
    app.add_typer(data_verbs, name="data", rich_help_panel="Recipes and artifacts")
    app.add_typer(model_verbs, name="models", rich_help_panel="Recipes and artifacts")
    with exit_codes():
        app()


if __name__ == "__main__":
    main()
