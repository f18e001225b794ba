"""A step's numbers for Prometheus, through the exporter that Ray runs on every node.

Ray serves them as ray_tinysql_<name> with the labels step and identity, on each node's metrics
port (docs.ray.io, "Add application-level metrics").
"""

from collections.abc import Mapping

from pydantic import JsonValue
from ray.util.metrics import Gauge

_LABELS = ("step", "identity")


class Gauges:
    """The last value of each number that a step logs."""

    def __init__(self, identity: str, name: str) -> None:
        self._tags = {"step": name, "identity": identity[:12]}
        self._gauges: dict[str, Gauge] = {}

    def log(self, row: Mapping[str, JsonValue]) -> None:
        """Sets a gauge for every number in the row; "split" becomes part of its name."""
        split = row.get("split")
        for key, value in row.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._gauge(f"{split}_{key}" if split else key).set(value)

    def _gauge(self, key: str) -> Gauge:
        if key not in self._gauges:
            gauge = Gauge(f"tinysql_{key}", f"{key} of a step", _LABELS)
            gauge.set_default_tags(self._tags)
            self._gauges[key] = gauge
        return self._gauges[key]
