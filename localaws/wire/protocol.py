"""A service described by botocore's own model, answered by plain Python methods.

`ModelService` finds the operation, parses and checks its parameters, calls one method and writes
the answer, for the protocols `json` and `rest-json`. What a service means is left to `handlers`.
"""

from __future__ import annotations

import functools
import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.model import OperationModel, ServiceModel, StructureShape
from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException

from localaws.wire.answer import write_answer
from localaws.wire.constraints import violations
from localaws.wire.request import Route, Unreadable, compile_routes, read_params

log = logging.getLogger("localaws.wire.protocol")

OPERATION_KEY = "localaws.operation"
PARAMS_KEY = "localaws.params"
ERROR_KEY = "localaws.error"
FAULT_KEY = "localaws.fault"

_CONSTRAINT_CODES = {"sagemaker-runtime": "ValidationError", "cloudwatch": "ValidationError"}
_LAMBDA_RUNTIME_PREFIX = "1 validation error detected: Value '"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks: taken from the credential scope of the request. Signatures are not verified."""

    account_id: str
    region: str
    access_key_id: str


class AwsError(Exception):
    """An error that the client must see, in AWS's words.

    `code` is AWS's error code (`ResourceNotFound`). When `status` is left at 400 and the service
    model gives another HTTP status for `code`, the model's status is used. `fields` are further
    members of the error's body (`{"OriginalStatusCode": 500}`).
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        fields: Mapping[str, Any] = {},
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = dict(fields)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The operation of a request, with the labels of its path."""

    operation: OperationModel
    labels: Mapping[str, str] = field(default_factory=dict)


@functools.cache
def load_model(service_name: str) -> ServiceModel:
    """The newest model of `service_name` that the installed botocore ships."""
    return botocore.session.get_session().get_service_model(service_name)


class ModelService:
    """Answers requests for one AWS service.

    For operation `CreateTrainingJob` the method `handlers.create_training_job(params, caller)` is
    called. `params` holds the model's member names; blobs are `bytes`, timestamps are epoch
    seconds (`float`), absent members are absent. The method returns a dict by the output
    shape's member names (timestamps as epoch seconds or aware datetimes, blobs as `bytes`; a
    member that is None is left out) or raises `AwsError`.
    """

    speaks: tuple[str, ...] = ("json", "rest-json")

    def __init__(self, service_name: str, handlers: object) -> None:
        self.service_name = service_name
        self._handlers = handlers
        self._model = load_model(service_name)
        protocols = self._model.metadata.get("protocols", [self._model.metadata["protocol"]])
        spoken = [protocol for protocol in self.speaks if protocol in protocols]
        if not spoken:
            raise ValueError(f"{service_name} speaks {protocols}; we {', '.join(self.speaks)}")
        self._protocol = spoken[0]
        self._routes: list[Route] = (
            compile_routes(self._model) if self._protocol == "rest-json" else []
        )

    def respond(self, request: Request, caller: Caller) -> Response:
        """The HTTP answer; an error is an answer too. Never raises."""
        request_id = str(uuid.uuid4())
        operation: OperationModel | None = None
        try:
            found = self._find(request)
            operation = found.operation
            request.environ[OPERATION_KEY] = operation.name
            params = self._params(request, found)
            request.environ[PARAMS_KEY] = params
            answer = self._method(operation)(params, caller)
            response = self._write(operation, answer)
        except AwsError as error:
            response = self._write_error(request, error)
        except HTTPException as error:  # The body is too long, or ended early.
            status = error.code or 400
            code = "RequestEntityTooLargeException" if status == 413 else "BadRequestException"
            refusal = AwsError(code, error.description or code, status=status)
            response = self._write_error(request, refusal)
        except Exception as fault:
            log.exception("%s %s", self.service_name, operation.name if operation else "?")
            text = f"localaws failed inside {self.service_name}: {type(fault).__name__}: {fault}"
            # 501, because botocore repeats a call that was answered with 500.
            failure = AwsError("InternalFailure", text, status=501)
            response = self._write_error(request, failure)
        response.headers["x-amzn-RequestId"] = request_id
        return response

    def _find(self, request: Request) -> Found:
        if self._protocol == "json":
            name = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
            if name not in self._model.operation_names:
                raise AwsError(
                    "UnknownOperationException",
                    f"{self.service_name} has no operation {name!r}",
                    status=404,
                )
            return Found(operation=self._model.operation_model(name))
        for route in self._routes:
            labels = route.match(request)
            if labels is not None:
                return Found(operation=self._model.operation_model(route.operation), labels=labels)
        text = f"{self.service_name} has no operation for {request.method} {request.path}"
        raise AwsError("UnknownOperationException", text, status=404)

    def _params(self, request: Request, found: Found) -> dict[str, Any]:
        try:
            params = self._read(request, found)
        except Unreadable as error:
            raise AwsError("SerializationException", str(error)) from error
        problems = violations(params, found.operation.input_shape)
        if problems:
            raise self._constraint_error(problems)
        return params

    def _read(self, request: Request, found: Found) -> dict[str, Any]:
        return read_params(request, found.operation, found.labels)

    def _write(self, operation: OperationModel, answer: Mapping[str, Any] | None) -> Response:
        return write_answer(operation, answer, self._content_type())

    def _constraint_error(self, problems: list[str]) -> AwsError:
        plural = "errors" if len(problems) > 1 else "error"
        text = f"{len(problems)} validation {plural} detected: {'; '.join(problems)}"
        if self.service_name == "lambda" and text.startswith(_LAMBDA_RUNTIME_PREFIX):
            value, _, rest = text.removeprefix(_LAMBDA_RUNTIME_PREFIX).partition("' at 'runtime'")
            if rest and "enum value set" in rest:
                message = f"Value {value} at 'runtime'{rest} or be a valid ARN"
                return AwsError("InvalidParameterValueException", message)
        return AwsError(_CONSTRAINT_CODES.get(self.service_name, "ValidationException"), text)

    def _method(self, operation: OperationModel) -> Any:
        method = getattr(self._handlers, xform_name(operation.name), None)
        if method is None:
            text = (
                f"localaws does not implement {self.service_name} {operation.name}; "
                "localaws/DIFFERENCES.md lists what it does"
            )
            raise AwsError("NotImplemented", text, status=501)
        return method

    def _content_type(self) -> str:
        version = self._model.metadata.get("jsonVersion", "1.1")
        is_json = self._protocol == "json"
        return f"application/x-amz-json-{version}" if is_json else "application/json"

    def _write_error(self, request: Request, error: AwsError) -> Response:
        request.environ[ERROR_KEY] = error.code
        shape = self._shape_of(error)
        members = shape.members if shape else {}
        body: dict[str, Any] = {"__type": error.code, **error.fields}
        body["Message" if "Message" in members else "message"] = error.message
        if self.service_name == "lambda":
            body.setdefault("Type", "User" if error.status < 500 else "Service")
        status = self._with_status(error).status
        response = Response(json.dumps(body), status=status, content_type=self._content_type())
        response.headers["x-amzn-errortype"] = error.code
        if "awsQueryCompatible" in self._model.metadata:
            side = "Sender" if status < 500 else "Receiver"
            response.headers["x-amzn-query-error"] = f"{error.code};{side}"
        return response

    def _shape_of(self, error: AwsError) -> StructureShape | None:
        return next((s for s in self._model.error_shapes if s.error_code == error.code), None)

    def _with_status(self, error: AwsError) -> AwsError:
        shape = self._shape_of(error)
        if shape is None or error.status != 400:
            return error
        status = shape.metadata.get("error", {}).get("httpStatusCode", 400)
        return AwsError(error.code, error.message, status=status, fields=error.fields)
