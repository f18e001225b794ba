"""Passes what this process counts on to the exporter that Ray runs on every node.

Ray serves it on each node's metrics port (docs.ray.io, "Add application-level metrics"), about ten
seconds later. It forgets a gauge that was not set for two of these intervals
(ray/_private/telemetry/open_telemetry_metric_recorder.py), which is right for processes that are
gone, and wrong for a number that stays as it is: so gauges are set again and again.
"""

import threading
from collections.abc import Mapping

from ray.util.metrics import Counter, Gauge

from cluster.metrics import Metric, send_to

REFRESH_SECONDS = 5.0
_exporter: "_Exporter | None" = None


def export_metrics() -> None:
    """Whatever this process counts goes to Ray from here on."""
    global _exporter  # one per process, as Ray is
    if _exporter is None:
        _exporter = _Exporter()
    send_to(_exporter.take)


def stop_exporting() -> None:
    """What is counted waits until this process is connected again."""
    global _exporter
    send_to(None)
    if _exporter is not None:
        _exporter.stop()
    _exporter = None


class _Exporter:
    """Ray's instruments of this process, and what its gauges were set to last."""

    def __init__(self) -> None:
        self._instruments: dict[Metric, Counter | Gauge] = {}
        self._last: dict[tuple[Metric, frozenset[tuple[str, str]]], float] = {}
        self._guard = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._refresh, daemon=True).start()

    def take(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """Adds to a counter, or sets a gauge."""
        with self._guard:
            instrument = self._instrument(metric)
            if isinstance(instrument, Counter):
                instrument.inc(value, dict(labels))
            else:
                instrument.set(value, dict(labels))
                self._last[metric, frozenset(labels.items())] = value

    def stop(self) -> None:
        """Nothing is set again."""
        self._ended.set()

    def _refresh(self) -> None:
        while not self._ended.wait(REFRESH_SECONDS):
            with self._guard:
                for (metric, labels), value in self._last.items():
                    gauge = self._instruments[metric]
                    assert isinstance(gauge, Gauge), "counters have no last value"
                    gauge.set(value, dict(labels))

    def _instrument(self, metric: Metric) -> Counter | Gauge:
        if metric not in self._instruments:
            made = Counter if metric.type == "counter" else Gauge
            self._instruments[metric] = made(f"tinysql_{metric.name}", metric.about, metric.labels)
        return self._instruments[metric]
