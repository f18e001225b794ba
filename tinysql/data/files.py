"""Where the rows of a dataset lie: {split}-{number}.parquet, in row order."""

from pathlib import Path

from tinysql.errors import InputError


def split_files(dataset: Path, split: str) -> list[Path]:
    """The Parquet files of a split, in row order; raises InputError when there are none."""
    files = sorted(dataset.glob(f"{split}-*.parquet"))
    if not files:
        if not dataset.is_dir():
            raise InputError(f"no directory {str(dataset)!r}: expected {split}-00000.parquet in it")
        raise InputError(f"{str(dataset)!r} has no split {split!r}: expected {split}-00000.parquet")
    return files
