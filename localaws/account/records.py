"""moto in this process: the records of IAM, STS, EC2, Logs, SSM, CloudFormation, S3."""

from __future__ import annotations

import functools
import io
import logging
import re
import secrets
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from moto.backend_index import backend_url_patterns
from moto.backends import get_backend
from moto.moto_api._internal import mock_random
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import (
    SIGNING_ALIASES,
    DomainDispatcherApplication,
    create_backend_app,
)
from werkzeug import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from localaws.account.journal import Entry, Journal, entry_of, is_journaled
from localaws.settings import REGION
from localaws.store import Store
from localaws.wire.error_answers import error_answer
from localaws.wire.protocol import OPERATION_KEY, AwsError
from localaws.wire.scope import credential_scope, operation_name

log = logging.getLogger("localaws.account.records")

# moto answers these paths itself, whoever signed the request.
_MOTO_PATHS = re.compile(r"/(moto-api|favicon\.ico$|latest/(meta-data|api)/)")


class Records:
    """One per process: moto's state is global, and is emptied when a `Records` is made.

    Calls into moto run one at a time. What `journal.is_journaled` names is durable when it is
    answered, and is there again after a restart.
    """

    def __init__(self, *, store: Store, account_id: str, region: str) -> None:
        self._account_id = account_id
        self._region = region
        self._journal = Journal(store)
        self._lock = threading.RLock()
        self._app = DomainDispatcherApplication(create_backend_app)
        moto_api_backend.reset()
        # Existing before anything is replayed, so that their own ids never use up a seed.
        for name in ("iam", "s3", "ssm", "cloudwatch"):
            self._backend(name)
        self._replay()

    def respond(self, request: Request) -> Response:
        """moto's answer; what moto lacks is a clean error that clients do not repeat."""
        scope = credential_scope(request)
        if scope is None:
            text = "Missing Authentication Token"
            refusal = AwsError("MissingAuthenticationToken", text, status=403)
            return error_answer("s3", request, refusal)
        service = scope.service
        operation = request.environ.get(OPERATION_KEY) or operation_name(request)
        request.environ[OPERATION_KEY] = operation
        if _MOTO_PATHS.match(request.path):
            text = "this name is taken by localaws itself; choose another"
            return error_answer(service, request, AwsError("InvalidBucketName", text))
        with self._lock:
            if not is_journaled(service, operation, request.method):
                return self._call(service, request, operation)
            seed = secrets.randbits(64)
            mock_random.seed(seed)
            response = self._call(service, request, operation)
            if response.status_code < 300:
                entry = entry_of(
                    request,
                    service=service,
                    region=scope.region or self._region,
                    operation=operation,
                    seed=seed,
                    now=time.time(),
                )
                self._journal.add(entry)
            return response

    def bucket_exists(self, bucket: str) -> bool:
        """Whether moto has a bucket of this name."""
        return bucket in self._backend("s3").buckets

    def put_logs(self, group: str, stream: str, lines: Sequence[tuple[int, str]]) -> None:
        """Append `(epoch milliseconds, text)` lines; group and stream are made when missing."""
        events = [{"timestamp": at_ms, "message": text} for at_ms, text in lines]
        with self._lock:
            logs = self._backend("logs")
            logs.ensure_log_group(group)
            logs.ensure_log_stream(group, stream)
            # The backend's own method refuses the times of a clock that runs ahead.
            logs.groups[group].put_log_events(stream, events)

    def close(self) -> None:
        """Empty moto's state, for the next `Records` in this process."""
        with self._lock:
            moto_api_backend.reset()

    def _backend(self, name: str) -> Any:
        region = "aws" if name in ("iam", "s3") else self._region
        return get_backend(name)[self._account_id][region]  # type: ignore[call-overload]

    def _call(self, service: str, request: Request, operation: str) -> Response:
        if not _moto_knows(service):
            return self._lacking(service, request, operation)
        environ = _for_moto(request)
        try:
            response = Response.from_app(self._app, environ, buffered=True)
        except NotImplementedError:
            return self._lacking(service, request, operation)
        except Exception as fault:
            log.exception("moto failed in %s %s", service, operation)
            text = f"moto failed in {service} {operation}: {type(fault).__name__}: {fault}"
            return error_answer(service, request, AwsError("InternalFailure", text, status=501))
        if response.status_code >= 400 and response.get_data()[:9].lower() == b"<!doctype":
            return self._lacking(service, request, operation)
        for header in ("Access-Control-Allow-Origin", "Connection", "Server"):
            response.headers.pop(header, None)
        return response

    def _lacking(self, service: str, request: Request, operation: str) -> Response:
        text = (
            f"localaws does not implement {service} {operation}; "
            "localaws/DIFFERENCES.md lists what it does"
        )
        return error_answer(service, request, AwsError("NotImplemented", text, status=501))

    def _replay(self) -> None:
        for entry in self._journal:
            mock_random.seed(entry.seed)
            response = self._call(entry.service, _request_of(entry), entry.operation)
            if response.status_code >= 300:
                log.warning("%s %s is not replayed", entry.service, entry.operation)
            else:
                self._restore_date(entry)
        mock_random.seed(secrets.randbits(64))

    def _restore_date(self, entry: Entry) -> None:
        name = entry.subjects[0].partition("=")[2] if entry.subjects else ""
        moment = datetime.fromtimestamp(entry.time, UTC)
        if entry.operation == "CreateRole":
            self._backend("iam").get_role(name).create_date = moment.replace(tzinfo=None)
        elif entry.operation == "CreateBucket":
            self._backend("s3").buckets[name].creation_date = moment


@functools.cache
def _moto_knows(service: str) -> bool:
    host = f"https://{SIGNING_ALIASES.get(service, service)}.{REGION}.amazonaws.com"
    return any(pattern.match(host) for _, pattern in backend_url_patterns)


def _for_moto(request: Request) -> dict[str, Any]:
    body = request.get_data(cache=True)
    environ = dict(request.environ)
    for name in ("HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "wsgi.input_terminated"):
        environ.pop(name, None)
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return environ


def _request_of(entry: Entry) -> Request:
    scope = f"AKIALOCALAWS/20000101/{entry.region}/{entry.service}/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host"}
    if entry.target:
        headers["X-Amz-Target"] = entry.target
    path, _, query = entry.uri.partition("?")
    builder = EnvironBuilder(
        path=path,
        query_string=query,
        method=entry.method,
        headers=Headers(headers),
        data=entry.body,
        content_type=entry.content_type or None,
        base_url="http://127.0.0.1/",
    )
    environ = builder.get_environ()
    environ |= {"REQUEST_URI": entry.uri, "RAW_URI": entry.uri}
    return Request(environ)
