"""Computes a step's identity: the SHA-256 of the canonical JSON of what defines its result.

Canonical JSON: keys sorted by code point, no whitespace, UTF-8, floats by their shortest repr, so
1 and 1.0 stay distinct. Whatever has no canonical JSON raises: silently stringifying a path or a
set would leak a machine or a hash seed into an identity. Only science fields belong here; buckets,
endpoints, worker counts and devices are runtime settings and stay out.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import cast

_PLAIN = (type(None), bool, int)


def canonical_json(value: object) -> str:
    """The one JSON text of value. Raises TypeError naming the path of what has none."""
    _check(value, "value")
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def step_identity(
    kind: str, version: int, config: Mapping[str, object], parents: Mapping[str, str]
) -> str:
    """64 hex digits naming the step. parents maps each role to that parent's identity."""
    _check(config, "config")
    fields = {"kind": kind, "version": version, "config": config, "parents": dict(parents)}
    return digest(fields)


def digest(value: object) -> str:
    """64 hex digits of the canonical JSON. Raises TypeError naming the path of what has none."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _check(value: object, path: str) -> None:
    # Exact types: a str Enum or a numpy float would pass json.dumps and change with its library.
    if type(value) in _PLAIN:
        return
    if type(value) is float:
        if not math.isfinite(value):
            raise TypeError(f"{path} is {value!r}: canonical JSON has finite numbers only")
    elif type(value) is str:
        _check_text(value, path)
    elif type(value) in (list, tuple):
        for index, item in enumerate(cast(Sequence[object], value)):
            _check(item, f"{path}[{index}]")
    elif type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"{path} has the key {key!r}: canonical JSON has string keys only")
            _check_text(key, f"{path} key {key!r}")
            _check(item, f"{path}.{key}")
    else:
        raise TypeError(
            f"{path} is a {type(value).__name__}: canonical JSON has "
            "null, booleans, numbers, strings, lists and dicts only"
        )


def _check_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TypeError(f"{path} holds a lone surrogate: canonical JSON is UTF-8") from None
