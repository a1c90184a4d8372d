"""Captured requests are read from S3: all files below an address, oldest first, within limits."""

from __future__ import annotations

import pytest

from experiments.captured import captured_lines
from experiments.errors import DataError
from tests.experiments.fake_cloud import FakeCloud


def test_the_lines_of_every_file_below_an_address_oldest_first() -> None:
    cloud = FakeCloud()
    cloud.ask("s3", "create_bucket", Bucket="the-bucket")
    for name, body in (
        ("dogs/11/b.jsonl", b"c"),
        ("dogs/10/a.jsonl", b"a\nb\n"),
        ("dogs/x", b"no"),
    ):
        cloud.ask("s3", "put_object", Bucket="the-bucket", Key=name, Body=body)
    assert captured_lines(cloud, "s3://the-bucket/dogs") == ["a", "b", "c"]
    with pytest.raises(DataError, match="nothing was captured"):
        captured_lines(cloud, "s3://the-bucket/cats")
