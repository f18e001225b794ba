"""Where the rows of a dataset lie: {split}-{number}.parquet, in row order."""

from pathlib import Path

from tinysql.errors import InputError


def split_files(dataset: Path, split: str) -> list[Path]:
    """The Parquet files of a split, in row order; raises InputError when there are none."""
    files = sorted(dataset.glob(f"{split}-*.parquet"))
    if not files:
        raise InputError(f"dataset has no split {split!r}: expected {split}-00000.parquet")
    return files
