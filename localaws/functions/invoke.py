"""The Invoke operation."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from localaws.functions.events import EventQueue
from localaws.functions.invoker import Event, Invoker, checked_payload
from localaws.functions.names import LATEST, FunctionRef, parse_ref, ref_of_arn
from localaws.functions.publish import refuse_while_settling
from localaws.functions.records import FunctionDoc, FunctionRecords, Target, choose_target
from localaws.wire.protocol import AwsError, Caller

PAYLOAD_MAX_BYTES = 6_291_456
EVENT_MAX_BYTES = 1_048_576


class InvokeOperations:
    """Invoke: synchronous, asynchronous (`Event`) and `DryRun`.

    `roll` answers a number in [0, 1) that decides between the versions of a weighted alias.
    """

    def __init__(
        self,
        *,
        records: FunctionRecords,
        invoker: Invoker,
        events: EventQueue,
        roll: Callable[[], float],
    ) -> None:
        self._records = records
        self._invoker = invoker
        self._events = events
        self._roll = roll

    def invoke(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Run the function, or accept the event for later."""
        kind = params.get("InvocationType", "RequestResponse")
        ref = parse_ref(params["FunctionName"], params.get("Qualifier"), caller)
        doc, target = self._target(ref)
        payload = _sized(params.get("Payload", b""), kind)
        if kind == "DryRun":
            return {"StatusCode": 204, "ExecutedVersion": target.version}
        context = _client_context(params.get("ClientContext"))
        request_id = str(uuid.uuid4())
        if kind == "Event":
            self._events.put(ref.arn, checked_payload(payload), context, request_id)
            return {"StatusCode": 202}
        event = Event(
            request_id=request_id, payload=checked_payload(payload), client_context=context
        )
        outcome = self._invoker.invoke(doc, target, event)
        wants_tail = params.get("LogType") == "Tail"
        return {
            "StatusCode": 200,
            "FunctionError": "Unhandled" if outcome.failed else None,
            "LogResult": base64.b64encode(outcome.log_tail).decode() if wants_tail else None,
            "Payload": outcome.payload,
            "ExecutedVersion": target.version,
        }

    def run_event(
        self, arn: str, request_id: str, payload: bytes, client_context: str | None
    ) -> bool:
        """Run an accepted event; whether the function failed."""
        doc, target = self._target(ref_of_arn(arn))
        event = Event(request_id=request_id, payload=payload, client_context=client_context)
        return self._invoker.invoke(doc, target, event).failed

    def run_now(self, ref: FunctionRef, payload: bytes) -> tuple[bool, bytes]:
        """Run an event of a function URL: whether the function failed, and what it answered."""
        doc, target = self._target(ref)
        event = Event(
            request_id=str(uuid.uuid4()),
            payload=_sized(payload, "RequestResponse"),
            client_context=None,
        )
        outcome = self._invoker.invoke(doc, target, event)
        return outcome.failed, outcome.payload

    def _target(self, ref: FunctionRef) -> tuple[FunctionDoc, Target]:
        doc = self._records.get(ref)
        target = choose_target(doc, ref, self._roll())
        if target.version == LATEST and target.config["State"] == "Pending":
            refuse_while_settling(target.config)
        return doc, target


def _sized(payload: bytes, kind: str) -> bytes:
    most = EVENT_MAX_BYTES if kind == "Event" else PAYLOAD_MAX_BYTES
    if len(payload) > most:
        operation = "InvokeAsync" if kind == "Event" else "InvokeFunction"
        raise AwsError(
            "RequestTooLargeException",
            f"Request must be smaller than {most} bytes for the {operation} operation",
            fields={"Type": "User"},
        )
    return payload


def _client_context(encoded: str | None) -> str | None:
    if encoded is None:
        return None
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        message = "Client context must be base64-encoded JSON"
        raise AwsError("InvalidRequestContentException", message) from error
    return text.replace("\r", " ").replace("\n", " ")
