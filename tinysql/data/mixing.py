"""The rows of a mixture: drawn from its parts by weight, without replacement, and interleaved.

1. a part's rows that pass its filters are ranked by a hash of (seed, split, part, row), and the
   first ones are drawn: a smaller draw is contained in a larger one;
2. which part row i comes from is shuffled in the same way; within a part rows keep their order,
   so that a run of rows touches one run of each part's files.

So row i depends on the configuration, on i and on the rows of the parts, not on how either is cut
into files. A row of a dataset that plays several parts is in one of them at most. In memory are the
rows of one shard, one file of a part, and some ten numbers for every row of the parts' split.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tinysql.data.dataset import DatasetShard, row_ranges
from tinysql.data.draws import Draws
from tinysql.data.files import split_files
from tinysql.data.generate import write_rows
from tinysql.data.mixture import MixtureConfig, PartConfig
from tinysql.data.text import Indices, Mask
from tinysql.errors import InputError

_ORIGIN = ("part", "part_id")
_COUNTED = ("part", "command_set", "hardness")


def mix_shard(
    out_dir: Path, *, config: MixtureConfig, shard: DatasetShard, **parts: Path
) -> dict[str, Any]:
    """Write the rows of a shard as one Parquet file; returns how many there are of each kind.

    Raises InputError when a part has too few rows.
    """
    rows = mix_rows(parts, config, shard.split, shard.start, shard.stop)
    write_rows(rows, out_dir / shard.file_name)
    return {name: Counter(map(str, rows[name].to_pylist())) for name in _COUNTED}


def mix_rows(
    parts: Mapping[str, Path], config: MixtureConfig, split: str, start: int, stop: int
) -> pa.Table:
    """Rows start to stop - 1 of a mixture, all in one split.

    Their columns are those that all parts have, with an id of their own; and `part` and `part_id`,
    which say what a row was before.

    Raises InputError when a part has too few rows.
    """
    drawn = draw_rows(parts, config, split)
    names = list(drawn)
    schema = _common_schema([split_files(parts[name], split)[0] for name in names])
    first = row_ranges(config.sizes)[split].start
    sources = _interleaved([len(drawn[name]) for name in names], config.seed, split)
    before, here = sources[: start - first], sources[start - first : stop - first]
    runs = []
    for number, name in enumerate(names):
        skipped, wanted = (int(np.count_nonzero(each == number)) for each in (before, here))
        numbers = drawn[name][skipped : skipped + wanted]
        rows = _read_numbered(split_files(parts[name], split), numbers, schema)
        runs.append(rows.append_column("part", pa.repeat(name, len(numbers))))
    # Stable: where the parts' rows, end to end, go.
    places = np.argsort(np.argsort(here, kind="stable"), kind="stable")
    rows = pa.concat_tables(runs).take(pa.array(places))
    rows = rows.append_column("part_id", rows["id"])
    numbers = pa.array(np.arange(start, stop), pa.int64())
    return rows.set_column(rows.column_names.index("id"), "id", numbers)


def draw_rows(
    parts: Mapping[str, Path], config: MixtureConfig, split: str
) -> dict[str, Indices]:
    """The numbers of the rows that each part gives, rising, counted through its split.

    Raises InputError when a part has too few rows.
    """
    free: dict[Path, Mask] = {}
    drawn = {}
    for name, wanted in config.shares(split).items():
        part = config.parts[name]
        fits = _fitting(split_files(parts[name], split), part)
        left = free.setdefault(parts[name].resolve(), np.ones(len(fits), bool))
        candidates = np.flatnonzero(fits & left)
        if wanted > len(candidates):
            others = "" if left.all() else " that no other part has taken"
            raise InputError(
                f"part {name!r} has {len(candidates)} {split} rows {part.in_words}{others}, and "
                f"{wanted} of the {config.sizes[split]} are to come from it: lower {split}_rows "
                "or its weight, or use a larger dataset"
            )
        ranks = Draws(config.seed, candidates.astype(np.uint64)).bits(f"{split}/{name}", 1)[:, 0]
        first = np.argsort(ranks, kind="stable")[:wanted]
        drawn[name] = np.sort(candidates[first])
        left[drawn[name]] = False
    return drawn


def _fitting(files: Sequence[Path], part: PartConfig) -> Mask:
    """Whether each row passes the filters of a part."""
    filters = {"command_set": part.command_sets, "hardness": part.hardness}
    wanted = {name: values for name, values in filters.items() if values is not None}
    found = []
    for file in files:
        with pq.ParquetFile(file) as parquet:
            fits = np.ones(parquet.metadata.num_rows, bool)
            table = parquet.read(columns=list(wanted))
        for name, values in wanted.items():
            among = pa.array(values)
            fits &= pc.is_in(table[name].cast(among.type), among).to_numpy()
        found.append(fits)
    return np.concatenate(found)


def _interleaved(counts: Sequence[int], seed: int, split: str) -> Indices:
    """For every row of a split the number of its part, which occurs as often as it should."""
    sources = np.repeat(np.arange(len(counts)), counts)
    ranks = Draws(seed, np.arange(len(sources), dtype=np.uint64)).bits(split, 1)[:, 0]
    return sources[np.argsort(ranks, kind="stable")]


def _common_schema(files: Sequence[Path]) -> pa.Schema:
    """The columns that all these files have."""
    schemas = [pq.read_schema(file).remove_metadata() for file in files]
    names = [
        name for name in schemas[0].names
        if name not in _ORIGIN and all(name in schema.names for schema in schemas)
    ]  # fmt: skip
    return pa.unify_schemas(
        [pa.schema([schema.field(name) for name in names]) for schema in schemas],
        promote_options="permissive",
    )


def _read_numbered(files: Sequence[Path], numbers: Indices, schema: pa.Schema) -> pa.Table:
    """The columns of a schema of the rows with these rising numbers."""
    tables = [schema.empty_table()]
    first = 0
    for file in files:
        with pq.ParquetFile(file) as parquet:
            stop = first + parquet.metadata.num_rows
            low, high = np.searchsorted(numbers, [first, stop])
            if low < high:
                rows = parquet.read(columns=schema.names).select(schema.names)
                tables.append(rows.take(pa.array(numbers[low:high] - first)).cast(schema))
        first = stop
    return pa.concat_tables(tables)
