"""Input channels: which objects a channel holds, who gets which, and the download."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from localaws.access.role_objects import ObjectStore
from localaws.sagemaker.words import Params, invalid, split_s3_uri
from localaws.wire.protocol import AwsError


@dataclass(frozen=True, kw_only=True)
class ChannelFile:
    """One object and its name below the channel's folder."""

    bucket: str
    key: str
    name: str


def channel_files(
    channel: Params, objects: ObjectStore, *, region: str, role: str
) -> list[ChannelFile]:
    """Every file of the channel, sorted. Raises AWS's error when there is none."""
    source = channel["DataSource"]["S3DataSource"]
    uri = source["S3Uri"]
    bucket, key = split_s3_uri(uri)
    try:
        if source["S3DataType"] == "ManifestFile":
            found = _from_manifest(json.loads(objects.get(bucket, key)))
        else:
            found = _from_prefix(bucket, key, objects)
    except AwsError as error:
        raise invalid(_nothing_found(uri, bucket, region, role, error.message)) from error
    except ValueError as error:
        raise invalid(f"The data at {uri} cannot be used: {error}") from error
    if not found:
        raise invalid(_nothing_found(uri, bucket, region, role, "null"))
    return found


def _nothing_found(uri: str, bucket: str, region: str, role: str, said: str) -> str:
    return (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that '
        f"the bucket exists in the selected region ({region}), that objects exist under that S3 "
        f'prefix, and that the role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}". '
        f"Error message from S3: {said}"
    )


def _from_prefix(bucket: str, prefix: str, objects: ObjectStore) -> list[ChannelFile]:
    listed = [info.key for info in objects.list(bucket, prefix) if not info.key.endswith("/")]
    # A prefix that ends inside a name (data/train-) keeps the whole name.
    cut = len(prefix) if not prefix or prefix.endswith("/") else prefix.rfind("/") + 1
    inside = prefix.rstrip("/") + "/"
    if prefix and all(key.startswith(inside) for key in listed):
        cut = len(inside)
    return [ChannelFile(bucket=bucket, key=key, name=_safe(key[cut:])) for key in listed]


def _from_manifest(manifest: object) -> list[ChannelFile]:
    if not isinstance(manifest, list) or not manifest or not isinstance(manifest[0], dict):
        raise ValueError('it must be a list that starts with {"prefix": "s3://..."}')
    bucket, prefix = split_s3_uri(str(manifest[0].get("prefix", "")))
    return [
        ChannelFile(bucket=bucket, key=prefix + str(suffix), name=_safe(str(suffix)))
        for suffix in sorted(manifest[1:])
    ]


def _safe(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise ValueError(f"the object name {name!r} would leave the channel's folder")
    return name


def share(
    files: Sequence[ChannelFile], channel: Params, host: int, hosts: int
) -> list[ChannelFile]:
    """What host number `host` of `hosts` (from 0) gets: everything, or its shard by S3 key."""
    source = channel["DataSource"]["S3DataSource"]
    if source.get("S3DataDistributionType", "FullyReplicated") == "FullyReplicated":
        return list(files)
    return list(files[host::hosts])


def download(files: Sequence[ChannelFile], folder: Path, objects: ObjectStore) -> None:
    """Write the files below `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        objects.download(file.bucket, file.key, folder / file.name)
