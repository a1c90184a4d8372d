"""The query protocol: parameters in a form, answers in XML, by botocore's shapes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel, OperationNotFoundError, Shape
from werkzeug import Request, Response

from localaws.wire.error_answers import error_answer
from localaws.wire.protocol import AwsError, Found, ModelService, load_model
from localaws.wire.request import Unreadable, from_text
from localaws.wire.scope import operation_name

_MODEL_NAMES = {"monitoring": "cloudwatch"}
_MAX_ITEMS = 10_000
_NUMBER = re.compile(r"\d{1,5}")


def read_form(request: Request, shape: Shape | None) -> dict[str, Any]:
    """Parameters by member name. Raises `Unreadable` for a value of the wrong type."""
    body = request.get_data(cache=True).decode("utf-8", "replace")
    form = {**request.args.to_dict(), **dict(parse_qsl(body, keep_blank_values=True))}
    tree: dict[str, Any] = {}
    for name, text in form.items():
        _plant(tree, name.split("."), text)
    return _members(tree, shape) if shape is not None else {}


def query_params(request: Request, service: str) -> dict[str, Any] | None:
    """What a form asks of `service` (its signing name); None for what botocore does not know."""
    try:
        model = load_model(_MODEL_NAMES.get(service, service))
        operation = model.operation_model(operation_name(request))
    except (UnknownServiceError, OperationNotFoundError):
        return None
    return read_form(request, operation.input_shape)


class QueryService(ModelService):
    """`ModelService` for clients that speak query (`Action=...` in a form)."""

    speaks = ("query",)

    def _find(self, request: Request) -> Found:
        body = request.get_data(cache=True).decode("utf-8", "replace")
        name = dict(parse_qsl(body)).get("Action", "")
        if name not in self._model.operation_names:
            raise AwsError("InvalidAction", f"{self.service_name} has no operation {name!r}")
        return Found(operation=self._model.operation_model(name))

    def _read(self, request: Request, found: Found) -> dict[str, Any]:
        return read_form(request, found.operation.input_shape)

    def _write(self, operation: OperationModel, answer: Mapping[str, Any] | None) -> Response:
        shape, name = operation.output_shape, operation.name
        values = {key: value for key, value in (answer or {}).items() if value is not None}
        inner = "".join(_elements(values, shape.members)) if shape is not None else ""
        result = f"<{name}Result>{inner}</{name}Result>" if shape is not None else ""
        namespace = self._model.metadata.get("xmlNamespace", "")
        body = (
            f'<{name}Response xmlns="{namespace}">{result}<ResponseMetadata><RequestId>localaws'
            f"</RequestId></ResponseMetadata></{name}Response>"
        )
        return Response(body, content_type="text/xml")

    def _write_error(self, request: Request, error: AwsError) -> Response:
        return error_answer(self.service_name, request, self._with_status(error))


def _wire_name(name: str, shape: Shape) -> str:
    found: str = shape.serialization.get("queryName") or shape.serialization.get("name", name)
    return found


def _plant(tree: dict[str, Any], path: list[str], text: str) -> None:
    for step in path[:-1]:
        branch = tree.setdefault(step, {})
        if not isinstance(branch, dict):
            raise Unreadable(f"{step!r} is given as a value and as a structure")
        tree = branch
    tree[path[-1]] = text


def _members(tree: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        wire_name = _wire_name(name, member)
        if wire_name not in tree:
            wire_name = wire_name[:1].upper() + wire_name[1:]  # EC2's names on the wire
        if wire_name in tree:
            found[name] = _value(tree[wire_name], member, name)
    return found


def _value(tree: Any, shape: Shape, at: str) -> Any:
    kind = shape.type_name
    if kind in ("structure", "list", "map"):
        if not isinstance(tree, dict):
            if tree == "":
                return {} if kind != "list" else []
            raise Unreadable(f"{at!r} is no {kind}")
        if kind == "structure":
            return _members(tree, shape)
        if kind == "list":
            return [_value(item, shape.member, at) for item in _items(tree, shape)]
        entries = _numbered(tree.get("entry", tree))
        return {one.get("key", ""): _value(one.get("value", ""), shape.value, at)
                for one in entries if isinstance(one, dict)}  # fmt: skip
    if isinstance(tree, dict):
        raise Unreadable(f"{at!r} is a structure, and no {kind}")
    return from_text(tree, shape, at)


def _items(tree: Mapping[str, Any], shape: Shape) -> list[Any]:
    inner = shape.member.serialization.get("name", "member")
    return _numbered(tree.get(inner, tree))


def _numbered(tree: Any) -> list[Any]:
    numbers = sorted((int(key), key) for key in tree if _NUMBER.fullmatch(key))
    return [tree[key] for _, key in numbers[:_MAX_ITEMS]]


def _elements(values: Mapping[str, Any], members: Mapping[str, Shape]) -> Iterator[str]:
    for name, value in values.items():
        if value is not None:
            tag = members[name].serialization.get("name", name)
            yield f"<{tag}>{_content(value, members[name])}</{tag}>"


def _content(value: Any, shape: Shape) -> str:
    kind = shape.type_name
    if kind == "structure":
        return "".join(_elements(value, shape.members))
    if kind == "list":
        return "".join(f"<member>{_content(item, shape.member)}</member>" for item in value)
    if kind == "map":
        return "".join(
            f"<entry><key>{escape(str(key))}</key><value>{_content(item, shape.value)}</value>"
            "</entry>"
            for key, item in value.items()
        )
    if kind == "timestamp":
        moment = datetime.fromtimestamp(float(value), UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if kind == "boolean":
        return "true" if value else "false"
    return escape(str(value))
