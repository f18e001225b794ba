"""An outcome sent to a webhook, as JSON: Slack and Mattermost show its `text`."""

from collections.abc import Mapping

import httpx2

_SECONDS = 10.0


def send_alert(address: str, outcome: Mapping[str, object]) -> str | None:
    """Posts {"text": ..., **outcome}; None when it was taken, else why not, without the address.

    The address is as good as a password, and is in no message.
    """
    reasons = outcome.get("reasons") or ()
    assert isinstance(reasons, list | tuple)
    text = "\n".join([f"tinysql {outcome['date']}: {outcome['verdict']}", *map(str, reasons)])
    try:
        answer = httpx2.post(address, json={"text": text, **outcome}, timeout=_SECONDS)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return type(error).__name__
    return None if answer.is_success else f"status {answer.status_code}"
