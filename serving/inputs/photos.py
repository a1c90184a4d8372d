"""The body of a request, read: which photographs it brings or names, and what it asks for."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from serving.errors import RequestError

IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/webp")
JSON_TYPE: Final = "application/json"
MAX_PHOTOS: Final = 16
_WAYS = ("image", "url", "s3")
_LISTS = ("images", "instances")
_FORMS = 'send {"image": base64}, {"url": "https://…"}, {"s3": "s3://…"} or {"instances": [those]}'


@dataclass(frozen=True, kw_only=True)
class Inline:
    """The photograph's own bytes."""

    data: bytes


@dataclass(frozen=True, kw_only=True)
class FromWeb:
    """A photograph behind a URL."""

    url: str


@dataclass(frozen=True, kw_only=True)
class FromBucket:
    """A photograph in S3."""

    uri: str


Source: TypeAlias = Inline | FromWeb | FromBucket


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """At least one photograph. `is_batch`: they came as a list, so the answer is one too.
    `said` holds the JSON object's other members, for `read_options`."""

    sources: tuple[Source, ...]
    is_batch: bool = False
    said: Mapping[str, object] = field(default_factory=dict)


def read_body(body: bytes, content_type: str) -> Wanted:
    """Raises RequestError: of another type, no JSON, no photograph, too many, or bad base64."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in IMAGE_TYPES:
        return Wanted(sources=(Inline(data=body),))
    if kind == JSON_TYPE:
        return _read_object(_read_json(body))
    raise RequestError(
        415,
        "unsupported_content_type",
        f"content type {kind[:80]!r} is not served",
        f"send {', '.join(IMAGE_TYPES)} or {JSON_TYPE}",
    )


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            400, "bad_json", f"the body is not JSON: {str(error)[:200]}", _FORMS
        ) from error
    if not isinstance(content, dict):
        raise RequestError(400, "no_image", "the body is no JSON object", _FORMS)
    return content


def _read_object(content: dict[str, Any]) -> Wanted:
    given = [name for name in (*_WAYS, *_LISTS) if name in content]
    if len(given) != 1:
        said = " and ".join(given) or "no photo"
        raise RequestError(400, "no_image", f"the JSON names {said}, not one way to it", _FORMS)
    (name,) = given
    others = {key: value for key, value in content.items() if key != name}
    if name in _WAYS:
        return Wanted(sources=(_source(name, content[name]),), said=others)
    return Wanted(sources=_list(name, content[name]), is_batch=True, said=others)


def _list(name: str, items: Any) -> tuple[Source, ...]:
    if not isinstance(items, list) or not items:
        raise RequestError(400, "no_image", f"{name} is no list of photos", _FORMS)
    if len(items) > MAX_PHOTOS:
        raise RequestError(
            413,
            "too_many_photos",
            f"{len(items)} photos in one request, the limit is {MAX_PHOTOS}",
            "send several requests",
        )
    return tuple(_item(place, item) for place, item in enumerate(items))


def _item(place: int, item: Any) -> Source:
    if isinstance(item, str):
        return _source("image", item)
    given = [name for name in _WAYS if isinstance(item, dict) and name in item]
    if len(given) != 1:
        raise RequestError(400, "no_image", f"photo {place} is named in no known way", _FORMS)
    return _source(given[0], item[given[0]])


def _source(way: str, value: Any) -> Source:
    if not isinstance(value, str):
        raise RequestError(400, "no_image", f"{way} is no text", _FORMS)
    if way == "url":
        return FromWeb(url=value)
    if way == "s3":
        return FromBucket(uri=value)
    try:
        return Inline(data=base64.b64decode("".join(value.split()), validate=True))
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            400, "bad_base64", f"image is not base64: {error}", "encode the photo's bytes as base64"
        ) from error
