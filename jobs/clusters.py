"""Which cluster a command means."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from cluster.errors import UserError
from cluster.submission import Cluster, OutOfReach

Address = Annotated[
    str | None, typer.Option(help="Dashboard of a Ray cluster, such as http://HEAD:8265.")
]
Kubernetes = Annotated[
    bool, typer.Option("--kubernetes", help="The cluster of KUBECONFIG, or of this pod.")
]
Namespace = Annotated[str, typer.Option(help="Kubernetes namespace.")]


def find_cluster(address: str | None, namespace: str, working_dir: str | None = None) -> Cluster:
    """The Ray cluster at an address, or with None the namespace of Kubernetes.

    working_dir: a folder that jobs on a Ray cluster start in. Raises UserError when it is not to be
    found.
    """
    # Only now: either takes a second to import.
    if address is not None:
        from cluster.ray_jobs import RayJobs  # noqa: PLC0415

        return RayJobs(address, working_dir)
    from cluster.kube_jobs import KubeJobs  # noqa: PLC0415

    return KubeJobs(namespace)


@contextmanager
def within_reach() -> Iterator[None]:
    """A cluster that does not answer is the user's to look after."""
    try:
        yield
    except OutOfReach as error:
        raise UserError(f"the cluster does not answer: {error}; try again") from error
