"""Filters, order and pages of the List operations of SageMaker and Application Auto Scaling."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from localaws.sagemaker.words import Doc, Params
from localaws.wire.protocol import AwsError

DEFAULT_PAGE = 10


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which members of a document the filters and the order look at."""

    name: str
    status: str | None = None
    created: str = "CreationTime"
    modified: str = "LastModifiedTime"
    default_order: str = "Descending"


def page(docs: Iterable[Doc], params: Params, columns: Columns) -> tuple[list[Doc], str | None]:
    """The documents of one page and the token of the next (None at the end)."""
    found = [doc for doc in docs if _matches(doc, params, columns)]
    sort_by = params.get("SortBy", "CreationTime")
    member = {
        "Name": columns.name,
        "Status": columns.status,
        "LastModifiedTime": columns.modified,
    }.get(sort_by) or columns.created
    descending = params.get("SortOrder", columns.default_order) == "Descending"

    def rank(doc: Doc) -> tuple[Any, str]:
        return doc[member], doc[columns.name]

    found.sort(key=rank, reverse=descending)
    return cut(found, params, rank=rank, descending=descending)


def cut(
    docs: Sequence[Doc],
    params: Params,
    *,
    rank: Callable[[Doc], tuple[Any, ...]],
    descending: bool = False,
    default_size: int = DEFAULT_PAGE,
) -> tuple[list[Doc], str | None]:
    """The page of sorted `docs` that `params` (NextToken, MaxResults) asks for."""
    rest = list(docs)
    token = params.get("NextToken")
    if token:
        last = _read_token(token)
        rest = [d for d in rest if (rank(d) < last if descending else rank(d) > last)]
    size = params.get("MaxResults") or default_size
    chosen = rest[:size]
    return chosen, _write_token(rank(chosen[-1])) if len(rest) > size else None


def _matches(doc: Doc, params: Params, columns: Columns) -> bool:
    created, modified = doc[columns.created], doc.get(columns.modified, 0.0)
    checks = (
        params.get("NameContains", "").lower() in doc[columns.name].lower(),
        columns.status is None or params.get("StatusEquals") in (None, doc.get(columns.status)),
        created >= params.get("CreationTimeAfter", float("-inf")),
        created <= params.get("CreationTimeBefore", float("inf")),
        modified >= params.get("LastModifiedTimeAfter", float("-inf")),
        modified <= params.get("LastModifiedTimeBefore", float("inf")),
    )
    return all(checks)


def _write_token(rank: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(rank).encode()).decode()


def _read_token(token: str) -> tuple[Any, ...]:
    try:
        return tuple(json.loads(base64.urlsafe_b64decode(token)))
    except (ValueError, TypeError) as error:
        raise AwsError("ValidationException", "Invalid pagination token given.") from error
