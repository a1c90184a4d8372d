"""XML bodies of the rest-xml protocol, read and written by botocore's shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from botocore.model import Shape

from localaws.wire.request import Unreadable, text_time

_ESCAPES = {'"': "&quot;", "\r": "&#13;"}


def read_xml(data: bytes, shape: Shape) -> Any:
    """The parameters in an XML body. Raises `Unreadable` for anything but plain elements."""
    try:
        text = data.decode("utf-8")
        if "<!DOCTYPE" in text:  # Without one there are no entities to expand.
            raise Unreadable("a document type is not accepted")
        root = ElementTree.fromstring(text)  # noqa: S314
    except (ElementTree.ParseError, ValueError) as error:
        raise Unreadable(f"the body is not XML: {error}") from error
    return _read(root, shape)


def _read(element: ElementTree.Element, shape: Shape) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return dict(_read_members(element, shape))
    if kind == "list":
        return [_read(child, shape.member) for child in element]
    text = element.text or ""
    try:
        if kind in ("integer", "long"):
            return int(text)
        if kind == "timestamp":
            return text_time(text)
    except ValueError as error:
        raise Unreadable(f"{text!r} is no {kind}") from error
    return text.strip() == "true" if kind == "boolean" else text


def _read_members(element: ElementTree.Element, shape: Shape) -> Iterator[tuple[str, Any]]:
    children: dict[str, list[ElementTree.Element]] = {}
    for child in element:
        children.setdefault(child.tag.rpartition("}")[2], []).append(child)
    for name, member in shape.members.items():
        found = children.get(_wire_name(name, member))
        if not found:
            continue
        if member.type_name == "list" and member.serialization.get("flattened"):
            yield name, [_read(child, member.member) for child in found]
        else:
            yield name, _read(found[0], member)


def _wire_name(name: str, member: Shape) -> str:
    default = name
    if member.type_name == "list" and member.serialization.get("flattened"):
        default = member.member.serialization.get("name", name)
    wire_name: str = member.serialization.get("name", default)
    return wire_name


def write_xml(values: Mapping[str, Any], members: Mapping[str, Shape], root: str) -> bytes:
    """The body for `values`; a member that is None is left out."""
    inner = "".join(_members(values, members))
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f'{head}<{root} xmlns="{namespace}">{inner}</{root}>'.encode()


def _members(values: Mapping[str, Any], members: Mapping[str, Shape]) -> Iterator[str]:
    for name, value in values.items():
        if value is None:
            continue
        member = members[name]
        tag = _wire_name(name, member)
        if member.type_name != "list":
            yield _element(tag, value, member)
            continue
        if member.serialization.get("flattened"):
            yield from (_element(tag, item, member.member) for item in value)
        else:
            item_tag = member.member.serialization.get("name", "member")
            items = "".join(_element(item_tag, item, member.member) for item in value)
            yield f"<{tag}>{items}</{tag}>"


def _element(tag: str, value: Any, shape: Shape) -> str:
    if shape.type_name == "structure":
        return f"<{tag}>{''.join(_members(value, shape.members))}</{tag}>"
    return f"<{tag}>{escape(_text(value, shape), _ESCAPES)}</{tag}>"


def _text(value: Any, shape: Shape) -> str:
    if shape.type_name == "boolean":
        return "true" if value else "false"
    if shape.type_name == "timestamp":
        moment = datetime.fromtimestamp(float(value), UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def error_xml(code: str, message: str, fields: Mapping[str, Any]) -> bytes:
    """S3's error document."""
    pairs = {"Code": code, "Message": message, **fields}
    inner = "".join(f"<{tag}>{escape(str(text), _ESCAPES)}</{tag}>" for tag, text in pairs.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode()
