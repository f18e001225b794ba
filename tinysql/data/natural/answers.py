"""Answers of an endpoint kept in a directory, so that no request is paid for twice.

An answer's file is named by the hash of (model, messages, parameters): what is asked, not where.
"""

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinysql.endpoint import Endpoint, Messages, Reply


@dataclass(frozen=True)
class Cache:
    """An endpoint that answers from `folder` what any process here has asked it before."""

    endpoint: Endpoint
    folder: Path

    def chat(self, messages: Messages, **params: Any) -> Reply:
        """The kept reply to this request, else the endpoint's; raises what Endpoint.chat does."""
        request = json.dumps([self.endpoint.model, list(messages), params], sort_keys=True)
        key = hashlib.sha256(request.encode()).hexdigest()
        file = self.folder / key[:2] / f"{key}.json"
        known = _read(file)
        if known is not None:
            return known
        reply = self.endpoint.chat(messages, **params)
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=file.parent, delete=False, encoding="utf-8"
        ) as partial:
            json.dump(asdict(reply), partial)
        Path(partial.name).replace(file)
        return reply


def _read(file: Path) -> Reply | None:
    """The reply in the file; None where there is none or the disk has garbled it."""
    try:
        return Reply(**json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
