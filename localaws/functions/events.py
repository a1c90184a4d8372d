"""Asynchronous invocations: kept in the store until they succeeded or were given up."""

from __future__ import annotations

import base64
import heapq
import logging
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from localaws.clock import Timer
from localaws.store import Store
from localaws.wire.protocol import AwsError

RETRY_AFTER_S = (60.0, 120.0)
THROTTLED_AFTER_S = 1.0
THROTTLED_MAX_S = 300.0
MAX_AGE_S = 6 * 3600.0
_WORKERS = 32
_FAR_S = 3600.0
_log = logging.getLogger(__name__)

# (qualified ARN, request id, payload, client context) -> whether the function failed
Run = Callable[[str, str, bytes, str | None], bool]


class EventQueue:
    """Runs events in the background: two more attempts after a failure, as Lambda does.

    A throttled event is tried again, ever more slowly, for six hours. Times are on `clock`.
    """

    def __init__(self, *, store: Store, clock: Timer, run: Run) -> None:
        self._table = store.table("lambda_events")
        self._clock = clock
        self._run = run
        self._due: list[tuple[float, str]] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="lambda-event")
        self._thread = threading.Thread(target=self._dispatch, name="lambda-events", daemon=True)

    def start(self) -> None:
        """Begin, with what a former run of the server left behind."""
        for key, doc in self._table.items():
            heapq.heappush(self._due, (doc["due"], key))
        self._thread.start()

    def put(self, arn: str, payload: bytes, client_context: str | None, request_id: str) -> None:
        """Keep an event durably and run it as soon as may be."""
        now = self._clock.now()
        doc = {
            "arn": arn,
            "request_id": request_id,
            "payload": base64.b64encode(payload).decode(),
            "client_context": client_context,
            "accepted": now,
            "due": now,
            "failures": 0,
            "throttles": 0,
        }
        self._schedule(uuid.uuid4().hex, doc)

    def close(self) -> None:
        """Start no more events; those that wait stay in the store."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _schedule(self, key: str, doc: dict[str, Any]) -> None:
        self._table.put(key, doc)
        with self._lock:
            heapq.heappush(self._due, (doc["due"], key))
        self._wake.set()

    def _dispatch(self) -> None:
        while not self._closed:
            self._wake.clear()
            with self._lock:
                now = self._clock.now()
                ready = []
                while self._due and self._due[0][0] <= now:
                    ready.append(heapq.heappop(self._due)[1])
                pause_s = self._due[0][0] - now if self._due else _FAR_S
            for key in ready:
                self._workers.submit(self._attempt, key)
            self._clock.sleep(pause_s, self._wake)

    def _attempt(self, key: str) -> None:
        doc = self._table.get(key)
        if doc is None or self._closed:
            return
        payload = base64.b64decode(doc["payload"])
        try:
            failed = self._run(doc["arn"], doc["request_id"], payload, doc["client_context"])
        except AwsError as error:
            if error.code != "TooManyRequestsException":
                _log.warning("an event for %s was dropped: %s", doc["arn"], error)
                self._table.delete(key)
                return
            self._again_after_throttle(key, doc)
        except Exception:
            _log.exception("an event for %s was dropped", doc["arn"])
            self._table.delete(key)
        else:
            self._after_run(key, doc, failed)

    def _after_run(self, key: str, doc: dict[str, Any], failed: bool) -> None:
        if self._closed and failed:
            return
        if not failed or doc["failures"] >= len(RETRY_AFTER_S):
            self._table.delete(key)
            return
        pause_s = RETRY_AFTER_S[doc["failures"]]
        due = self._clock.now() + pause_s
        self._schedule(key, {**doc, "failures": doc["failures"] + 1, "due": due})

    def _again_after_throttle(self, key: str, doc: dict[str, Any]) -> None:
        now = self._clock.now()
        if now - doc["accepted"] > MAX_AGE_S:
            self._table.delete(key)
            return
        pause_s = min(THROTTLED_AFTER_S * 2 ** doc["throttles"], THROTTLED_MAX_S)
        self._schedule(key, {**doc, "throttles": doc["throttles"] + 1, "due": now + pause_s})
