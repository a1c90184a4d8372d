"""The function in front of the endpoint: takes a photo, asks the model, answers in JSON.

Handler string: `handler.handler`. Settings come from the environment:

    ENDPOINT_NAME            the SageMaker endpoint to ask (required)
    ENDPOINT_READ_TIMEOUT_S  how long one question may take, default 20; below the function's own
    ALLOWED_ORIGINS          origins a browser may call from, comma-separated, or *; default none
    USD_PER_REQUEST, USD_PER_GB_SECOND, USD_PER_GB_SECOND_PROVISIONED
                             prices for the cost in the log; without them it is left out

Events: those of API Gateway and function URLs, `{"body", "isBase64Encoded", "headers"}`, or
`{"url", "top_k", "output"}`, which the endpoint gets as JSON. The answer is `{"statusCode", "headers",
"body"}`; its body is a JSON object with `request_id`, and `error: {code, message, fix}` where not 200.
"""

import json
import math
import os
import random
import time
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from endpoint import CONNECT_TIMEOUT_S, Endpoint, read_timeout_s
from question import LOG_FIX, Json, Question, Refusal, header, method, read_question

_SPARE_S = 1.0  # kept for writing the answer when a second attempt is considered
_CORS = {
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "content-type, accept",
    "Vary": "Origin",
}


class Front:
    """The handler. The client is made once, before the first event when Lambda starts it."""

    def __init__(
        self,
        *,
        make_client: Callable[[Mapping[str, str]], Endpoint] = Endpoint,
        environ: Mapping[str, str] = os.environ,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], object] = print,
    ) -> None:
        self._make_client, self._environ = make_client, environ
        self._sleep, self._clock, self._write = sleep, clock, write
        self._client: Endpoint | None = None
        self._cold = True

    def warm(self) -> Endpoint:
        """The client, made now if there is none."""
        if self._client is None:
            self._client = self._make_client(self._environ)
        return self._client

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Answer one event; never raises."""
        started = self._clock()
        event = event if isinstance(event, Mapping) else {}
        request_id = str(getattr(context, "aws_request_id", "") or "local")
        init = self._environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        line: dict[str, Any] = {"event": "invocation", "request_id": request_id}
        line |= {"cold_start": self._cold, "init_type": init}
        self._cold = False
        status, body = self._answer(event, request_id, context, line)
        total_ms = (self._clock() - started) * 1000
        line |= {"status": status, "total_ms": round(total_ms, 2)}
        usd = invocation_usd(self._environ, total_ms, warm=init == "provisioned-concurrency")
        self._write(_line(line | ({"cost_usd": usd} if usd else {})))
        headers = {"Content-Type": "application/json", "X-Request-Id": request_id}
        headers |= {"Retry-After": "1"} if status in (429, 503) else {}
        return {
            "statusCode": status,
            "headers": {**headers, **self._cors(event)},
            "body": _line({**body, "request_id": request_id}),
        }

    def _answer(
        self, event: Json, request_id: str, context: Any, line: dict[str, Any]
    ) -> tuple[int, Json]:
        """Status and body; `line` is told what the log should say."""
        if method(event) == "OPTIONS":
            return 200, {}
        try:
            question = read_question(event)
            line |= {"bytes_in": len(question.body), "content_type": question.content_type[:100]}
            body = self._ask(question, request_id, context, line)
        except Refusal as refusal:
            line["code"] = refusal.code
            line |= {"cause": repr(refusal.__cause__)[:300]} if refusal.__cause__ else {}
            return refusal.status, refusal.body
        return 200, {**body, "endpoint_ms": line["endpoint_ms"]}

    def _ask(
        self, question: Question, request_id: str, context: Any, line: dict[str, Any]
    ) -> dict[str, Any]:
        """The answer; asked for once more, after a jitter, where it may help and time allows."""
        attempt = 0
        while True:
            attempt += 1
            started = self._clock()
            try:
                deadline_ms = int(min(_left_s(context), read_timeout_s(self._environ)) * 1000)
                answer = self.warm().ask(question, request_id=request_id, deadline_ms=deadline_ms)
            except Refusal as refusal:
                if attempt > 1 or not refusal.again or not self._has_time_for_another(context):
                    raise
                self._sleep(random.uniform(0.05, 0.25))  # noqa: S311  (jitter, no secret)
            except Exception as error:
                raise Refusal(500, "internal", type(error).__name__, LOG_FIX) from error
            else:
                line["endpoint_ms"] = round((self._clock() - started) * 1000, 2)
                line["attempts"] = attempt
                return answer

    def _has_time_for_another(self, context: Any) -> bool:
        return _left_s(context) > CONNECT_TIMEOUT_S + read_timeout_s(self._environ) + _SPARE_S

    def _cors(self, event: Json) -> dict[str, str]:
        allowed = [part.strip() for part in self._environ.get("ALLOWED_ORIGINS", "").split(",")]
        origin = header(event, "origin")
        if not origin or not (origin in allowed or "*" in allowed):
            return {}
        answer = "*" if "*" in allowed else origin
        return {"Access-Control-Allow-Origin": answer, **_CORS}


def invocation_usd(environ: Mapping[str, str], duration_ms: float, *, warm: bool) -> str | None:
    """Request and GB-seconds, each started millisecond billed; None where no prices are set."""
    rate = "USD_PER_GB_SECOND_PROVISIONED" if warm else "USD_PER_GB_SECOND"
    try:
        request, second = Decimal(environ["USD_PER_REQUEST"]), Decimal(environ[rate])
        memory_mb = int(environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
    except (KeyError, ValueError, InvalidOperation):
        return None
    return f"{request + math.ceil(duration_ms) * second * memory_mb / 1_024_000:.12f}"


def _left_s(context: Any) -> float:
    """Seconds until Lambda ends this invocation; no end where there is no Lambda."""
    remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
    return float("inf") if remaining_ms is None else float(remaining_ms()) / 1000


def _line(content: Json) -> str:
    return json.dumps(content, separators=(",", ":"))


handler = Front()
if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    handler.warm()
