"""Runs on Kubernetes: made from the mould, submitted once, followed through an outage."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kube_api import CREATED, KubeApi, kube_api

from cluster import submission
from cluster.errors import UserError
from cluster.kube_jobs import QUEUE, KubeJobs, run_of
from cluster.submission import OutOfReach, Run, follow, job_name, submit

MOULD = yaml.safe_load(
    (Path(__file__).resolve().parents[2] / "k8s/base/ray-job.yaml").read_text(encoding="utf-8")
)


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    with kube_api() as found:
        found.ray_jobs["tinysql"] = MOULD
        monkeypatch.setenv("KUBECONFIG", str(found.kubeconfig(tmp_path / "config")))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        monkeypatch.setattr(submission, "_POLL_SECONDS", 0.05)
        yield found


def test_a_run_is_the_mould_with_a_name_and_a_command() -> None:
    run = run_of(MOULD, "tinysql-quickstart-01234567", "python -m jobs.pipeline")
    assert run["metadata"]["name"] == "tinysql-quickstart-01234567"
    assert run["spec"]["entrypoint"] == "python -m jobs.pipeline"
    assert (run["spec"]["suspend"], MOULD["spec"]["suspend"]) == (False, True)
    changed = {"entrypoint", "suspend"}
    assert {key: run["spec"][key] for key in run["spec"].keys() - changed} == {
        key: MOULD["spec"][key] for key in MOULD["spec"].keys() - changed
    }


def test_the_same_is_submitted_once_and_again_when_it_is_over(api: KubeApi) -> None:
    jobs = KubeJobs("tinysql")
    assert submit(jobs, "run", "true") == ("run", True)
    assert submit(jobs, "run", "true") == ("run", False)
    api.set_status("run", "Failed", "FAILED")
    assert submit(jobs, "run", "true") == ("run-2", True)
    assert submit(jobs, "run", "true") == ("run-2", False)
    assert set(api.ray_jobs) == {"tinysql", "run", "run-2"}


def test_a_run_is_followed_to_its_end_through_an_outage(api: KubeApi) -> None:
    jobs = KubeJobs("tinysql")
    submit(jobs, "run", "true")

    def live() -> None:
        api.set_status("run", "Running", "RUNNING")
        api.logs["run"] = "one\n"
        time.sleep(0.3)
        api.broken = 6
        api.logs["run"] += "two\n"
        time.sleep(0.5)
        api.logs["run"] += "three\n"
        api.set_status("run", "Complete", "SUCCEEDED")

    written: list[str] = []
    said: list[str] = []
    threading.Thread(target=live).start()
    assert follow(jobs, "run", written.append, said.append)
    assert "".join(written) == "one\ntwo\nthree\n"
    assert any("connection lost" in line for line in said)
    assert said[-1] == "run: succeeded"


def test_a_log_that_is_out_of_reach_for_a_while_is_not_repeated(api: KubeApi) -> None:
    jobs = KubeJobs("tinysql")
    submit(jobs, "run", "true")
    api.set_status("run", "Running", "RUNNING")
    api.logs["run"] = "one\n"
    written: list[str] = []

    def write(text: str) -> None:
        written.append(text)
        if text == "one\n":
            api.broken_logs = 3
            api.logs["run"] += "two\n"
            api.set_status("run", "Complete", "SUCCEEDED")

    assert follow(jobs, "run", write, lambda _: None)
    assert "".join(written) == "one\ntwo\n"
    assert api.broken_logs == 0


@pytest.mark.parametrize(
    ("deployment", "job"),
    [
        ("Failed", "FAILED"),
        ("Complete", "STOPPED"),
        ("Complete", "FAILED"),
        ("ValidationFailed", ""),
    ],
)
def test_a_run_fails_with_the_reason(api: KubeApi, deployment: str, job: str) -> None:
    jobs = KubeJobs("tinysql")
    submit(jobs, "run", "true")
    api.set_status("run", deployment, job, reason="AppFailed", message="exit code 2")
    said: list[str] = []
    assert not follow(jobs, "run", lambda _: None, said.append)
    assert said == ["run: failed, AppFailed exit code 2"]


def test_the_runs_of_a_namespace_are_all_but_the_mould(api: KubeApi) -> None:
    jobs = KubeJobs("tinysql")
    assert jobs.runs() == []
    for name in ("one", "two"):
        jobs.start(name, "true")
    api.set_status("one", "Failed", "FAILED", reason="AppFailed", message="exit code 2")
    assert jobs.runs() == [
        Run("one", "failed", "AppFailed exit code 2", CREATED), Run("two", "waiting", "", CREATED)
    ]  # fmt: skip
    api.broken = 1
    with pytest.raises(OutOfReach):
        jobs.runs()


def test_runs_wait_in_the_queue_that_the_mould_names() -> None:
    annotations = {
        QUEUE: "nights", "kueue.x-k8s.io/elastic-job": "true", "kubectl.kubernetes.io/some": "thing"
    }  # fmt: skip
    mould = {"apiVersion": "ray.io/v1", "kind": "RayJob", "spec": {},
             "metadata": {"annotations": annotations}}  # fmt: skip
    assert run_of(mould, "run", "true")["metadata"] == {
        "name": "run",
        "labels": {"tinysql/run": "run", "kueue.x-k8s.io/queue-name": "nights"},
        "annotations": {"kueue.x-k8s.io/elastic-job": "true"},
    }


def test_a_cluster_that_stays_away(api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "PATIENCE_SECONDS", 0.2)
    jobs = KubeJobs("tinysql")
    submit(jobs, "run", "true")
    api.broken = 10**6
    with pytest.raises(UserError, match="submit the same again to follow it"):
        follow(jobs, "run", lambda _: None, lambda _: None)
    with pytest.raises(OutOfReach):
        jobs.start("other", "true")


def test_mistakes_are_one_line(api: KubeApi) -> None:
    jobs = KubeJobs("tinysql")
    del api.ray_jobs["tinysql"]
    with pytest.raises(UserError, match="kubectl apply -k"):
        jobs.start("run", "true")
    with pytest.raises(UserError, match="knows no such job"):
        follow(jobs, "run", lambda _: None, lambda _: None)
    api.ray_jobs["tinysql"] = MOULD
    api.readonly = True
    with pytest.raises(UserError, match="may not create RayJobs in namespace tinysql"):
        jobs.start("run", "true")


@pytest.mark.parametrize("written", [None, "{[:", "just text"])
def test_without_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str | None
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    if written is not None:
        (tmp_path / "config").write_text(written)
    with pytest.raises(UserError, match="neither a service account nor a kubeconfig"):
        KubeJobs("tinysql")


def test_names_say_what_is_made_and_fit() -> None:
    name = job_name("My recipe of everything.v2", {"a": 1})
    assert name.startswith("tinysql-my-recipe-of-") and len(name) <= 30
    assert name == job_name("My recipe of everything.v2", {"a": 1})
    assert name != job_name("My recipe of everything.v2", {"a": 2})
