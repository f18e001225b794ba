"""What Kueue refuses of runs that wait in a queue.

The rule is that of pkg/controller/jobs/raycluster/raycluster_webhook.go in Kueue 0.19.
"""

from collections.abc import Iterator

from cluster.kube_jobs import QUEUE
from k8s.gate.manifests import Manifest, ray_clusters, title
from k8s.gate.problem import Problem

_QUEUE_NAME = "kueue.x-k8s.io/queue-name"
_ELASTIC = "kueue.x-k8s.io/elastic-job"


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """Runs whose number of workers changes, and moulds of such, that do not say so to Kueue."""
    for manifest, _, cluster in ray_clusters(manifests):
        labels = manifest["metadata"].get("labels", {})
        annotations = manifest["metadata"].get("annotations", {})
        waits = _QUEUE_NAME in labels or QUEUE in annotations
        elastic = annotations.get(_ELASTIC) == "true"
        if waits and cluster.get("enableInTreeAutoscaling") and not elastic:
            message = f'expected {_ELASTIC}: "true": Kueue refuses the autoscaler without it'
            yield Problem(title(manifest), "metadata.annotations", message)
