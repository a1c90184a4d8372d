"""Read an operation's parameters from an HTTP request, by botocore's input shape."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from botocore.model import OperationModel, ServiceModel, Shape, StructureShape
from werkzeug import Request


class Unreadable(Exception):
    """The request cannot be turned into parameters; AWS calls it SerializationException."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One operation's method, path pattern and literal query parameters."""

    operation: str
    method: str
    pattern: re.Pattern[str]
    query: Mapping[str, str]

    def match(self, request: Request) -> dict[str, str] | None:
        """The decoded URI labels, or None when this is another operation's request."""
        if request.method != self.method:
            return None
        found = self.pattern.fullmatch(raw_path(request))
        if found is None:
            return None
        if any(request.args.get(name) != value for name, value in self.query.items()):
            return None
        return {name: unquote(value) for name, value in found.groupdict().items()}


def raw_path(request: Request) -> str:
    """The path as sent, percent-escapes intact (an ARN's `%2F` is no separator)."""
    uri: str = request.environ.get("REQUEST_URI") or request.environ.get("RAW_URI") or request.path
    if uri.startswith(("http://", "https://")):
        uri = "/" + uri.split("/", 3)[3] if uri.count("/") > 2 else "/"
    return uri.partition("?")[0]


def compile_routes(model: ServiceModel) -> list[Route]:
    """All routes of a rest service, the most literal first."""
    routes = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        literal = dict(parse_qsl(query, keep_blank_values=True))
        pattern = _path_pattern(path)
        routes.append(Route(operation=name, method=http["method"], pattern=pattern, query=literal))
    return sorted(routes, key=lambda r: (-len(r.query), r.pattern.groups, -len(r.pattern.pattern)))


def _path_pattern(template: str) -> re.Pattern[str]:
    parts = []
    for piece in re.split(r"(\{[^}]+\})", template.rstrip("/")):
        if not piece.startswith("{"):
            parts.append(re.escape(piece))
        elif piece.endswith("+}"):
            parts.append(f"(?P<{piece[1:-2]}>.+?)")
        else:
            parts.append(f"(?P<{piece[1:-1]}>[^/]+)")
    return re.compile("".join(parts) + "/?")


def read_params(
    request: Request, operation: OperationModel, labels: Mapping[str, str]
) -> dict[str, Any]:
    """Parameters by member name. Raises `Unreadable` for a wrong type or broken JSON."""
    shape: StructureShape | None = operation.input_shape
    if shape is None:
        return {}
    params, body_members = read_located(request, shape, labels)
    payload = shape.serialization.get("payload")
    if payload is not None:
        _read_payload(request, payload, shape.members[payload], params)
    elif body_members:
        params |= _structure(_json_body(request), body_members, "")
    return params


def read_located(
    request: Request, shape: StructureShape, labels: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Shape]]:
    """What the path, the query and the headers say; and the members that the body holds."""
    params: dict[str, Any] = {}
    body_members: dict[str, Shape] = {}
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        if location is None:
            body_members[name] = member
            continue
        value = _LOCATIONS[location](request, labels, name, member)
        if value is not None:
            params[name] = value
    return params, body_members


def _read_payload(request: Request, name: str, member: Shape, params: dict[str, Any]) -> None:
    if member.type_name == "blob":
        params[name] = request.get_data(cache=True)
    elif member.type_name == "string":
        params[name] = request.get_data(cache=True).decode("utf-8", "replace")
    elif data := _json_body(request):
        params[name] = _value(data, member, name)


def _json_body(request: Request) -> dict[str, Any]:
    data = request.get_data(cache=True)
    if not data:
        return {}
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Unreadable("Start of structure or map found where not expected.")
    return body


def from_json(body: Mapping[str, Any], shape: StructureShape) -> dict[str, Any]:
    """Parameters by member name from a decoded body. Raises `Unreadable` for a wrong type."""
    return _structure(body, shape.members, "")


def _label(request: Request, labels: Mapping[str, str], name: str, member: Shape) -> Any:
    text = labels.get(member.serialization.get("name", name))
    return None if text is None else from_text(text, member, name)


