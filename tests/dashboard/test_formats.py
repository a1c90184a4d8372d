"""One way to write each kind of figure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import formats
from experiments.records import Basis


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0.0 s"), (59.94, "59.9 s"), (74.2, "1 min 14 s"), (3725.0, "1 h 02 min")],
)
def test_seconds(value: float | None, text: str) -> None:
    assert formats.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (12.4, "12 ms"), (999.4, "999 ms"), (1500.0, "1.50 s")]
)
def test_milliseconds(value: float | None, text: str) -> None:
    assert formats.milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(16, "16 B"), (9_300, "9 KB"), (3 * 1024 * 1024, "3.0 MB")]
)
def test_size(value: int, text: str) -> None:
    assert formats.size(value) == text


def test_usd_carries_its_basis() -> None:
    assert formats.usd(Decimal("12.5"), Basis.SIMULATED) == "$12.50 simulated"
    assert formats.usd(Decimal("12.5")) == "$12.50"
    assert formats.usd(None, Basis.BILLED) == "–"


def test_moments_are_in_utc() -> None:
    there = timezone(timedelta(hours=2))
    assert formats.moment(datetime(2026, 11, 20, 9, 5, tzinfo=there)) == "2026-11-20 07:05"


@given(st.datetimes(), st.datetimes())
def test_moments_sort_as_text(one: datetime, two: datetime) -> None:
    first, second = sorted((one.replace(tzinfo=UTC), two.replace(tzinfo=UTC)))
    assert formats.moment(first) <= formats.moment(second)


def test_digests_are_cut_and_other_text_is_not() -> None:
    assert formats.short_digest("sha256:" + "ab" * 32) == "sha256:abababababab…"
    assert formats.short_digest("s3://bucket/some:thing") == "s3://bucket/some:thing"


def test_counts_agree_with_their_word() -> None:
    assert [formats.count(n, "run") for n in (0, 1, 1200)] == ["0 runs", "1 run", "1,200 runs"]


def test_classes_are_spoken() -> None:
    assert formats.spoken("curly__coated_retriever") == "Curly coated retriever"
    assert formats.spoken("") == ""
