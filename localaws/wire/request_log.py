"""The last requests, for people and tests: `GET /_localaws/requests`."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

KEPT_REQUESTS = 10_000
_KEPT_CHARS = 8_192
_SECRET = re.compile(r"secret|password|token|credential", re.IGNORECASE)


class RequestLog:
    """A ring in memory. Bytes are kept as their length; secrets and what is too long are not kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ring: deque[tuple[dict[str, Any], str]] = deque(maxlen=KEPT_REQUESTS)

    def add(self, entry: dict[str, Any], params: Mapping[str, Any] | None) -> None:
        """`entry` holds t (epoch seconds), service, operation, status, duration_ms."""
        text = json.dumps(_shown(params), default=str) if params is not None else "null"
        if len(text) > _KEPT_CHARS:
            text = json.dumps({"not kept": f"{len(text)} characters"})
        with self._lock:
            self._ring.append((entry, text))

    def entries(self) -> list[dict[str, Any]]:
        """Oldest first, each with its `params` (null where they were not parsed)."""
        with self._lock:
            kept = list(self._ring)
        return [{**entry, "params": json.loads(text)} for entry, text in kept]


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, Mapping):
        hidden = value.get("Type") == "SecureString"
        return {
            key: "***" if _SECRET.search(key) or (hidden and key == "Value") else _shown(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    return value
