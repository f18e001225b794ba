"""Passes what this process counts on to the exporter that Ray runs on every node.

Ray serves it on each node's metrics port (docs.ray.io, "Add application-level metrics"), about ten
seconds later; a gauge goes some twenty seconds after its process, a counter stays.
"""

import threading
from collections.abc import Mapping
from functools import cache

from ray.util.metrics import Counter, Gauge

from cluster.metrics import Metric, send_to

_guard = threading.Lock()


def export_metrics() -> None:
    """Whatever this process counts goes to Ray from here on."""
    send_to(_export)


def stop_exporting() -> None:
    """What is counted waits until this process is connected again."""
    send_to(None)
    _instrument.cache_clear()


def _export(metric: Metric, value: float, labels: Mapping[str, str]) -> None:
    with _guard:
        instrument = _instrument(metric)
    if isinstance(instrument, Counter):
        instrument.inc(value, dict(labels))
    else:
        instrument.set(value, dict(labels))


@cache
def _instrument(metric: Metric) -> Counter | Gauge:
    made = Counter if metric.type == "counter" else Gauge
    return made(f"tinysql_{metric.name}", metric.about, metric.labels)
