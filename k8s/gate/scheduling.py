"""Whether what runs by the clock will: schedules, time zones, and ticks that meet or are late.

Schedules are read as Kubernetes and KubeRay read them, by github.com/robfig/cron: Sunday is 0 and
never 7, and a range does not go past its field's end.
"""

from collections.abc import Iterator
from typing import NamedTuple
from zoneinfo import available_timezones

from k8s.gate.manifests import Manifest, title
from k8s.gate.problem import Problem


class _Field(NamedTuple):
    what: str
    first: int
    last: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun",
                            "jul", "aug", "sep", "oct", "nov", "dec")),
    _Field("day of the week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)  # fmt: skip
_MACROS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """Clocks that never strike, strike at another hour, or strike twice."""
    for manifest in manifests:
        if manifest["kind"] in ("CronJob", "RayCronJob"):
            spec = manifest["spec"]
            for message in _wrong(spec.get("schedule", "")):
                yield Problem(title(manifest), "spec.schedule", message)
            zone = spec.get("timeZone")
            if zone is not None and zone not in available_timezones():
                yield Problem(title(manifest), "spec.timeZone", f"there is no time zone {zone!r}")
        if manifest["kind"] == "CronJob":
            yield from _ticks(manifest)


def _ticks(cron_job: Manifest) -> Iterator[Problem]:
    """KubeRay has neither field."""
    spec = cron_job["spec"]
    if spec.get("concurrencyPolicy") not in ("Forbid", "Replace"):
        message = "expected Forbid or Replace: else ticks run beside each other"
        yield Problem(title(cron_job), "spec.concurrencyPolicy", message)
    if not spec.get("startingDeadlineSeconds"):
        message = "expected a limit: after 100 ticks that were missed, none is made any more"
        yield Problem(title(cron_job), "spec.startingDeadlineSeconds", message)


def _wrong(schedule: str) -> Iterator[str]:
    written = schedule.split()
    if schedule in _MACROS:
        return
    if len(written) != len(_FIELDS):
        yield f"got {schedule!r}, expected five fields: {', '.join(each.what for each in _FIELDS)}"
        return
    for field, text in zip(_FIELDS, written, strict=True):
        if not all(_is_span(each, field) for each in text.split(",")):
            yield f"got {schedule!r}, where {text!r} is no {field.what}"


def _is_span(text: str, field: _Field) -> bool:
    """Whether it is a number, a range or all of them, in steps or not."""
    span, has_step, step = text.partition("/")
    if has_step and not (step.isdecimal() and int(step)):
        return False
    if span in ("*", "?"):
        return True
    first, is_range, last = span.partition("-")
    low = _number(first, field)
    high = _number(last, field) if is_range else low
    return low is not None and high is not None and low <= high


def _number(text: str, field: _Field) -> int | None:
    if text.lower() in field.names:
        return field.names.index(text.lower()) + field.first
    number = int(text) if text.isdecimal() else -1
    return number if field.first <= number <= field.last else None
