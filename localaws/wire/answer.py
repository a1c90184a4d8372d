"""Write an operation's answer as HTTP, by botocore's output shape."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from botocore.model import OperationModel, Shape, StructureShape
from werkzeug import Response


def write_answer(
    operation: OperationModel, answer: Mapping[str, Any] | None, content_type: str
) -> Response:
    """The response for `answer`; raises KeyError or TypeError if it does not fit the shape."""
    shape: StructureShape | None = operation.output_shape
    status = operation.http.get("responseCode", 200)
    values = {key: value for key, value in (answer or {}).items() if value is not None}
    if shape is None:
        return Response(b"", status=status, content_type=content_type)
    _refuse_unknown(values, shape, operation.name)
    response = Response(status=status, content_type=content_type)
    body: dict[str, Any] = {}
    payload = shape.serialization.get("payload")
    for name, value in values.items():
        member = shape.members[name]
        location = member.serialization.get("location")
        if location is not None:
            write_located(response, location, name, member, value)
        elif name == payload:
            response.set_data(_payload(value, member, name))
        else:
            body[member.serialization.get("name", name)] = to_json(value, member, name)
    if payload is None and not (status == 204 and not body):
        response.set_data(json.dumps(body))
    return response


def _refuse_unknown(values: Mapping[str, Any], shape: StructureShape, at: str) -> None:
    unknown = sorted(set(values) - set(shape.members))
    if unknown:
        raise KeyError(f"{at}: {shape.name} has no member {', '.join(unknown)}")


def write_located(response: Response, location: str, name: str, member: Shape, value: Any) -> None:
    """Put one member into the status line or the headers."""
    if location == "statusCode":
        response.status_code = int(value)
    elif location == "headers":
        prefix = member.serialization.get("name", "")
        for key, text in value.items():
            response.headers[prefix + key] = text
    elif location == "header":
        response.headers[member.serialization.get("name", name)] = _header_text(value, member)
    else:
        raise TypeError(f"{name} cannot be written to {location}")


def _header_text(value: Any, member: Shape) -> str:
    if member.type_name == "boolean":
        return "true" if value else "false"
    if member.type_name == "timestamp":
        return format_datetime(datetime.fromtimestamp(_epoch(value), UTC), usegmt=True)
    return str(value)


def _payload(value: Any, member: Shape, name: str) -> bytes:
    if member.type_name in ("blob", "string"):
        return value.encode() if isinstance(value, str) else bytes(value)
    return json.dumps(to_json(value, member, name)).encode()


def to_json(value: Any, shape: Shape, at: str) -> Any:
    """`value` as the JSON protocols carry it: epoch seconds, base64 blobs, None left out."""
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return value
    if kind == "structure":
        present = {key: item for key, item in value.items() if item is not None}
        _refuse_unknown(present, shape, at)
        members = shape.members
        return {
            members[key].serialization.get("name", key): to_json(item, members[key], f"{at}.{key}")
            for key, item in present.items()
        }
    if kind == "list":
        return [to_json(item, shape.member, at) for item in value]
    if kind == "map":
        return {key: to_json(item, shape.value, f"{at}.{key}") for key, item in value.items()}
    return _scalar(value, shape, at)


def _scalar(value: Any, shape: Shape, at: str) -> Any:
    kind = shape.type_name
    if kind == "timestamp":
        if shape.serialization.get("timestampFormat") == "iso8601":
            return datetime.fromtimestamp(_epoch(value), UTC).isoformat()
        return _epoch(value)
    if kind == "blob":
        return base64.b64encode(value).decode()
    if kind == "boolean":
        return bool(value)
    if kind in ("integer", "long"):
        return int(value)
    if kind in ("float", "double"):
        return float(value)
    if not isinstance(value, str):
        raise TypeError(f"{at} is a {type(value).__name__}, the model wants a string")
    return value


def _epoch(value: Any) -> float:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError("a datetime without a time zone")
        return value.timestamp()
    return float(value)
