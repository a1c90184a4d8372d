"""What a service model demands of parameters: presence, enums, lengths, ranges, patterns."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.model import Shape, StructureShape

_SHOWN_CHARS = 1000
_JAVA_ASTRAL = r"\uD800\uDC00-\uDBFF\uDFFF"
_CLASS = re.compile(r"\[[^\]]*\]")
_PROPERTY = re.compile(r"\\p\{(\w+)\}")
_PROPERTIES = {
    "ASCII": r"\x00-\x7F",
    "Print": r"\x20-\x7E",
    "Alnum": "0-9A-Za-z",
    "L": r"\w",
    "N": r"\w",
    "Z": r"\s",
}
_ANYTHING = r"\s\S"


def violations(params: Mapping[str, Any], shape: StructureShape | None) -> list[str]:
    """AWS's sentence for every broken constraint, in the model's order; empty when all hold.

    Example: `Value '0' at 'resourceConfig.instanceCount' failed to satisfy constraint: Member must
    have value greater than or equal to 1`.
    """
    if shape is None:
        return []
    return list(_structure(params, shape, ""))


def _structure(value: Mapping[str, Any], shape: StructureShape, at: str) -> Iterator[str]:
    for name, member in shape.members.items():
        path = _join(at, name[:1].lower() + name[1:])
        if name in value:
            yield from _value(value[name], member, path)
        elif name in shape.required_members:
            yield _sentence(None, path, "Member must not be null")


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _value(value: Any, shape: Shape, at: str) -> Iterator[str]:
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return
    for rule in _broken_rules(value, shape):
        yield _sentence(value, at, rule)
    if kind == "structure":
        yield from _structure(value, shape, at)
    elif kind == "list":
        for number, item in enumerate(value, start=1):
            yield from _value(item, shape.member, f"{at}.{number}.member")
    elif kind == "map":
        yield from _map(value, shape, at)


def _map(value: Mapping[str, Any], shape: Shape, at: str) -> Iterator[str]:
    for key, item in value.items():
        rules = list(_broken_rules(key, shape.key))
        if rules:
            yield _sentence(value, at, f"Map keys must satisfy constraint: [{', '.join(rules)}]")
        if shape.value.type_name == "string":
            rules = list(_broken_rules(item, shape.value))
            if rules:
                rule = f"Map value must satisfy constraint: [{', '.join(rules)}]"
                yield _sentence(value, at, rule)
        else:
            yield from _value(item, shape.value, f"{at}.{key}.member")


def _broken_rules(value: Any, shape: Shape) -> Iterator[str]:
    limits = shape.metadata
    kind = shape.type_name
    if kind in ("string", "list", "map", "blob"):
        broken = list(_range(len(value), limits, "have length"))
        yield from broken
        if kind == "string" and not broken:
            yield from _text_rules(value, limits)
    elif kind in ("integer", "long", "float", "double") and not isinstance(value, str):
        yield from _range(value, limits, "have value")


def _range(number: float, limits: Mapping[str, Any], what: str) -> Iterator[str]:
    if "max" in limits and number > limits["max"]:
        yield f"Member must {what} less than or equal to {limits['max']}"
    if "min" in limits and number < limits["min"]:
        yield f"Member must {what} greater than or equal to {limits['min']}"


def _text_rules(value: str, limits: Mapping[str, Any]) -> Iterator[str]:
    if "enum" in limits and value not in limits["enum"]:
        yield f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]"
    if "pattern" in limits:
        pattern = compile_pattern(limits["pattern"])
        if pattern is not None and pattern.fullmatch(value) is None:
            yield f"Member must satisfy regular expression pattern: {limits['pattern']}"


@functools.cache
def compile_pattern(java_pattern: str) -> re.Pattern[str] | None:
    """The model's Java pattern for Python, or None when Python cannot say it.

    Where Python knows no such class it is widened: a value that AWS takes is never refused.
    """
    text = java_pattern.replace(_JAVA_ASTRAL, r"\U00010000-\U0010FFFF").replace(r"\z", r"\Z")
    text = _CLASS.sub(lambda found: _python_class(found[0]), text)
    text = _PROPERTY.sub(lambda found: f"[{_PROPERTIES.get(found[1], _ANYTHING)}]", text)
    try:
        return re.compile(text)
    except re.error:
        return None


def _python_class(java_class: str) -> str:
    names = _PROPERTY.findall(java_class)
    if any(name not in _PROPERTIES for name in names):
        return f"[{_ANYTHING}]"
    return _PROPERTY.sub(lambda found: _PROPERTIES[found[1]], java_class)


def _sentence(value: Any, at: str, rule: str) -> str:
    shown = "null" if value is None else f"'{_shown(value)}'"
    return f"Value {shown} at '{at}' failed to satisfy constraint: {rule}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        text = "{" + ", ".join(f"{key}={item}" for key, item in value.items()) + "}"
    elif isinstance(value, list):
        text = "[" + ", ".join(_shown(item) for item in value) + "]"
    elif isinstance(value, bytes):
        text = f"{len(value)} bytes"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
