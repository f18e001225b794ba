"""RayJobs of a Kubernetes namespace, made from the one that lies there suspended: the mould.

The mould has the image, the resources, the accounts and the environment, all as whoever installed
it decided; a run adds its name and its command. A run has succeeded when its RayJob says so: exit
codes of submitters are no evidence (kuberay#3216).
"""

import copy
import logging
import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from yaml import YAMLError

from cluster.errors import UserError
from cluster.submission import Look, OutOfReach, Run, State

Manifest = dict[str, Any]

MOULD = "tinysql"
"""Its name."""
QUEUE = "tinysql/queue"
"""Its annotation with the queue of Kueue that runs wait in, if any."""
_KUEUE = "kueue.x-k8s.io"
_RUN = "tinysql/run"
"""The label with the name of a run."""
_KIND: dict[str, Any] = {"group": "ray.io", "version": "v1", "plural": "rayjobs"}
_STATES: dict[str, State] = {
    "Complete": "succeeded", "Failed": "failed", "ValidationFailed": "failed",
    "Running": "running",
}
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_TIMEOUT = (5, 60)
"""Seconds for a connection and for an answer."""


def run_of(mould: Manifest, name: str, entrypoint: str) -> Manifest:
    """The RayJob that runs a command as the mould would."""
    spec = copy.deepcopy(mould["spec"])
    spec |= {"suspend": False, "entrypoint": entrypoint}
    written = mould["metadata"]
    labels = {**written.get("labels", {}), _RUN: name}
    metadata = {"name": name, "labels": labels}
    annotations = written.get("annotations", {})
    if queue := annotations.get(QUEUE):
        # Not a label of the mould, which a queue would start.
        labels[f"{_KUEUE}/queue-name"] = queue
        of_kueue = {key: each for key, each in annotations.items() if key.startswith(_KUEUE)}
        metadata["annotations"] = of_kueue
    if "namespace" in written:
        metadata["namespace"] = written["namespace"]
    return {
        "apiVersion": mould["apiVersion"], "kind": mould["kind"], "metadata": metadata,
        "spec": spec,
    }  # fmt: skip


def _standing(found: Manifest) -> tuple[State, str]:
    """The state of a RayJob, and what is said of it."""
    status = found.get("status", {})
    state = _STATES.get(status.get("jobDeploymentStatus", ""), "waiting")
    if state == "succeeded" and status.get("jobStatus") != "SUCCEEDED":
        state = "failed"
    return state, " ".join(filter(None, [status.get("reason"), status.get("message")]))


class KubeJobs:
    """The runs of a namespace, as the pod's own account or the user's kubeconfig allows.

    Raises UserError when there is neither.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        try:
            if config.incluster_config.SERVICE_HOST_ENV_NAME in os.environ:
                config.load_incluster_config()
            else:
                config.load_kube_config(os.environ.get("KUBECONFIG"))
        except (ConfigException, OSError, TypeError, YAMLError) as error:
            raise UserError(
                "Kubernetes: neither a service account nor a kubeconfig; expected what `kubectl` "
                "needs, such as KUBECONFIG"
            ) from error
        # Its tries are ours to tell of, when they have come to nothing.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        # The types of the client say None of every field.
        self._objects: Any = client.CustomObjectsApi()
        self._core: Any = client.CoreV1Api()

    def mould(self) -> Manifest:
        """The suspended RayJob. Raises UserError when there is none."""
        found = self._get(MOULD)
        if found is None:
            raise UserError(
                f"namespace {self._namespace} has no RayJob {MOULD!r} to make runs from: "
                "`kubectl apply -k` an overlay first"
            )
        return found

    def look(self, name: str) -> Look | None:
        found = self._get(name)
        if found is None:
            return None
        return Look(*_standing(found), self._log(name))

    def start(self, name: str, entrypoint: str) -> bool:
        run = run_of(self.mould(), name, entrypoint)
        made = self._ask(
            "create RayJobs", self._objects.create_namespaced_custom_object, **_KIND, body=run,
            none_at=HTTPStatus.CONFLICT,
        )  # fmt: skip
        return made is not None

    def runs(self) -> list[Run]:
        found = self._ask("list RayJobs", self._objects.list_namespaced_custom_object, **_KIND)
        runs = (
            Run(each["metadata"]["name"], *_standing(each), each["metadata"]["creationTimestamp"])
            for each in found["items"]
            if each["metadata"]["name"] != MOULD
        )
        return sorted(runs, key=lambda run: run.submitted)

    def _get(self, name: str) -> Manifest | None:
        found: Manifest | None = self._ask(
            "get RayJobs", self._objects.get_namespaced_custom_object, **_KIND, name=name,
            none_at=HTTPStatus.NOT_FOUND,
        )  # fmt: skip
        return found

    def _log(self, name: str) -> str:
        """What the submitter of a run has printed, which follows the log of the job."""
        try:
            pods = self._ask(
                "read logs", self._core.list_namespaced_pod, label_selector=f"job-name={name}"
            ).items
            if not pods:
                return ""
            newest = max(pods, key=lambda pod: pod.metadata.creation_timestamp)
            log: str = self._ask(
                "read logs", self._core.read_namespaced_pod_log, name=newest.metadata.name
            )
        except UserError:
            return ""  # not started yet, or not ours to read: the state is what counts
        return log

    def _ask(
        self, what: str, call: Callable[..., Any], *, none_at: HTTPStatus | None = None,
        **arguments: Any,
    ) -> Any:  # fmt: skip
        """What the API server answers to a call; None when its answer has that status."""
        try:
            return call(namespace=self._namespace, _request_timeout=_TIMEOUT, **arguments)
        except ApiException as error:
            if error.status == none_at:
                return None
            raise self._explained(error, what) from error
        except urllib3.exceptions.HTTPError as error:
            raise OutOfReach(type(error).__name__) from error

    def _explained(self, error: ApiException, what: str) -> Exception:
        if error.status in _REFUSED:
            return UserError(
                f"Kubernetes: this account may not {what} in namespace {self._namespace}"
            )
        if error.status is not None and 400 <= error.status < 500 and error.status != 429:
            return UserError(f"Kubernetes refuses to {what}: {error.status} {error.reason}")
        return OutOfReach(f"status {error.status}")
