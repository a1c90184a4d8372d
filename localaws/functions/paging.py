"""One page of a list, as Lambda's list operations cut it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from localaws.functions.names import invalid

Item = TypeVar("Item")
_PAGE_MAX_ITEMS = 50


def page(
    items: Sequence[Item], params: Mapping[str, Any], *, key: Callable[[Item], str]
) -> tuple[list[Item], str | None]:
    """At most MaxItems (50) items after Marker, and the next Marker or None.

    The marker is the `key` of the last item of a page.
    """
    start = 0
    if params.get("Marker"):
        keys = [key(item) for item in items]
        if params["Marker"] not in keys:
            raise invalid("Invalid marker: list again from the start")
        start = keys.index(params["Marker"]) + 1
    end = start + min(params.get("MaxItems", _PAGE_MAX_ITEMS), _PAGE_MAX_ITEMS)
    cut = list(items[start:end])
    return cut, (key(cut[-1]) if end < len(items) and cut else None)
