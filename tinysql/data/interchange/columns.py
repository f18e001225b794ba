"""The columns of imported rows: those of ours that need no generator, and where a row came from."""

import pyarrow as pa

_LIST = pa.list_

IMPORTED = pa.schema(
    [
        ("id", pa.int64()),
        ("command_set", pa.int8()),
        ("split", pa.string()),
        ("variant", pa.string()),
        ("question", pa.string()),
        ("schema_sql", pa.string()),
        ("gold_sql", pa.string()),
        ("tables", _LIST(pa.struct([("name", pa.string()), ("phrase", pa.string())]))),
        (
            "columns",
            _LIST(
                pa.struct(
                    [
                        ("table", pa.int8()),
                        ("name", pa.string()),
                        ("type", pa.string()),
                        ("kind", pa.string()),
                        ("key", pa.string()),
                    ]
                )
            ),
        ),
        (
            "foreign_keys",
            _LIST(
                pa.struct(
                    [
                        ("table", pa.int8()),
                        ("column", pa.string()),
                        ("parent", pa.int8()),
                        ("parent_column", pa.string()),
                    ]
                )
            ),
        ),
        ("hardness", pa.string()),
        ("source", pa.string()),
    ]
)
"""`source` is the whole record as JSON."""

QUARANTINED = pa.schema(
    [
        ("id", pa.int64()),
        ("split", pa.string()),
        ("place", pa.string()),
        ("question", pa.string()),
        ("schema_sql", pa.string()),
        ("gold_sql", pa.string()),
        (
            "problems",
            _LIST(pa.struct([("problem", pa.string()), ("detail", pa.string())])),
        ),
        ("source", pa.string()),
    ]
)
"""`place` is file and line; the texts are as found, null where they were something else."""

VARIANT = "imported"
