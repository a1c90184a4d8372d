"""What an event asks, and the refusal that a caller may get instead of an answer."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]
MAX_BODY_BYTES = 6 * 1024 * 1024  # what Lambda takes in one synchronous call
MAX_URL_CHARACTERS = 2048
_ACCEPT = "application/json"
AGAIN_FIX = "try again in a moment"
LOG_FIX = "see the logs of the function and of the endpoint"
_BODY_FIX = 'send {"body": "<base64>", "isBase64Encoded": true, "headers": {"content-type": ...}}'


class Refusal(Exception):
    """The status and the JSON body that the caller gets."""

    again = False

    def __init__(self, status: int, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body: Json = {"error": {"code": code, "message": message, "fix": fix}}


class Passing(Refusal):
    """A refusal that a second attempt may not meet; the model has not seen the photo yet."""

    again = True


@dataclass(frozen=True)
class Question:
    """One request for the endpoint."""

    body: bytes
    content_type: str
    accept: str = _ACCEPT


def read_question(event: Json) -> Question:
    """The question in an event. Raises Refusal 400, 405 or 413."""
    asked = method(event)
    if asked not in ("", "POST"):
        raise Refusal(405, "method_not_allowed", f"{asked} is not answered here", "use POST")
    accept = header(event, "accept")
    accept = accept if accept.startswith("application/json") else _ACCEPT
    body = event.get("body")
    if not body and event.get("url") is not None:
        return Question(_read_url(event), "application/json", accept)
    content_type = header(event, "content-type")
    if not body:
        data = b""
    elif event.get("isBase64Encoded"):
        data = _decode(body)
    else:
        text = body if isinstance(body, str) else json.dumps(body)
        data, content_type = text.encode(errors="replace"), content_type or "application/json"
    if not data:
        raise Refusal(400, "no_body", "the request has no body", _BODY_FIX)
    _refuse_larger(len(data))
    return Question(data, content_type or "application/octet-stream", accept)


def _read_url(event: Json) -> bytes:
    asked = {name: event[name] for name in ("url", "top_k", "output") if name in event}
    if not isinstance(asked["url"], str) or not 0 < len(asked["url"]) <= MAX_URL_CHARACTERS:
        raise Refusal(400, "bad_url", "url is not a text of usable length", "send one address")
    return json.dumps(asked).encode()


def _refuse_larger(size: int) -> None:
    if size > MAX_BODY_BYTES:
        fix = f"send at most {MAX_BODY_BYTES} bytes: make the photo smaller"
        raise Refusal(413, "too_large", f"the body has about {size} bytes", fix)


def _decode(body: Any) -> bytes:
    _refuse_larger((len(body) - 4) * 3 // 4 if isinstance(body, str) else 0)
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Refusal(400, "bad_base64", "the body is not base64", _BODY_FIX) from error


def header(event: Json, name: str) -> str:
    """A header's value by its name in lower case; empty when absent."""
    return next((str(v) for k, v in _part(event, "headers").items() if k.lower() == name), "")


def method(event: Json) -> str:
    """The HTTP method in upper case; empty for an event that is no HTTP request."""
    http = _part(_part(event, "requestContext"), "http")
    return str(http.get("method") or event.get("httpMethod") or "").upper()


def _part(event: Json, name: str) -> Json:
    """An object inside an event; empty when it is none."""
    part = event.get(name)
    return part if isinstance(part, Mapping) else {}


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """The JSON object in a text, a list wrapped as `predictions`; else None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    value = {"predictions": value} if isinstance(value, list) else value
    return value if isinstance(value, dict) else None