def _query(request: Request, labels: Mapping[str, str], name: str, member: Shape) -> Any:
    if member.type_name == "map":
        return request.args.to_dict() or None
    wire_name = member.serialization.get("name", name)
    if member.type_name == "list":
        texts = request.args.getlist(wire_name)
        return [from_text(text, member.member, name) for text in texts] or None
    text = request.args.get(wire_name)
    return None if text is None else from_text(text, member, name)


def _header(request: Request, labels: Mapping[str, str], name: str, member: Shape) -> Any:
    text = request.headers.get(member.serialization.get("name", name))
    return None if text is None else from_text(text, member, name)


def _headers(request: Request, labels: Mapping[str, str], name: str, member: Shape) -> Any:
    prefix = member.serialization.get("name", "").lower()
    found = {
        key[len(prefix) :]: value
        for key, value in request.headers.items()
        if key.lower().startswith(prefix)
    }
    return found or None


_LOCATIONS: dict[str, Callable[[Request, Mapping[str, str], str, Shape], Any]] = {
    "uri": _label,
    "querystring": _query,
    "header": _header,
    "headers": _headers,
}


def from_text(text: str, shape: Shape, name: str) -> Any:
    """A scalar from its text. Raises `Unreadable`."""
    kind = shape.type_name
    try:
        if kind in ("integer", "long"):
            return int(text)
        if kind in ("float", "double"):
            return float(text)
        if kind == "timestamp":
            return text_time(text)
    except ValueError as error:
        raise Unreadable(f"{text!r} at {name!r} can not be converted to {kind}") from error
    if kind == "boolean":
        if text.lower() not in ("true", "false"):
            raise Unreadable(f"{text!r} at {name!r} can not be converted to boolean")
        return text.lower() == "true"
    return text


def text_time(text: str) -> float:
    """Epoch seconds from a number, ISO 8601 or an HTTP date. Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = parsedate_to_datetime(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _structure(data: Mapping[str, Any], members: Mapping[str, Shape], at: str) -> dict[str, Any]:
    result = {}
    for name, member in members.items():
        value = data.get(member.serialization.get("name", name))
        if value is not None:
            result[name] = _value(value, member, f"{at}.{name}" if at else name)
    return result


def _value(value: Any, shape: Shape, at: str) -> Any:
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return value
    if kind == "structure":
        return _structure(_expect(value, dict, at, kind), shape.members, at)
    if kind == "list":
        items = _expect(value, list, at, kind)
        return [_value(item, shape.member, at) for item in items if item is not None]
    if kind == "map":
        pairs = _expect(value, dict, at, kind).items()
        return {key: _value(item, shape.value, at) for key, item in pairs if item is not None}
    return _scalar(value, kind, at)


def _scalar(value: Any, kind: str, at: str) -> Any:
    if kind in ("integer", "long"):
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return _expect(value, int, at, kind)
    if kind in ("float", "double"):
        return value if value in ("NaN", "Infinity", "-Infinity") else _number(value, at, kind)
    if kind == "boolean":
        return _expect(value, bool, at, kind)
    if kind == "timestamp":
        return _timestamp(value, at)
    if kind == "blob":
        return value if isinstance(value, bytes) else _blob(_expect(value, str, at, kind), at)
    return _expect(value, str, at, kind)


def _number(value: Any, at: str, kind: str) -> float:
    return float(_expect(value, (int, float), at, kind))


def _timestamp(value: Any, at: str) -> float:
    if isinstance(value, str):
        try:
            return text_time(value)
        except ValueError as error:
            raise Unreadable(f"{value!r} at {at!r} can not be converted to timestamp") from error
    return _number(value, at, "timestamp")


def _blob(text: str, at: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Unreadable(f"the value at {at!r} is not base64: {error}") from error


def _expect(value: Any, types: type | tuple[type, ...], at: str, kind: str) -> Any:
    is_stray_bool = isinstance(value, bool) and types is not bool
    if is_stray_bool or not isinstance(value, types):
        found = type(value).__name__
        raise Unreadable(f"{found.upper()}_VALUE at {at!r} can not be converted to {kind}")
    return value
