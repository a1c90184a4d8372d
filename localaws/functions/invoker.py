"""Runs one event in an environment and says what the caller gets."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from localaws.clock import Timer
from localaws.functions.environment import (
    INIT_TIMEOUT_S,
    Ending,
    Environment,
    error_payload,
)
from localaws.functions.limits import limit_of
from localaws.functions.metrics import Sample, UnderWay
from localaws.functions.names import ref_of_arn
from localaws.functions.pool import Lease, OnDemandPool, environment_key
from localaws.functions.provisioned import ProvisionedPool
from localaws.functions.records import FunctionDoc, FunctionRecords, Target
from localaws.functions.report import (
    Report,
    end_lines,
    init_report_line,
    start_line,
    timeout_line,
)
from localaws.functions.runtime_api import PAYLOAD_MAX_BYTES, Answer, Invocation
from localaws.wire.protocol import AwsError


@dataclass(frozen=True, kw_only=True)
class Event:
    """What a caller sends. `client_context` is JSON text."""

    request_id: str
    payload: bytes
    client_context: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a caller gets. `failed` is Lambda's FunctionError; the tail is at most 4 KB."""

    payload: bytes
    failed: bool
    log_tail: bytes


@dataclass(frozen=True, kw_only=True)
class _Verdict:
    payload: bytes
    failed: bool
    status: str = "success"
    error_type: str = ""


class Invoker:
    """Finds an environment within the limits, runs the event, writes the platform's log lines."""

    def __init__(
        self,
        *,
        records: FunctionRecords,
        on_demand: OnDemandPool,
        provisioned: ProvisionedPool,
        clock: Timer,
        note: Callable[[Sample], None],
    ) -> None:
        self._records = records
        self._on_demand = on_demand
        self._provisioned = provisioned
        self._clock = clock
        self._note = note
        self._under_way = UnderWay()

    def invoke(self, doc: FunctionDoc, target: Target, event: Event) -> Outcome:
        """Run the event. Raises TooManyRequestsException when the concurrency is used up."""
        lease = self._lease(doc, target)
        at_once = self._under_way.begin(target.function_arn)
        try:
            return self._run(lease, target, event, at_once)
        finally:
            self._under_way.end(target.function_arn)
            lease.give_back()

    def _lease(self, doc: FunctionDoc, target: Target) -> Lease:
        key = environment_key(target.config)
        warm = self._provisioned.take(key)
        if warm is not None:
            return warm
        ref = ref_of_arn(target.function_arn)
        limit = limit_of(ref.function_arn, doc, self._records.all(ref.account_id, ref.region))
        lease = self._on_demand.take(target.config, key, limit.name, limit.most)
        if lease is None:
            self._note(Sample(target=target, throttled=True))
            raise AwsError(
                "TooManyRequestsException",
                "Rate Exceeded.",
                fields={"Reason": limit.reason, "Type": "User"},
            )
        return lease

    def _run(self, lease: Lease, target: Target, event: Event, at_once: tuple[int, int]) -> Outcome:
        environment = lease.environment
        timeout_s = target.config["Timeout"]
        failure = None if environment.ready else self._await_start(environment)
        as_json = target.config["LoggingConfig"]["LogFormat"] == "JSON"
        now = self._clock.now()
        environment.log(start_line(event.request_id, target.version, as_json=as_json, now=now))
        if failure is None:
            ending = environment.run(_invocation(target, event), timeout_s)
        else:
            ending = Ending(answer=failure, duration_ms=environment.init_ms or 0, max_memory_mb=0)
        verdict = verdict_of(ending, event.request_id, timeout_s)
        if verdict.status == "timeout":
            environment.log(timeout_line(event.request_id, timeout_s, self._clock.now()))
        report = Report(
            request_id=event.request_id,
            duration_ms=ending.duration_ms,
            memory_size_mb=target.config["MemorySize"],
            max_memory_mb=ending.max_memory_mb,
            init_ms=environment.init_ms if lease.cold and failure is None else None,
            status=verdict.status,
            error_type=verdict.error_type,
        )
        for line in end_lines(report, as_json=as_json, now=self._clock.now()):
            environment.log(line)
        self._note(
            Sample(
                target=target,
                duration_ms=ending.duration_ms,
                failed=verdict.failed,
                at_once=at_once,
            )
        )
        tail = environment.take_tail()
        return Outcome(payload=verdict.payload, failed=verdict.failed, log_tail=tail)

    def _await_start(self, environment: Environment) -> Answer | None:
        """Wait for the initialisation; what is over its 10 s counts as the event's own time."""
        failure = environment.await_ready(INIT_TIMEOUT_S)
        if failure is not None:
            environment.retired = True
            kind = failure.error_type or "Runtime.ExitError"
            environment.log(init_report_line(environment.init_ms or 0, "error", kind))
        elif not environment.ready:
            environment.log(init_report_line(INIT_TIMEOUT_S * 1000, "timeout", ""))
        return failure


def verdict_of(ending: Ending, request_id: str, timeout_s: int) -> _Verdict:
    """What the end of a run means for the caller and for the REPORT line."""
    start = f"RequestId: {request_id} Error: "
    if ending.out_of_memory:
        kind, text = "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"
        return _platform_error(kind, start + text, "error")
    answer = ending.answer
    if answer is None:
        text = f"Task timed out after {timeout_s:.2f} seconds"
        payload = error_payload("Sandbox.Timedout", start + text)
        return _Verdict(payload=payload, failed=True, status="timeout")
    if answer.kind == "exited":
        text = "Runtime exited without providing a reason"
        if ending.exit_text:
            text = f"Runtime exited with error: {ending.exit_text}"
        return _platform_error("Runtime.ExitError", start + text, "error")
    if answer.kind == "too_large":
        text = (
            "Response payload size exceeded maximum allowed payload size "
            f"({PAYLOAD_MAX_BYTES} bytes)."
        )
        return _platform_error("Function.ResponseSizeTooLarge", text, "success")
    return _Verdict(payload=answer.body, failed=answer.kind != "response")


def _platform_error(error_type: str, message: str, status: str) -> _Verdict:
    payload = error_payload(error_type, message)
    shown = error_type if status == "error" else ""
    return _Verdict(payload=payload, failed=True, status=status, error_type=shown)


def _invocation(target: Target, event: Event) -> Invocation:
    # The runtime compares the deadline with the real time of day, however fast our clock runs.
    now = time.time()
    root = f"1-{int(now):08x}-{secrets.token_hex(12)}"
    return Invocation(
        request_id=event.request_id,
        payload=event.payload,
        deadline_ms=int((now + target.config["Timeout"]) * 1000),
        function_arn=target.invoked_arn,
        trace_id=f"Root={root};Parent={secrets.token_hex(8)};Sampled=0",
        client_context=event.client_context,
    )


def checked_payload(payload: bytes) -> bytes:
    """The event as JSON text; an empty one is `{}`. InvalidRequestContentException otherwise."""
    if not payload:
        return b"{}"
    try:
        json.loads(payload)
    except ValueError as error:
        raise AwsError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {error}",
            fields={"Type": "User"},
        ) from error
    return payload
