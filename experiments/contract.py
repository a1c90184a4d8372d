"""Hold a planned request against AWS's own service model before it is sent.

botocore checks types, required and unknown members and lower bounds; enums, patterns and upper bounds
are checked here, from the same model files that boto3 ships.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from experiments.errors import PedigreeError
from experiments.records import Call


@lru_cache(maxsize=16)
def _model(service: str) -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model(service)


@lru_cache(maxsize=256)
def _operation(service: str, operation: str) -> Any:
    from botocore import xform_name

    model = _model(service)
    for name in model.operation_names:
        if xform_name(name) == operation:
            return model.operation_model(name)
    raise PedigreeError(f"{service} has no operation {operation}", fix="mend the planner")


def _faults_in(shape: Any, value: Any, where: str) -> Iterator[str]:
    if shape.type_name == "structure":
        for name, part in shape.members.items():
            if name in value:
                yield from _faults_in(part, value[name], f"{where}.{name}")
    elif shape.type_name == "list":
        yield from _size_faults(shape, len(value), where, "items")
        for index, item in enumerate(value):
            yield from _faults_in(shape.member, item, f"{where}[{index}]")
    elif shape.type_name == "map":
        yield from _size_faults(shape, len(value), where, "entries")
        for key, item in value.items():
            yield from _faults_in(shape.key, key, f"{where}, key {key!r}")
            yield from _faults_in(shape.value, item, f"{where}[{key}]")
    elif shape.type_name == "string":
        yield from _string_faults(shape, value, where)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _size_faults(shape, value, where, "")


def _size_faults(shape: Any, size: float, where: str, what: str) -> Iterator[str]:
    largest = shape.metadata.get("max")
    if largest is not None and size > largest:
        yield f"{where}: {size} {what}".rstrip() + f", at most {largest}"


def _string_faults(shape: Any, value: str, where: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        yield f"{where}: {value!r} is not one of {', '.join(shape.enum[:8])}"
    yield from _size_faults(shape, len(value), where, "characters")
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value):
        yield f"{where}: {value!r} does not match {pattern}"


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True


def faults(call: Call) -> list[str]:
    """Everything that AWS's model says is wrong with a planned request; empty if nothing is."""
    from botocore.validate import ParamValidator

    shape = _operation(call.service, call.operation).input_shape
    if shape is None:
        return [] if not call.params else ["takes no parameters"]
    report = ParamValidator().validate(dict(call.params), shape)
    if report.has_errors():
        return [report.generate_report()]
    return list(_faults_in(shape, call.params, call.operation))


def check(calls: Iterable[Call]) -> None:
    """Raise for the first planned request that AWS's model refuses."""
    for call in calls:
        found = faults(call)
        if found:
            raise PedigreeError(
                f"the planned {call.service} {call.operation} is not a request AWS knows: {found[0]}",
                fix="report this with the experiment file; nothing was sent",
            )
