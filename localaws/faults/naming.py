"""The AWS name of the operation that a request asks for, before anybody answers it."""

from __future__ import annotations

import functools

from werkzeug import Request

from localaws.storage.s3_routes import address_of, operation_for
from localaws.wire.protocol import load_model
from localaws.wire.request import Route, compile_routes
from localaws.wire.scope import operation_name

_REST = ("lambda", "sagemaker-runtime")


def operation_of(service: str, request: Request) -> str:
    """botocore's operation name; method and path where it has none."""
    if service == "s3":
        address = address_of(request)
        if not address.bucket:
            return "ListBuckets"
        return operation_for(request, address) or f"{request.method} object"
    if service in _REST:
        for route in _routes(service):
            if route.match(request) is not None:
                return route.operation
    return operation_name(request)


@functools.cache
def _routes(service: str) -> list[Route]:
    return compile_routes(load_model(service))
