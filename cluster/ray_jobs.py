"""Jobs of a Ray cluster, through its dashboard."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from cluster.errors import UserError
from cluster.submission import NAMED, Look, OutOfReach, Run, State

_STATES: dict[JobStatus, State] = {
    JobStatus.PENDING: "waiting",
    JobStatus.RUNNING: "running",
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.STOPPED: "failed",
    JobStatus.FAILED: "failed",
}
_REFUSED = (401, 403)
_TOKEN = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the cluster's"


class RayJobs:
    """The jobs of the cluster whose dashboard is at an address.

    Raises UserError when nothing there takes jobs from us. working_dir: a folder that jobs start
    in, which is uploaded; None: they start where the image says.
    """

    def __init__(self, address: str, working_dir: str | None) -> None:
        if not address.startswith(("http://", "https://")):
            raise UserError(f"--address {address!r}: expected http://HEAD:8265")
        self._environment: dict[str, Any] = {"working_dir": working_dir} if working_dir else {}
        try:
            self._client = JobSubmissionClient(address)
        except AuthenticationError as error:
            raise UserError(
                f"Ray at {address}: it refuses our token; {_TOKEN}"
            ) from error
        except (ConnectionError, RuntimeError, ValueError, requests.RequestException) as error:
            raise UserError(
                f"Ray at {address}: no dashboard answers; expected http://HEAD:8265"
            ) from error

    def look(self, name: str) -> Look | None:
        # The state before the log, so that the log of a job that is over is whole.
        found = self._ask(self._client.get_job_info, name)
        log = None if found is None else self._ask(self._client.get_job_logs, name)
        return None if log is None else Look(*_standing(found), log)

    def start(self, name: str, entrypoint: str) -> bool:
        try:
            self._client.submit_job(
                entrypoint=entrypoint, submission_id=name, runtime_env=self._environment
            )
        except (requests.RequestException, ConnectionError) as error:
            raise OutOfReach(type(error).__name__) from error
        except RuntimeError as error:
            if self.look(name) is not None:
                return False
            raise UserError(f"Ray refuses the job: {error}") from error
        return True

    def runs(self) -> list[Run]:
        found = self._ask(self._client.list_jobs)
        runs = (
            Run(each.submission_id, *_standing(each), _utc(each.start_time))
            for each in found
            if (each.submission_id or "").startswith(NAMED)
        )
        return sorted(runs, key=lambda run: run.submitted)

    def _ask(self, call: Callable[..., Any], *arguments: str) -> Any:
        """What the dashboard answers to a call; None when it knows no such job."""
        try:
            return call(*arguments)
        except (requests.RequestException, ConnectionError) as error:
            raise OutOfReach(type(error).__name__) from error
        except RuntimeError as error:
            if "status code 404" in str(error):
                return None
            if any(f"status code {code}" in str(error) for code in _REFUSED):
                raise UserError(f"Ray refuses our token: {_TOKEN}") from error
            raise OutOfReach(str(error).partition(":")[0]) from error


def _standing(found: JobDetails) -> tuple[State, str]:
    """The state of a job, and what is said of it where it failed."""
    state = _STATES[found.status]
    return state, (found.message or "").strip() if state == "failed" else ""


def _utc(milliseconds: int | None) -> str:
    return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC).isoformat(timespec="seconds")
