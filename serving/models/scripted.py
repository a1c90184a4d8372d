"""A script as a model: its calls go to a worker thread, in turn."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from serving.calls import Call, Gate, Reply
from serving.models.classifier import ended, too_late
from serving.models.script import Script


class ScriptedModel:
    """Runs `script` in `workers` threads; what a client no longer waits for is not begun."""

    def __init__(
        self,
        script: Script,
        *,
        version: str,
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.version = version
        self._script = script
        self._clock = clock
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="script")

    async def answer(self, call: Call, gate: Gate) -> Reply:
        """Raises RequestError, HandlerError."""
        place = gate.enter(1, deadline_at=call.deadline_at)
        waiting = asyncio.wrap_future(self._pool.submit(self._respond, call))
        waiting.add_done_callback(partial(ended, place.leave))
        return await asyncio.shield(waiting)

    def _respond(self, call: Call) -> Reply:
        if self._clock() >= call.deadline_at:
            raise too_late()
        return self._script.respond(call)


def script_version(source: bytes) -> str:
    """The start of the script's digest: what tells two versions of it apart."""
    return f"script@{hashlib.sha256(source).hexdigest()[:12]}"
