"""The run verb: a whole recipe, on this machine or on a Ray cluster.

    python -m jobs.pipeline --recipe quickstart --store s3://bucket/prefix
    ray job submit --working-dir . -- python -m jobs.pipeline --recipe quickstart --store ...
"""

from jobs.entry import main, recipe_command

run = recipe_command(
    "run",
    "Run a recipe: every step that is not committed yet, in order.\n\n"
    "Example: tinysql run quickstart --store runs --set model.steps=300",
)

if __name__ == "__main__":
    main(run)
