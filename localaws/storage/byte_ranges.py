"""Which bytes of an object a read asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localaws.storage.object_index import Entry
from localaws.wire.protocol import AwsError

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """From `first` to `last`, both included; empty when `last` is `first - 1`."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """Bytes in the range."""
        return self.last - self.first + 1


def requested_range(params: Mapping[str, Any], size: int) -> ByteRange | None:
    """The bytes that `Range` names; None for the whole object.

    A Range that is malformed or names several ranges is ignored, as S3 does. Raises `AwsError`
    InvalidRange when it lies outside the object.
    """
    found = _RANGE.fullmatch(params.get("Range", ""))
    if found is None or found.groups() == ("", ""):
        return None
    first_text, last_text = found.groups()
    if not first_text:
        length = min(int(last_text), size)
        first, last = size - length, size - 1
    else:
        first = int(first_text)
        last = min(int(last_text), size - 1) if last_text else size - 1
        if last_text and int(last_text) < first:
            return None
    if first >= size:
        text = "The requested range is not satisfiable"
        fields = {"RangeRequested": params["Range"], "ActualObjectSize": size}
        raise AwsError("InvalidRange", text, status=416, fields=fields)
    return ByteRange(first=first, last=last)


def part_range(entry: Entry, number: int) -> ByteRange:
    """The bytes of part `number` (from 1). Raises `AwsError` InvalidPartNumber."""
    sizes = entry.part_sizes or (entry.size,)
    if not 1 <= number <= len(sizes):
        text = "The requested partnumber is not satisfiable"
        raise AwsError("InvalidPartNumber", text, status=416)
    first = sum(sizes[: number - 1])
    return ByteRange(first=first, last=first + sizes[number - 1] - 1)


def copy_range(text: str | None, size: int) -> ByteRange | None:
    """The bytes that x-amz-copy-source-range names; None for all. Raises `AwsError`."""
    if text is None:
        return None
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", text)
    if found is None:
        raise AwsError("InvalidArgument", "The x-amz-copy-source-range value must be bytes=a-b")
    span = ByteRange(first=int(found[1]), last=int(found[2]))
    if span.length < 1 or span.last >= size:
        message = f"Range specified is not valid for source object of size: {size}"
        raise AwsError("InvalidArgument", message)
    return span
