"""S3 over HTTP: objects are ours, buckets and their configuration are moto's."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore import xform_name
from botocore.model import OperationModel, Shape
from werkzeug import Request, Response

from localaws.clock import Timer
from localaws.storage.objects import Objects
from localaws.storage.s3_body import verify_small_body
from localaws.storage.s3_call import Answer, Call, not_implemented
from localaws.storage.s3_listing import ListOperations
from localaws.storage.s3_multipart import MultipartOperations
from localaws.storage.s3_objects import ObjectOperations
from localaws.storage.s3_routes import (
    CONFIGURATION,
    Address,
    address_of,
    forwarded_operations,
    operation_for,
)
from localaws.wire.answer import write_located
from localaws.wire.constraints import violations
from localaws.wire.error_answers import error_answer
from localaws.wire.protocol import OPERATION_KEY, PARAMS_KEY, AwsError, Caller, load_model
from localaws.wire.request import Unreadable, read_located
from localaws.wire.xml import read_xml, write_xml

log = logging.getLogger("localaws.storage.s3")

MAX_XML_BYTES = 8 << 20
_STREAMED = ("PutObject", "UploadPart")
_ROOTS = {
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "GetObjectTagging": "Tagging",
    "DeleteObjects": "DeleteResult",
    "GetObjectAttributes": "GetObjectAttributesResponse",
}


class S3:
    """`forward` answers what concerns buckets; it is given the request in path style."""

    def __init__(
        self, objects: Objects, clock: Timer, forward: Callable[[Request], Response]
    ) -> None:
        self._objects = objects
        self._forward = forward
        self._model = load_model("s3")
        self._forwarded = set(forwarded_operations().values()) - {"ListObjects"}
        self._operations = (
            ObjectOperations(objects),
            ListOperations(objects),
            MultipartOperations(objects, clock),
        )

    def respond(self, request: Request, caller: Caller) -> Response:
        """The HTTP answer; an error is an answer too. Never raises."""
        try:
            response = self._respond(request, caller)
        except AwsError as error:
            response = error_answer("s3", request, error)
        except Exception as fault:
            log.exception("%s %s", request.method, request.path)
            text = f"localaws failed inside S3: {type(fault).__name__}: {fault}"
            response = error_answer("s3", request, AwsError("InternalError", text, status=501))
        response.headers.setdefault("x-amz-request-id", str(uuid.uuid4()))
        return response

    def _respond(self, request: Request, caller: Caller) -> Response:
        address = address_of(request)
        if not address.bucket:
            request.environ[OPERATION_KEY] = "ListBuckets"
            return self._forward(request)
        name = operation_for(request, address)
        if name is None:
            raise not_implemented(f"S3 {request.method} {request.full_path}")
        request.environ[OPERATION_KEY] = name
        if name in self._model.operation_names:
            operation = self._model.operation_model(name)
            request.environ[PARAMS_KEY] = _noted(request, operation, address)
        if name == "DeleteBucket":
            return self._delete_bucket(_path_style(request, address), address.bucket)
        if name == CONFIGURATION or name in self._forwarded:
            return self._forward(_path_style(request, address))
        call = Call(params=_params(request, operation, address), request=request, caller=caller)
        return _write(operation, self._method(name)(call))

    def _method(self, operation: str) -> Callable[[Call], Answer]:
        name = xform_name(operation)
        for group in self._operations:
            method: Callable[[Call], Answer] | None = getattr(group, name, None)
            if method is not None:
                return method
        raise not_implemented(f"S3 {operation}")

    def _delete_bucket(self, request: Request, bucket: str) -> Response:
        # Nobody can put an object between the look and the removal.
        with self._objects.index.exclusive():
            self._objects.require_bucket(bucket)
            if not self._objects.is_empty(bucket):
                text = "The bucket you tried to delete is not empty"
                fields = {"BucketName": bucket}
                raise AwsError("BucketNotEmpty", text, status=409, fields=fields)
            response = self._forward(request)
        if response.status_code == 204:
            for upload in self._objects.uploads.list_all(bucket):
                self._objects.uploads.forget(upload)
        return response


def _path_style(request: Request, address: Address) -> Request:
    if request.path.removeprefix("/").partition("/")[0] == address.bucket:
        return request
    environ = request.environ | {"PATH_INFO": f"/{address.bucket}", "HTTP_HOST": "localhost"}
    query = environ.get("QUERY_STRING", "")
    environ["REQUEST_URI"] = f"/{address.bucket}" + (f"?{query}" if query else "")
    environ["RAW_URI"] = environ["REQUEST_URI"]
    return type(request)(environ)


def _noted(request: Request, operation: OperationModel, address: Address) -> Mapping[str, Any]:
    """The parameters for the request log: what can be read without taking a streamed body."""
    shape = operation.input_shape
    try:
        params, _ = read_located(request, shape, {"Bucket": address.bucket, "Key": address.key})
        payload = shape.serialization.get("payload")
        is_small = 0 < (request.content_length or 0) <= MAX_XML_BYTES
        if payload and is_small and operation.name not in _STREAMED:
            data, member = request.get_data(cache=True), shape.members[payload]
            is_text = member.type_name == "string"
            params[payload] = data.decode("utf-8", "replace") if is_text else read_xml(data, member)
    except Unreadable:
        return {"Bucket": address.bucket, "Key": address.key}
    return params


def _params(request: Request, operation: OperationModel, address: Address) -> Mapping[str, Any]:
    shape = operation.input_shape
    labels = {"Bucket": address.bucket, "Key": address.key}
    try:
        params, _ = read_located(request, shape, labels)
        payload = shape.serialization.get("payload")
        if payload and operation.name not in _STREAMED:
            data = _small_body(request)
            if data:
                params[payload] = read_xml(data, shape.members[payload])
    except Unreadable as error:
        raise AwsError("MalformedXML", str(error)) from error
    _check(params, shape, operation.name)
    return params


def _small_body(request: Request) -> bytes:
    if (request.content_length or 0) > MAX_XML_BYTES:
        raise AwsError("EntityTooLarge", f"the XML is larger than {MAX_XML_BYTES} bytes")
    request.max_content_length = MAX_XML_BYTES
    data = request.get_data()
    verify_small_body(request, data)
    return data


def _check(params: Mapping[str, Any], shape: Shape, operation: str) -> None:
    problems = violations(params, shape)
    if not problems:
        return
    if any(f"'{shape.serialization.get('payload', '?')}".lower() in p.lower() for p in problems):
        text = "The XML you provided was not well-formed or did not validate against our schema"
        raise AwsError("MalformedXML", text)
    raise AwsError("InvalidArgument", f"{operation}: {'; '.join(problems)}")


def _write(operation: OperationModel, answer: Answer) -> Response:
    shape = operation.output_shape
    status = answer.status or operation.http.get("responseCode", 200)
    response = Response(status=status)
    if shape is None:
        return response
    payload = shape.serialization.get("payload")
    body: dict[str, Any] = {}
    for name, value in answer.values.items():
        if value is None:
            continue
        location = shape.members[name].serialization.get("location")
        if location is None:
            body[name] = value
        else:
            write_located(response, location, name, shape.members[name], value)
    if operation.name in ("GetObject", "HeadObject"):
        return _with_stream(response, answer.body)
    members = shape.members
    root = _ROOTS.get(operation.name, f"{operation.name}Result")
    if payload is not None and payload in body:
        body, members = body[payload], members[payload].members
        root = payload
    if body or (status == 200 and operation.name in _ROOTS):
        response.set_data(write_xml(body, members, root))
        response.content_type = "application/xml"
    return response


def _with_stream(response: Response, body: bytes | Iterable[bytes] | None) -> Response:
    # set_data would replace the Content-Length that HeadObject answers without a body.
    if isinstance(body, bytes):
        response.response = [body]
    elif body is not None:
        response.response = body
        response.direct_passthrough = True
    else:
        response.automatically_set_content_length = False
    return response
