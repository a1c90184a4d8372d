"""Where every call passes, and may meet a fault."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug import Request, Response

from localaws.faults.book import Fault, FaultBook
from localaws.faults.naming import operation_of
from localaws.wire.error_answers import error_answer
from localaws.wire.protocol import FAULT_KEY, OPERATION_KEY, AwsError
from localaws.wire.request import raw_path

ANSWERS_KEPT = 512
_LARGEST_ANSWER = 16_384
_LARGEST_QUESTION = 65_536
_READS = ("Describe", "Get", "List", "Search", "BatchGet")
_TOO_MANY = {
    "s3": ("SlowDown", 503),
    "lambda": ("TooManyRequestsException", 429),
    "ec2": ("RequestLimitExceeded", 503),
    "iam": ("Throttling", 400),
    "sts": ("Throttling", 400),
    "cloudformation": ("Throttling", 400),
    "monitoring": ("Throttling", 400),
}
_FAILED = {"s3": "InternalError", "ec2": "InternalError", "lambda": "ServiceException"}


class HungUp(ConnectionError):
    """The connection is to be closed without an answer."""


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Gate:
    """Lets calls pass to `respond`; remembers what reads were told, for faults of kind stale."""

    def __init__(self, book: FaultBook) -> None:
        self._book = book
        self._lock = threading.Lock()
        self._told: OrderedDict[tuple[str, ...], _Answer] = OrderedDict()

    def through(self, request: Request, service: str, respond: Callable[[], Response]) -> Response:
        """The answer, or that of the fault. Raises `HungUp` for one that never answers."""
        if not self._book:
            return self._asked(request, service, respond)
        operation = operation_of(service, request)
        fault = self._book.meet(service, operation)
        if fault is None:
            return self._asked(request, service, respond)
        request.environ.setdefault(OPERATION_KEY, operation)
        request.environ[FAULT_KEY] = fault.kind
        return self._struck(fault, request, service, respond)

    def _struck(
        self, fault: Fault, request: Request, service: str, respond: Callable[[], Response]
    ) -> Response:
        if fault.kind == "throttle":
            code, status = _TOO_MANY.get(service, ("ThrottlingException", 400))
            return error_answer(service, request, AwsError(code, "Rate exceeded", status=status))
        if fault.kind == "error":
            code = _FAILED.get(service, "InternalFailure")
            text = "An internal error occurred (a fault that was asked for)."
            return error_answer(service, request, AwsError(code, text, status=fault.status))
        if fault.kind == "drop":
            time.sleep(fault.delay_s)
            raise HungUp
        if fault.kind == "stale":
            told = self._told.get(_question(request, service))
            if told is not None:
                return Response(told.body, status=told.status, headers=list(told.headers))
        response = self._asked(request, service, respond)
        time.sleep(fault.delay_s)
        if fault.kind == "timeout":
            response.close()
            raise HungUp
        return response

    def _asked(self, request: Request, service: str, respond: Callable[[], Response]) -> Response:
        response = respond()
        # S3 tells every reader of the last write; what it answers is never stale.
        is_read = request.environ.get(OPERATION_KEY, "").startswith(_READS) and service != "s3"
        if is_read and (request.content_length or 0) <= _LARGEST_QUESTION:
            self._remember(request, service, response)
        return response

    def _remember(self, request: Request, service: str, response: Response) -> None:
        if response.direct_passthrough or not response.is_sequence:
            return
        body = response.get_data()
        if len(body) > _LARGEST_ANSWER:
            return
        answer = _Answer(
            status=response.status_code, headers=tuple(response.headers.items()), body=body
        )
        with self._lock:
            key = _question(request, service)
            self._told[key] = answer
            self._told.move_to_end(key)
            if len(self._told) > ANSWERS_KEPT:
                self._told.popitem(last=False)


def _question(request: Request, service: str) -> tuple[str, ...]:
    target = request.headers.get("X-Amz-Target", "")
    query = request.query_string.decode("latin-1")
    body = request.get_data(cache=True).decode("latin-1")
    return service, request.method, raw_path(request), query, target, body
