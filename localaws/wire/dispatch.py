"""From a request to the service that answers it."""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from werkzeug import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from localaws.wire.error_answers import error_answer
from localaws.wire.protocol import (
    ERROR_KEY,
    FAULT_KEY,
    OPERATION_KEY,
    PARAMS_KEY,
    AwsError,
    Caller,
)
from localaws.wire.query import query_params
from localaws.wire.request import Unreadable, raw_path
from localaws.wire.request_log import RequestLog
from localaws.wire.scope import Scope, credential_scope, operation_name, require_fresh

log = logging.getLogger("localaws.wire.dispatch")

MAX_S3_BYTES = 6 * 1024**3
MAX_BODY_BYTES = 100 * 1024**2
# Never moto's: a request for one of these that nobody here answers is an error.
OWN_SERVICES = frozenset(
    ["sagemaker", "sagemaker-runtime", "sagemaker-metrics", "lambda", "application-autoscaling"]
)
_RUNTIME_PATH = re.compile(r"/endpoints/[^/]+/(async-)?invocations(-response-stream)?/?")


class Responder(Protocol):
    """A service: `protocol.ModelService`, `s3.S3`, or anything that answers like them."""

    def respond(self, request: Request, caller: Caller) -> Response:
        """The HTTP answer; an error is an answer too."""


class Interceptor(Protocol):
    """Sees a moto service's requests first; `forward` is moto's answer."""

    def intercept(
        self, request: Request, caller: Caller, forward: Callable[[Request], Response]
    ) -> Response:
        """The HTTP answer."""


Gatekeeper = Callable[[Request, str, Callable[[], Response]], Response]
"""Gets a request, its service and what would answer it; answers, or raises ConnectionError."""


class Dispatcher:
    """The WSGI application. `pages` answer what is not AWS's, `gate` lets calls pass."""

    def __init__(
        self,
        *,
        services: Mapping[str, Responder],
        interceptors: Mapping[str, Interceptor],
        forward: Callable[[Request], Response],
        pages: Callable[[Request], Response | None],
        gate: Gatekeeper,
        request_log: RequestLog,
        account_id: str,
        region: str,
    ) -> None:
        self._services = services
        self._interceptors = interceptors
        self._forward = forward
        self._pages = pages
        self._gate = gate
        self._log = request_log
        self._account_id = account_id
        self._region = region

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        request = Request(environ)
        if "localaws.headers" in environ:
            request.headers = Headers(environ["localaws.headers"])
        response = self._refuse_browsers(request) or self._pages(request) or self._logged(request)
        return response(environ, start_response)

    def _refuse_browsers(self, request: Request) -> Response | None:
        """A web page on another host must not reach a server that runs programs."""
        host = request.headers.get("Host", "127.0.0.1")
        origin = request.headers.get("Origin")
        if _is_near(host) and (origin is None or _is_near(urlsplit(origin).netloc)):
            return None
        text = f"localaws answers only to loopback names, not to {origin or host}\n"
        return Response(text, status=403, content_type="text/plain")

    def _logged(self, request: Request) -> Response:
        started = time.perf_counter()
        scope = credential_scope(request)
        service = service_name(request, scope)
        status = 0
        try:
            response = self._gate(request, service, lambda: self._respond(request, scope, service))
            status = response.status_code
        finally:
            self._note(request, service, status, time.perf_counter() - started)
        return response

    def _note(self, request: Request, service: str, status: int, took_s: float) -> None:
        entry = {
            "t": round(time.time(), 3),
            "service": service,
            "operation": request.environ.get(OPERATION_KEY, ""),
            "status": status,
            "duration_ms": round(took_s * 1000, 3),
        }
        for name, key in (("error", ERROR_KEY), ("fault", FAULT_KEY)):
            if key in request.environ:
                entry[name] = request.environ[key]
        self._log.add(entry, _params(request, service))

    def _respond(self, request: Request, scope: Scope | None, service: str) -> Response:
        limit = MAX_S3_BYTES if service == "s3" else MAX_BODY_BYTES
        request.max_content_length = limit
        try:
            if (request.content_length or 0) > limit:
                raise RequestEntityTooLarge
            return self._service_answer(request, self._caller(request, scope), service)
        except AwsError as error:
            return error_answer(service, request, error)
        except RequestEntityTooLarge:
            text = f"the body is larger than {limit} bytes"
            too_large = AwsError("RequestEntityTooLargeException", text, status=413)
            return error_answer(service, request, too_large)
        except ClientDisconnected:
            cut_off = AwsError("RequestTimeout", "the body ended early")
            return error_answer(service, request, cut_off)
        except Exception as fault:
            log.exception("%s %s", service, request.path)
            text = f"localaws failed inside {service}: {type(fault).__name__}: {fault}"
            # 501, because clients repeat a call that was answered with 500.
            return error_answer(service, request, AwsError("InternalFailure", text, status=501))

    def _caller(self, request: Request, scope: Scope | None) -> Caller:
        if scope is None:
            text = "Missing Authentication Token: localaws needs signed requests, as AWS does"
            raise AwsError("MissingAuthenticationToken", text, status=403)
        require_fresh(request, time.time())
        region = scope.region or self._region
        return Caller(account_id=self._account_id, region=region, access_key_id=scope.access_key_id)

    def _service_answer(self, request: Request, caller: Caller, service: str) -> Response:
        responder = self._services.get(service)
        if responder is not None:
            return responder.respond(request, caller)
        if service in OWN_SERVICES:
            request.environ[OPERATION_KEY] = operation_name(request)
            text = f"localaws does not implement {service} here; see localaws/DIFFERENCES.md"
            raise AwsError("NotImplemented", text, status=501)
        interceptor = self._interceptors.get(service)
        if interceptor is not None:
            return interceptor.intercept(request, caller, self._forward)
        return self._forward(request)


def service_name(request: Request, scope: Scope | None) -> str:
    """botocore's service name; `s3` for what is unsigned, as S3 serves unsigned requests."""
    if scope is None:
        return "s3"
    if scope.service != "sagemaker":
        return scope.service
    if _RUNTIME_PATH.fullmatch(raw_path(request)):
        return "sagemaker-runtime"
    return "sagemaker-metrics" if request.path.startswith("/BatchPut") else "sagemaker"


def _is_near(netloc: str) -> bool:
    host = netloc.rpartition(":")[0] if re.search(r":\d+$", netloc) else netloc
    host = host.strip("[]").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        # A rebound DNS name is a name; a job's own network reaches us by a private address.
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private


def _params(request: Request, service: str) -> Mapping[str, Any] | None:
    params = request.environ.get(PARAMS_KEY)
    try:
        if params is None and "X-Amz-Target" in request.headers:
            params = json.loads(request.get_data(cache=True))
        elif params is None and request.mimetype == "application/x-www-form-urlencoded":
            params = query_params(request, service)
    except (ValueError, Unreadable, RequestEntityTooLarge, ClientDisconnected):
        return None
    return params if isinstance(params, Mapping) else None
