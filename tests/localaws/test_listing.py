"""Pages of List operations: complete, in order, and stable while things come and go."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.sagemaker.listing import Columns, page
from localaws.wire.protocol import AwsError

COLUMNS = Columns(name="Name", status="Status")

docs = st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(0, 3), max_size=12).map(
    lambda made: [
        {"Name": name, "Status": "Done" if at % 2 else "Open", "CreationTime": float(at)}
        for name, at in made.items()
    ]
)


def all_pages(found: list[dict[str, Any]], **params: Any) -> list[str]:
    names: list[str] = []
    token = None
    while True:
        asked = {**params, **({"NextToken": token} if token else {})}
        chosen, token = page(found, asked, COLUMNS)
        names += [doc["Name"] for doc in chosen]
        if token is None:
            return names


@given(
    found=docs,
    size=st.integers(1, 5),
    by=st.sampled_from(["Name", "CreationTime", "Status"]),
    order=st.sampled_from(["Ascending", "Descending"]),
)
def test_pages_are_the_whole_list_in_order(
    found: list[dict[str, Any]], size: int, by: str, order: str
) -> None:
    names = all_pages(found, MaxResults=size, SortBy=by, SortOrder=order)
    ranked = sorted(found, key=lambda doc: (doc[by], doc["Name"]), reverse=order == "Descending")
    assert names == [doc["Name"] for doc in ranked]


def test_a_page_goes_on_where_the_last_ended_though_that_was_deleted() -> None:
    found = [{"Name": n, "Status": "Open", "CreationTime": 0.0} for n in "abcd"]
    params: dict[str, Any] = {"MaxResults": 2, "SortBy": "Name", "SortOrder": "Ascending"}
    _, token = page(found, params, COLUMNS)
    rest, _ = page([found[0], *found[2:]], {**params, "NextToken": token}, COLUMNS)
    assert [doc["Name"] for doc in rest] == ["c", "d"]


def test_filters() -> None:
    found = [
        {"Name": "Beagle-1", "Status": "Open", "CreationTime": 10.0},
        {"Name": "collie-1", "Status": "Done", "CreationTime": 20.0},
    ]
    for params, expected in (
        ({"NameContains": "beagle"}, ["Beagle-1"]),
        ({"StatusEquals": "Done"}, ["collie-1"]),
        ({"CreationTimeAfter": 15.0}, ["collie-1"]),
        ({"CreationTimeBefore": 15.0}, ["Beagle-1"]),
        ({}, ["collie-1", "Beagle-1"]),
    ):
        assert all_pages(found, **params) == expected


def test_a_token_from_elsewhere_is_refused() -> None:
    with pytest.raises(AwsError, match="Invalid pagination token"):
        page([], {"NextToken": "nonsense"}, COLUMNS)
