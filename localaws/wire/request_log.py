"""The last requests, for people and tests: `GET /_localaws/requests`."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

KEPT_REQUESTS = 10_000
_KEPT_CHARS = 65_536
_ALL_CHARS = 32_000_000
_SECRET = re.compile(r"secret|password|token|credential", re.IGNORECASE)
# Not secret, and needed to tell a repeated call from a second one.
_SHOWN = re.compile(r"ClientToken|ClientRequestToken|NextToken|HttpTokens|ContinuationToken")


class RequestLog:
    """A ring in memory. Bytes are kept as their length; secrets and what is too long are not kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ring: deque[tuple[dict[str, Any], str]] = deque()
        self._chars = 0

    def add(self, entry: dict[str, Any], params: Mapping[str, Any] | None) -> None:
        """`entry` holds t (epoch seconds), service, operation, status, duration_ms."""
        text = json.dumps(_shown(params), default=str) if params is not None else "null"
        if len(text) > _KEPT_CHARS:
            text = json.dumps({"not kept": f"{len(text)} characters"})
        with self._lock:
            self._ring.append((entry, text))
            self._chars += len(text)
            while len(self._ring) > KEPT_REQUESTS or self._chars > _ALL_CHARS:
                self._chars -= len(self._ring.popleft()[1])

    def entries(self, since: float = 0.0) -> list[dict[str, Any]]:
        """Those since that epoch second, oldest first, each with its `params` (null: not parsed)."""
        with self._lock:
            kept = [(entry, text) for entry, text in self._ring if entry["t"] >= since]
        return [{**entry, "params": json.loads(text)} for entry, text in kept]


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, Mapping):
        hidden = value.get("Type") == "SecureString"
        return {
            key: "***" if _is_secret(key) or (hidden and key == "Value") else _shown(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    return value


def _is_secret(key: str) -> bool:
    return bool(_SECRET.search(key)) and not _SHOWN.fullmatch(key)
