"""What an endpoint captured: SageMaker's JSON Lines below an S3 address, oldest first."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from experiments.aws import Cloud
from experiments.errors import DataError

MAX_OBJECTS = 20_000
MAX_BYTES = 512 * 1024 * 1024


def captured_lines(cloud: Cloud, place: str, *, since: datetime | None = None) -> list[str]:
    """The lines of all `.jsonl` objects below `s3://bucket/prefix` written at or after `since`.

    Raises DataError where there are none or more than MAX_OBJECTS or MAX_BYTES, and CloudError.
    """
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    found = cloud.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix)
    objects = [item for item in found if _is_wanted(item, since)]
    size = sum(item["Size"] for item in objects)
    if not objects:
        raise DataError(
            f"nothing was captured below {place}"
            + (f" since {since:%Y-%m-%d %H:%M}" if since else ""),
            fix="wait until the endpoint has answered and written its sample, or look further back",
        )
    if size > MAX_BYTES or len(objects) > MAX_OBJECTS:
        raise DataError(
            f"{place} holds {len(objects)} captured files of {size} bytes",
            fix=f"look at a shorter time: at most {MAX_OBJECTS} files and {MAX_BYTES} bytes are read",
        )
    lines: list[str] = []
    for item in sorted(objects, key=lambda item: str(item["Key"])):
        answer = cloud.ask("s3", "get_object", Bucket=bucket, Key=item["Key"])
        body: bytes = answer["Body"].read(MAX_BYTES)
        lines += body.decode("utf-8", errors="replace").splitlines()
    return lines


def _is_wanted(item: dict[str, Any], since: datetime | None) -> bool:
    is_capture = str(item["Key"]).endswith(".jsonl")
    return is_capture and (since is None or item["LastModified"] >= since)
