"""The data verbs: datasets in plain directories, without a store or a recipe.

    python -m jobs.data generate --command-set 4 --rows 20000 --out data/cs4
"""

import typer

from jobs.data_export import export
from jobs.data_generate import generate
from jobs.data_import import import_
from jobs.data_pairs import pairs
from jobs.data_stats import stats
from jobs.data_verify import verify
from jobs.entry import exit_codes

app = typer.Typer(
    help="Datasets in plain directories: make, check, convert, describe.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (generate, verify, export, import_, pairs, stats):
    app.command(verb.__name__.rstrip("_"))(verb)

if __name__ == "__main__":
    with exit_codes():
        app()
