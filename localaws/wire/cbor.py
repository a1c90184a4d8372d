"""CBOR (RFC 8949), as far as Smithy's RPC v2 protocol uses it, and that protocol itself."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.model import OperationModel, Shape
from werkzeug import Request, Response

from localaws.wire.protocol import ERROR_KEY, AwsError, Found, ModelService
from localaws.wire.request import Unreadable, from_json

MIME = "application/cbor"
MAX_DEPTH = 64
PATH = re.compile(r"/service/[^/]+/operation/(\w+)/?")
_TIMESTAMP_TAG = 1
_INDEFINITE, _BREAK = 31, 0xFF
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_SIMPLE = {20: False, 21: True, 22: None, 23: None}


@dataclass(frozen=True)
class Moment:
    """A timestamp (tag 1) in epoch seconds."""

    epoch_s: float


def decode(data: bytes) -> Any:
    """The value of one data item; a `Moment` is its seconds. Raises `Unreadable`."""
    reader = _Reader(data)
    try:
        value = reader.item(0)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise Unreadable("the body is not CBOR") from error
    if reader.at != len(data):
        raise Unreadable("the body holds more than one CBOR item")
    return value


def encode(value: Any) -> bytes:
    """The data item of None, booleans, numbers, texts, bytes, lists, mappings and `Moment`s."""
    if value is None or isinstance(value, bool):
        return bytes([0xF6 if value is None else 0xF5 if value else 0xF4])
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, Moment):
        return _head(6, _TIMESTAMP_TAG) + encode(float(value.epoch_s))
    if isinstance(value, str):
        text = value.encode()
        return _head(3, len(text)) + text
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, Mapping):
        pairs = b"".join(encode(key) + encode(item) for key, item in value.items())
        return _head(5, len(value)) + pairs
    return _head(4, len(value)) + b"".join(map(encode, value))


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for code, form, limit in ((24, ">B", 8), (25, ">H", 16), (26, ">I", 32), (27, ">Q", 64)):
        if number < 1 << limit:
            return bytes([major << 5 | code]) + struct.pack(form, number)
    raise ValueError(f"{number} does not fit into CBOR")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def item(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise Unreadable("the body is nested too deeply")
        first = self._data[self.at]
        self.at += 1
        major, extra = first >> 5, first & 31
        if major == 7:
            return self._simple(extra)
        if extra == _INDEFINITE:
            return self._indefinite(major, depth)
        number = self._number(extra)
        if major in (2, 3):
            found = self._take(number)
            return found if major == 2 else found.decode()
        if major == 4:
            self._refuse_longer_than_data(number)
            return [self.item(depth + 1) for _ in range(number)]
        if major == 5:
            self._refuse_longer_than_data(number)
            return dict(self._pair(depth) for _ in range(number))
        if major == 6:
            return self.item(depth + 1)
        return number if major == 0 else -1 - number

    def _simple(self, extra: int) -> Any:
        if extra in _FLOATS:
            form = _FLOATS[extra]
            return struct.unpack(form, self._take(struct.calcsize(form)))[0]
        if extra not in _SIMPLE:
            raise Unreadable(f"the simple value {extra} is not known")
        return _SIMPLE[extra]

    def _indefinite(self, major: int, depth: int) -> Any:
        items: list[Any] = []
        while self._data[self.at] != _BREAK:
            items.append(self._pair(depth) if major == 5 else self.item(depth + 1))
        self.at += 1
        kinds = {2: bytes, 3: str}
        if major in kinds and all(isinstance(item, kinds[major]) for item in items):
            return (b"" if major == 2 else "").join(items)
        if major == 5:
            return dict(items)
        if major != 4:
            raise Unreadable("the body is not CBOR")
        return items

    def _pair(self, depth: int) -> tuple[str, Any]:
        key = self.item(depth + 1)
        if not isinstance(key, str):
            raise Unreadable("a key is no text")
        return key, self.item(depth + 1)

    def _number(self, extra: int) -> int:
        if extra < 24:
            return extra
        if extra > 27:
            raise Unreadable("the body is not CBOR")
        return int.from_bytes(self._take(1 << (extra - 24)), "big")

    def _refuse_longer_than_data(self, count: int) -> None:
        if count > len(self._data) - self.at:
            raise Unreadable("the body ends early")

    def _take(self, count: int) -> bytes:
        self._refuse_longer_than_data(count)
        self.at += count
        return self._data[self.at - count : self.at]


class CborService(ModelService):
    """`ModelService` for clients that speak smithy-rpc-v2-cbor."""

    def _find(self, request: Request) -> Found:
        found = PATH.fullmatch(request.path)
        if found is None or found[1] not in self._model.operation_names:
            text = f"{self.service_name} has no operation at {request.path}"
            raise AwsError("UnknownOperationException", text, status=404)
        return Found(operation=self._model.operation_model(found[1]))

    def _read(self, request: Request, found: Found) -> dict[str, Any]:
        data = request.get_data(cache=True)
        body = decode(data) if data else {}
        if not isinstance(body, dict):
            raise Unreadable("the body is no CBOR map")
        shape = found.operation.input_shape
        return from_json(body, shape) if shape is not None else {}

    def _write(self, operation: OperationModel, answer: Mapping[str, Any] | None) -> Response:
        shape = operation.output_shape
        return cbor_response(_typed(answer or {}, shape) if shape is not None else {}, 200)

    def _write_error(self, request: Request, error: AwsError) -> Response:
        request.environ[ERROR_KEY] = error.code
        status = self._with_status(error).status
        response = cbor_response({"__type": error.code, "message": error.message}, status)
        side = "Sender" if status < 500 else "Receiver"
        response.headers["x-amzn-query-error"] = f"{error.code};{side}"
        return response


def cbor_response(body: Any, status: int) -> Response:
    """An answer with this body."""
    response = Response(encode(body), status=status, content_type=MIME)
    response.headers["smithy-protocol"] = "rpc-v2-cbor"
    return response


def _typed(value: Any, shape: Shape) -> Any:
    """`value` with its timestamps as `Moment`s and its numbers as the model has them."""
    kind = shape.type_name
    if kind == "structure":
        present = {key: item for key, item in value.items() if item is not None}
        return {key: _typed(item, shape.members[key]) for key, item in present.items()}
    if kind == "list":
        return [_typed(item, shape.member) for item in value]
    if kind == "map":
        return {key: _typed(item, shape.value) for key, item in value.items()}
    if kind == "timestamp":
        return Moment(value.timestamp() if isinstance(value, datetime) else float(value))
    if kind in ("float", "double"):
        return float(value) if math.isfinite(value) else None
    return value
