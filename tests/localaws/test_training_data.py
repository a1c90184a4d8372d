"""Which objects a channel holds, under which names, and how shards are dealt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.sagemaker.training_data import ChannelFile, channel_files, download, share
from localaws.storage.objects import Objects
from localaws.wire.protocol import AwsError


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    made = Objects(tmp_path / "s3", bucket_exists=lambda bucket: bucket == "data")
    for key in ("set/train/a.jpg", "set/train/b/c.jpg", "set/train2/d.jpg", "set/empty/", "top"):
        made.put("data", key, key.encode())
    yield made
    made.close()


def channel(uri: str, **members: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, **members}
    return {"ChannelName": "training", "DataSource": {"S3DataSource": source}}


def names(objects: Objects, uri: str) -> list[str]:
    found = channel_files(channel(uri), objects, region="us-east-1", role="role")
    return [file.name for file in found]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://data/set/train/", ["a.jpg", "b/c.jpg"]),
        ("s3://data/set/train2", ["d.jpg"]),
        ("s3://data/set/train", ["train/a.jpg", "train/b/c.jpg", "train2/d.jpg"]),
        ("s3://data/top", ["top"]),
        ("s3://data", [
            "set/train/a.jpg", "set/train/b/c.jpg", "set/train2/d.jpg", "top",
        ]),
    ],
)  # fmt: skip
def test_names_below_the_channel(objects: Objects, uri: str, expected: list[str]) -> None:
    assert names(objects, uri) == expected


@pytest.mark.parametrize("uri", ["s3://data/nothing", "s3://other/set", "s3://data/set/empty/"])
def test_nothing_to_read_is_told_in_aws_words(objects: Objects, uri: str) -> None:
    with pytest.raises(AwsError, match="No S3 objects found under S3 URL") as refused:
        names(objects, uri)
    assert refused.value.code == "ValidationException"


def test_download_writes_private_copies(objects: Objects, tmp_path: Path) -> None:
    files = channel_files(channel("s3://data/set/train/"), objects, region="us-east-1", role="role")
    download(files, tmp_path / "out", objects)
    (tmp_path / "out/a.jpg").write_text("changed by the job")
    assert objects.get("data", "set/train/a.jpg") == b"set/train/a.jpg"
    assert (tmp_path / "out/b/c.jpg").read_bytes() == b"set/train/b/c.jpg"


@given(count=st.integers(0, 30), hosts=st.integers(1, 8))
def test_shards_are_a_fair_partition(count: int, hosts: int) -> None:
    files = [ChannelFile(bucket="data", key=f"{n:03}", name=f"{n:03}") for n in range(count)]
    sharded = channel("s3://data/", S3DataDistributionType="ShardedByS3Key")
    shards = [share(files, sharded, host, hosts) for host in range(hosts)]
    assert sorted(file.key for shard in shards for file in shard) == [file.key for file in files]
    sizes = [len(shard) for shard in shards]
    assert max(sizes) - min(sizes) <= 1
    replicated = channel("s3://data/")
    assert all(share(files, replicated, host, hosts) == files for host in range(hosts))
