"""A request to a function URL becomes an event of payload format 2.0, and the result an answer."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from werkzeug import Request, Response

from localaws.clock import Timer
from localaws.functions.names import FunctionRef, ref_of_arn
from localaws.functions.records import FunctionRecords
from localaws.functions.urls import PREFIX, url_id
from localaws.wire.protocol import AwsError
from localaws.wire.scope import credential_scope

MAX_BYTES = 6 * 1024 * 1024
_TEXT = ("text/", "application/json", "application/xml", "application/javascript")
Run = Callable[[FunctionRef, bytes], tuple[bool, bytes]]
"""Runs an event: whether the function failed, and its answer. Raises AwsError."""


class UrlFront:
    """Answers below `function-url/<id>/`. Signatures are not verified, only asked for."""

    def __init__(self, records: FunctionRecords, clock: Timer, run: Run) -> None:
        self._records = records
        self._clock = clock
        self._run = run

    def respond(self, rest: str, request: Request) -> Response:
        """The answer to a request whose path is `rest` behind the prefix."""
        name, _, path = rest.removeprefix(PREFIX).partition("/")
        found = self._find(name)
        if found is None:
            return _message(404, None)
        ref, url = found
        cors = _cors(url.get("Cors", {}), request)
        if request.method == "OPTIONS" and cors:
            return Response(status=200, headers=cors)
        if url["AuthType"] == "AWS_IAM" and not _is_signed(request):
            return _message(403, "Forbidden")
        if (request.content_length or 0) > MAX_BYTES:
            return _message(413, "Request Too Long")
        event = event_of(request, f"/{path}", url_id(ref), self._clock.now())
        try:
            failed, result = self._run(ref, json.dumps(event).encode())
        except AwsError as error:
            known = error.code == "TooManyRequestsException"
            return _message(429 if known else 502, error.message if known else None)
        answer = _message(502, None) if failed else answer_of(result)
        answer.headers.extend(cors)
        return answer

    def _find(self, name: str) -> tuple[FunctionRef, Mapping[str, Any]] | None:
        for doc in self._records.everything():
            for url in doc.get("urls", {}).values():
                ref = ref_of_arn(url["FunctionArn"])
                if url_id(ref) == name:
                    return ref, url
        return None


def event_of(request: Request, path: str, name: str, now: float) -> dict[str, Any]:
    """The event, as Lambda's guide on function URL payloads has it."""
    data = request.get_data()
    as_text = request.headers.get("content-type", "").startswith(_TEXT)
    moment = datetime.fromtimestamp(now, UTC)
    query = request.query_string.decode("latin-1")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": name,
            "domainName": request.host,
            "domainPrefix": name,
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.remote_addr or "127.0.0.1",
                "userAgent": request.headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": bool(data) and not as_text,
    }
    if query:
        event["queryStringParameters"] = _parameters(query)
    if data:
        event["body"] = (
            data.decode("utf-8", errors="replace") if as_text else base64.b64encode(data).decode()
        )
    return event


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        key, value = unquote_plus(key), unquote_plus(value)
        found[key] = f"{found[key]},{value}" if key in found else value
    return found


def answer_of(result: bytes) -> Response:
    """The result as HTTP; a result without `statusCode` is the JSON body of a 200."""
    try:
        value = json.loads(result)
    except ValueError:
        return _message(502, None)
    if not isinstance(value, dict) or "statusCode" not in value:
        return Response(result, status=200, content_type="application/json")
    body = value.get("body", "")
    body = body if isinstance(body, str) else json.dumps(body)
    try:
        data = (
            base64.b64decode(body, validate=True) if value.get("isBase64Encoded") else body.encode()
        )
        answer = Response(data, status=int(value["statusCode"]), content_type="application/json")
    except (binascii.Error, ValueError, TypeError):
        return _message(502, None)
    for name, text in (value.get("headers") or {}).items():
        answer.headers[str(name)] = str(text)
    for cookie in value.get("cookies") or ():
        answer.headers.add("Set-Cookie", str(cookie))
    return answer


def _is_signed(request: Request) -> bool:
    scope = credential_scope(request)
    return scope is not None and scope.service == "lambda"


def _cors(settings: Mapping[str, Any], request: Request) -> dict[str, str]:
    """The headers for a browser's origin; empty where none is allowed."""
    origin, allowed = request.headers.get("origin", ""), settings.get("AllowOrigins", [])
    if not origin or not ("*" in allowed or origin in allowed):
        return {}
    found = {"Access-Control-Allow-Origin": "*" if "*" in allowed else origin, "Vary": "Origin"}
    for name in ("AllowMethods", "AllowHeaders", "ExposeHeaders"):
        if settings.get(name):
            words = "-".join(_words(name))
            found[f"Access-Control-{words}"] = ",".join(settings[name])
    if settings.get("AllowCredentials"):
        found["Access-Control-Allow-Credentials"] = "true"
    if "MaxAge" in settings:
        found["Access-Control-Max-Age"] = str(settings["MaxAge"])
    return found


def _words(name: str) -> list[str]:
    at = next(i for i, letter in enumerate(name) if i and letter.isupper())
    return [name[:at], name[at:]]


def _message(status: int, text: str | None) -> Response:
    """Lambda's own answer where the function gives none."""
    said = text or {404: "Not Found", 502: "Internal Server Error"}.get(status, "")
    return Response(json.dumps({"Message": said}), status=status, content_type="application/json")
