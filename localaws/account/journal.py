"""The durable list of requests that changed moto's records, replayed when localaws starts."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qs

from werkzeug import Request

from localaws.store import Store
from localaws.wire.request import raw_path

_READS = ("Get", "List", "Describe", "Head", "Simulate", "Generate", "Filter", "Test", "Validate")
# CloudWatch's data points and SSM's commands are no configuration.
_NOT_KEPT = ("PutMetricData", "SendCommand", "CancelCommand", "StartSession")
JOURNALED = frozenset(["iam", "s3", "ssm", "monitoring", "cloudformation"])
# What ends the life of the thing that these members name, with every earlier request about it.
_ENDINGS = {
    "DeleteRole": "RoleName",
    "DeleteUser": "UserName",
    "DeleteGroup": "GroupName",
    "DeleteInstanceProfile": "InstanceProfileName",
    "DeleteParameter": "Name",
    "DeleteStack": "StackName",
    "DeleteBucket": "Bucket",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One request. `seed` starts moto's random numbers, so that ids come out the same.

    `subjects` name what it is about (`RoleName=trainer`); `time` is epoch seconds.
    """

    service: str
    region: str
    operation: str
    method: str
    uri: str
    content_type: str
    target: str
    body: bytes
    seed: int
    time: float
    subjects: tuple[str, ...]


def is_journaled(service: str, operation: str, method: str) -> bool:
    """Whether this request changes something that is to outlive the process."""
    if service not in JOURNALED or operation in _NOT_KEPT:
        return False
    if service == "s3":
        return method in ("PUT", "POST", "DELETE")
    return not operation.startswith(_READS)


def entry_of(
    request: Request, *, service: str, region: str, operation: str, seed: int, now: float
) -> Entry:
    """What is kept of a request; its credentials are not."""
    query = request.query_string.decode("latin-1")
    return Entry(
        service=service,
        region=region,
        operation=operation,
        method=request.method,
        uri=raw_path(request) + (f"?{query}" if query else ""),
        content_type=request.content_type or "",
        target=request.headers.get("X-Amz-Target", ""),
        body=request.get_data(cache=True),
        seed=seed,
        time=now,
        subjects=tuple(f"{name}={value}" for name, value in _subjects(service, request)),
    )


def _subjects(service: str, request: Request) -> Iterator[tuple[str, str]]:
    body = request.get_data(cache=True)
    if service == "s3":
        yield "Bucket", raw_path(request).removeprefix("/").partition("/")[0]
    elif request.headers.get("X-Amz-Target"):
        name = json.loads(body or b"{}").get("Name")
        if isinstance(name, str):
            yield "Name", name
    else:
        form = parse_qs(body.decode("utf-8", "replace"))
        yield from ((name, form[name][0]) for name in _ENDINGS.values() if name in form)


class Journal:
    """Entries in the order in which they were answered; durable when `add` returns."""

    def __init__(self, store: Store) -> None:
        self._table = store.table("journal")
        self._lock = threading.Lock()
        self._entries = {int(key): _from_doc(doc) for key, doc in self._table.items()}
        self._next = max(self._entries, default=0) + 1

    def __iter__(self) -> Iterator[Entry]:
        with self._lock:
            return iter(list(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Keep `entry`, and forget what it makes pointless."""
        with self._lock:
            ended = _ended_subject(entry)
            if ended and self._forget(lambda old: ended in old.subjects):
                return
            if entry.service == "s3" and "?" in entry.uri:
                self._forget(lambda old: old.service == "s3" and old.uri == entry.uri)
            self._table.put(f"{self._next:012d}", _to_doc(entry))
            self._entries[self._next] = entry
            self._next += 1

    def _forget(self, pointless: Callable[[Entry], bool]) -> int:
        numbers = [number for number, entry in self._entries.items() if pointless(entry)]
        # Newest first: what is left after a crash half way is still a possible history.
        for number in reversed(numbers):
            self._table.delete(f"{number:012d}")
            del self._entries[number]
        return len(numbers)


def _ended_subject(entry: Entry) -> str | None:
    member = _ENDINGS.get(entry.operation)
    return next((s for s in entry.subjects if s.startswith(f"{member}=")), None) if member else None


def _to_doc(entry: Entry) -> dict[str, Any]:
    return asdict(entry) | {"body": base64.b64encode(entry.body).decode()}


def _from_doc(doc: dict[str, Any]) -> Entry:
    body = base64.b64decode(doc["body"])
    return Entry(**{**doc, "body": body, "subjects": tuple(doc["subjects"])})
