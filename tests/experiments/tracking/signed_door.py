"""SageMaker's managed MLflow as far as it can be had here: a door that takes only requests signed for it.

It holds each request against AWS Signature Version 4 as AWS documents it
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html), reckoned here
and not with botocore, which signed it; then it hands the request on to a real MLflow server.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

_FORM = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>(?P<day>\d{8})/(?P<region>[^/]+)"
    r"/(?P<service>[^/]+)/aws4_request), SignedHeaders=(?P<headers>[^,]+), Signature=(?P<sign>\w{64})"
)
ARN_HEADER = "x-mlflow-sm-tracking-server-arn"


@dataclass(kw_only=True)
class Door:
    """What it wants, and what it saw: requests handed on, and why others were refused."""

    arn: str
    key: str
    secret: str
    behind: str
    passed: int = 0
    refused: list[str] = field(default_factory=list)
    url: str = ""

    def fault(self, request: BaseHTTPRequestHandler, body: bytes) -> str:
        """Why this request is not signed for this server; empty when it is."""
        found = _FORM.fullmatch(request.headers.get("Authorization", ""))
        if found is None:
            return "no signature"
        if request.headers.get(ARN_HEADER) != self.arn:
            return "another server's ARN"
        region = self.arn.split(":")[3]
        if (found["key"], found["region"], found["service"]) != (
            self.key,
            region,
            "sagemaker-mlflow",
        ):
            return f"signed for {found['scope']}"
        signed = found["headers"].split(";")
        if not {"host", "x-amz-date", ARN_HEADER} <= set(signed):
            return f"only {signed} are signed"
        content = hashlib.sha256(body).hexdigest()
        if request.headers.get("X-Amz-Content-SHA256") != content:
            return "another body"
        wanted = self._signature(request, found, signed, content)
        return "" if hmac.compare_digest(wanted, found["sign"]) else "a wrong signature"

    def _signature(
        self,
        request: BaseHTTPRequestHandler,
        found: re.Match[str],
        signed: list[str],
        content: str,
    ) -> str:
        at = urlsplit(request.path)
        query = sorted(pair.partition("=")[::2] for pair in at.query.split("&") if pair)
        lines = [
            request.command,
            quote(at.path, safe="/~"),
            "&".join(
                f"{quote(unquote(k), safe='~')}={quote(unquote(v), safe='~')}" for k, v in query
            ),
            *(f"{name}:{' '.join(str(request.headers[name]).split())}" for name in signed),
            "",
            found["headers"],
            content,
        ]
        canonical = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        stamp = str(request.headers["X-Amz-Date"])
        text = "\n".join(("AWS4-HMAC-SHA256", stamp, found["scope"], canonical))
        key = f"AWS4{self.secret}".encode()
        for part in found["scope"].split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    door: Door

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.door.fault(self, body)
        if fault:
            self.door.refused.append(fault)
            self._answer(403, b'{"message": "refused"}', "application/json")
            return
        self.door.passed += 1
        sent = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
        onward = urllib.request.Request(
            self.door.behind + self.path, body or None, sent, method=self.command
        )
        try:
            with urllib.request.urlopen(onward, timeout=60) as answer:
                self._answer(answer.status, answer.read(), answer.headers["Content-Type"])
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read(), error.headers["Content-Type"])

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve

    def _answer(self, status: int, body: bytes, kind: str | None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind or "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Tests read `refused` instead."""


@contextmanager
def signed_door(*, arn: str, key: str, secret: str, behind: str) -> Iterator[Door]:
    """A door on a loopback port before the MLflow server `behind`."""
    door = Door(arn=arn, key=key, secret=secret, behind=behind)
    handler = type("Handler", (_Handler,), {"door": door})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    door.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
