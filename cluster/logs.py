"""Logs on stderr, for people or as one JSON object per line, with ids of what they are about.

TINYSQL_LOG=json asks for objects: time, level, logger, message and, where they are known, run (the
id of the Ray job, else one of this process), step, identity, attempt and shard; error has a
traceback. They begin at INFO, where every turn of a run is told; for people logs begin at WARNING,
because they see the turns on the screen. Workers on other machines go by what the driver says.
"""

import json
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType

VARIABLE = "TINYSQL_LOG"
OURS = ("cluster", "jobs", "tinysql")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_ids: ContextVar[Mapping[str, str]] = ContextVar("ids", default=_NOTHING)
_handler: logging.Handler | None = None


@dataclass(frozen=True)
class Origin:
    """How a driver logs and what it works on, for its workers to go on with."""

    as_json: bool
    ids: Mapping[str, str]


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_ids.get(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up(as_json: bool | None = None) -> None:
    """Logs of this process go to stderr from here on. None: as TINYSQL_LOG says."""
    if as_json is None:
        as_json = os.environ.get(VARIABLE, "") == "json"
    global _handler  # the root logger, too, is one per process
    root = logging.getLogger()
    if _handler in root.handlers:
        return
    _handler = logging.StreamHandler()
    _handler.setFormatter(
        JsonFormatter() if as_json else logging.Formatter("%(levelname)s %(name)s: %(message)s")
    )
    root.addHandler(_handler)
    if as_json:
        logging.captureWarnings(True)
        for name in OURS:
            logging.getLogger(name).setLevel(logging.INFO)


def are_json() -> bool:
    """Whether whoever reads stderr expects objects."""
    return _handler is not None and isinstance(_handler.formatter, JsonFormatter)


@contextmanager
def about(**ids: str) -> Iterator[None]:
    """Everything logged inside, by this thread, has these ids as well."""
    before = _ids.set({**_ids.get(), **ids})
    try:
        yield
    finally:
        _ids.reset(before)


def origin() -> Origin:
    """What workers that are started here go on with."""
    return Origin(are_json(), dict(_ids.get()))


@contextmanager
def continued(origin: Origin, **ids: str) -> Iterator[None]:
    """What a worker logs inside is about what its driver works on, and looks like its logs."""
    set_up(origin.as_json)
    with about(**origin.ids, **ids):
        yield


@cache
def run_id() -> str:
    """The submission's id where this process is the driver of a Ray job, else one of its own."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    submitted: str | None = job.get("metadata", {}).get("job_submission_id")
    return submitted or secrets.token_hex(4)
