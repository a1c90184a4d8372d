"""InvokeEndpoint over one kept connection, without the cold start of boto3's client.

Signature Version 4 is as in the IAM User Guide; a test holds it against botocore's signer.
"""

import hashlib
import hmac
import http.client
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from question import AGAIN_FIX, LOG_FIX, Json, Passing, Question, Refusal, json_object

MAX_ANSWER_BYTES = 5 * 1024 * 1024  # leaves room for the envelope within Lambda's 6 MB
CONNECT_TIMEOUT_S = 2.0
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
# What the service's own errors become; the endpoint has not seen the photo.
_BUSY = {
    "ServiceUnavailable": 503,
    "ModelNotReadyException": 503,
    "ThrottlingException": 429,
    "InternalFailure": 502,
    "InternalDependencyException": 502,
}
# A kept connection that was closed while the function slept.
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


def read_timeout_s(environ: Mapping[str, str]) -> float:
    """How long to wait for the endpoint, in seconds."""
    return float(environ.get("ENDPOINT_READ_TIMEOUT_S", "20"))


class Endpoint:
    """The endpoint that the environment names."""

    def __init__(self, environ: Mapping[str, str], *, now: Callable[[], float] = time.time) -> None:
        self._environ, self._now = environ, now
        self._region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION", "us-east-1")
        self._url = urlsplit(
            environ.get("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME")
            or environ.get("AWS_ENDPOINT_URL")
            or f"https://runtime.sagemaker.{self._region}.amazonaws.com"
        )
        self._kept = self._connection()

    def ask(self, question: Question, *, request_id: str, deadline_ms: int) -> dict[str, Any]:
        """The endpoint's JSON object. Raises Refusal, or Passing where another try may help."""
        headers = self._headers(question, request_id, deadline_ms)
        path = f"/endpoints/{self._name()}/invocations"
        try:
            status, kind, body = self._send(path, question.body, headers)
        except TimeoutError as error:
            raise Refusal(504, "timeout", "the model did not answer in time", AGAIN_FIX) from error
        except (OSError, http.client.HTTPException) as error:
            self._kept.close()
            raise Passing(503, "unreachable", "no connection to the endpoint", AGAIN_FIX) from error
        if status != 200:
            raise refusal_of(status, kind, json_object(body) or {})
        answer = json_object(body) if len(body) <= MAX_ANSWER_BYTES else None
        if answer is None:
            raise Refusal(502, "bad_answer", "the endpoint answered no JSON object", LOG_FIX)
        return answer

    def _name(self) -> str:
        name = self._environ.get("ENDPOINT_NAME", "")
        if not _NAME.fullmatch(name):
            raise Refusal(500, "no_endpoint_name", "ENDPOINT_NAME names no endpoint", "set it")
        return name

    def _headers(self, question: Question, request_id: str, deadline_ms: int) -> dict[str, str]:
        """The deadline and the request's id travel in the one header that the platform passes on."""
        trace = f"request-id={request_id};timeout-ms={deadline_ms}"
        return {
            "accept": question.accept,
            "content-type": _printable(question.content_type),
            "x-amzn-sagemaker-custom-attributes": _printable(trace),
            "x-amzn-sagemaker-inference-id": _printable(request_id)[:64],
        }

    def _send(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        """Status, error type, body. A kept connection that went stale is opened again."""
        kept = self._kept.sock is not None
        signed = self._sign(path, body, headers)
        try:
            return self._exchange(path, body, signed)
        except _STALE:
            if not kept:
                raise
            self._kept.close()
            return self._exchange(path, body, signed)

    def _exchange(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        done = False
        try:
            if self._kept.sock is None:
                self._connect()
            self._kept.request("POST", path, body=body, headers=headers)
            with self._kept.getresponse() as response:
                data = response.read(MAX_ANSWER_BYTES + 1)
                done = response.isclosed()
                return response.status, response.headers.get("x-amzn-errortype", ""), data
        finally:
            if not done:  # the rest of an answer must not be read as the next one
                self._kept.close()

    def _connect(self) -> None:
        try:
            self._kept.connect()
        except TimeoutError as error:
            raise ConnectionError("no connection in time") from error
        self._kept.sock.settimeout(read_timeout_s(self._environ))

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT_S)
        import ssl

        trust = ssl.create_default_context(cafile=self._environ.get("AWS_CA_BUNDLE"))
        return http.client.HTTPSConnection(host, port, timeout=CONNECT_TIMEOUT_S, context=trust)

    def _sign(self, path: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now()))
        token = self._environ.get("AWS_SESSION_TOKEN")
        headers = {**headers, "host": self._url.netloc, "x-amz-date": stamp}
        headers |= {"x-amz-security-token": token} if token else {}
        scope = f"{stamp[:8]}/{self._region}/sagemaker/aws4_request"
        names = ";".join(sorted(headers))
        lines = [f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)]
        digest = hashlib.sha256(body).hexdigest()
        canonical = "\n".join(["POST", path, "", *lines, "", names, digest])
        asked = hashlib.sha256(canonical.encode()).hexdigest()
        key = b"AWS4" + self._environ.get("AWS_SECRET_ACCESS_KEY", "").encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{asked}"
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        who = f"Credential={self._environ.get('AWS_ACCESS_KEY_ID', '')}/{scope}"
        seal = f"AWS4-HMAC-SHA256 {who}, SignedHeaders={names}, Signature={signature}"
        return {**headers, "authorization": seal}


def _printable(text: str) -> str:
    """A header's value: visible ASCII, at most 1,024 characters, as the service asks."""
    return re.sub(r"[^\x20-\x7e]", "?", text)[:1024].strip()


def refusal_of(status: int, kind: str, body: Json) -> Refusal:
    """The refusal that an error of InvokeEndpoint stands for; `kind` is `x-amzn-errortype`."""
    code = (kind or str(body.get("__type", ""))).split(":")[0].split("#")[-1] or f"HTTP {status}"
    message = str(body.get("Message") or body.get("message") or "")
    if code == "ModelError":
        return _of_the_model(body, message)
    if code in _BUSY:
        return Passing(_BUSY[code], "busy", f"the endpoint says {code}", AGAIN_FIX)
    if code in ("ValidationError", "ValidationException"):
        if "not found" in message:
            fix = "promote a model, or set ENDPOINT_NAME"
            return Refusal(503, "no_endpoint", "the endpoint does not exist", fix)
        return Refusal(400, "bad_request", message, "send a photo as JPEG, PNG or WebP")
    return Refusal(502, "endpoint", f"the endpoint says {code}", LOG_FIX)


def _of_the_model(body: Json, message: str) -> Refusal:
    """The container's 4xx goes to the caller as it is; anything else of it is a bad gateway."""
    status = int(body.get("OriginalStatusCode") or 0)
    text = str(body.get("OriginalMessage") or "")
    if 400 <= status < 500:
        refusal = Refusal(status, "model", text[:500], "see the message")
        refusal.body = json_object(text) or refusal.body
        return refusal
    if status == 0 and "timed out" in text + message:
        return Refusal(504, "timeout", "the model did not answer in time", AGAIN_FIX)
    return Refusal(502, "model_failed", "the model failed on this photo", LOG_FIX)
