"""Whether what watches runs agrees with what they show: alerts, dashboards, and who may scrape.

Every expression must be PromQL, and every metric in it one that is exported: by our own code, by
Ray's exporters, or by kube-state-metrics. The tests compare the first two with a real run.
"""

import json
from collections.abc import Iterator
from typing import Any

import promql_parser

from cluster.metrics import METRICS, PREFIX
from k8s.gate.manifests import Manifest, at, title
from k8s.gate.network import admits_outsiders, labels_of
from k8s.gate.problem import Problem

TRAINING = frozenset(
    PREFIX + name
    for name in ("train_loss", "validation_loss", "train_tokens_per_second", "train_mfu")
)
"""Numbers that trainings log, as gauges."""
RAY = frozenset({
    "ray_node_cpu_utilization", "ray_node_mem_used", "ray_node_mem_total",
    "ray_node_disk_utilization_percentage", "ray_resources", "ray_tasks",
})  # fmt: skip
RAY_ON_GPUS = frozenset({"ray_node_gpus_utilization", "ray_node_gram_used"})
KUBE_STATE = frozenset({"kube_cronjob_created", "kube_cronjob_status_last_successful_time"})
OURS = frozenset({each.exported for each in METRICS}) | TRAINING
EXPORTED = OURS | RAY | RAY_ON_GPUS | KUBE_STATE
_GRAFANA = {"$__rate_interval": "5m"}
_PARTS = ("lhs", "rhs", "expr", "param", "vector_selector")


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """Alerts and panels that could never show anything, and a monitor that reaches nobody."""
    for manifest in manifests:
        for place, expression in expressions(manifest):
            for message in _wrong(expression):
                yield Problem(title(manifest), place, message)
        if manifest["kind"] == "PrometheusRule":
            yield from _untold(manifest)
        if manifest["kind"] == "PodMonitor":
            yield from _out_of_reach(manifest, manifests)


def expressions(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Every expression in alerts and dashboards, with its place."""
    if manifest["kind"] == "PrometheusRule":
        for number, group in enumerate(at(manifest, "spec.groups") or ()):
            for rule in group["rules"]:
                yield f"spec.groups.{number}.{rule.get('alert')}", rule["expr"]
    elif "grafana_dashboard" in manifest["metadata"].get("labels", {}):
        for name, text in manifest["data"].items():
            for panel in json.loads(text)["panels"]:
                for target in panel.get("targets", ()):
                    yield f"{name} {panel['title']}", target["expr"]


def metrics_in(expression: str) -> set[str]:
    """The metrics that an expression reads. Raises ValueError where it is no PromQL."""
    return set(_names(promql_parser.parse(expression)))


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node.name or node.prettify()
    children = [getattr(node, part, None) for part in _PARTS]
    for child in [*children, *getattr(node, "args", ())]:
        if child is not None:
            yield from _names(child)


def _wrong(expression: str) -> Iterator[str]:
    for variable, duration in _GRAFANA.items():
        expression = expression.replace(variable, duration)
    try:
        names = metrics_in(expression)
    except ValueError as error:
        yield f"no PromQL: {error}"
    else:
        yield from (f"nobody exports {name}" for name in sorted(names - EXPORTED))


def _untold(manifest: Manifest) -> Iterator[Problem]:
    """Alerts that say neither how bad it is nor what it is."""
    for number, group in enumerate(at(manifest, "spec.groups") or ()):
        for rule in group["rules"]:
            for place in ("alert", "labels.severity", "annotations.summary"):
                if not at(rule, place):
                    where = f"spec.groups.{number}.{rule.get('alert')}.{place}"
                    yield Problem(title(manifest), where, "is missing")


def _out_of_reach(monitor: Manifest, manifests: list[Manifest]) -> Iterator[Problem]:
    """Ports that no container has, or that no other namespace may reach."""
    policies = [each for each in manifests if each["kind"] == "NetworkPolicy"]
    having = [
        (port["name"], port["containerPort"], labels)
        for pod, labels in labels_of(manifests)
        for container in at(pod, "spec.containers") or ()
        for port in container.get("ports", ())
    ]
    for number, endpoint in enumerate(at(monitor, "spec.podMetricsEndpoints") or ()):
        where, name = f"spec.podMetricsEndpoints.{number}", endpoint.get("port")
        found = [(port, labels) for known, port, labels in having if known == name]
        if not found:
            yield Problem(title(monitor), where, f"no container has a port {name}")
        for port in {port for port, own in found if not admits_outsiders(policies, own, port)}:
            message = f"no NetworkPolicy lets another namespace reach port {port}"
            yield Problem(title(monitor), where, message)
