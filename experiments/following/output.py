"""What a run has printed and left: its live lines, and the tables and pictures of its output."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from experiments.aws import Cloud, is_code
from experiments.errors import CloudError, RunError
from experiments.records import LaunchPlan, RunHandle

_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_MOST_AT_ONCE_BYTES = 8 * 1024**2
_MAX_OUTPUT_BYTES = 256 * 1024**2
_TEXTS = (".json", ".jsonl")
_PICTURES = (".png",)


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """How far the live lines of a run have been read: a token for each log stream, or a byte count."""

    tokens: tuple[tuple[str, str], ...] = ()
    read_bytes: int = 0


def live_lines(
    cloud: Cloud, handle: RunHandle, plan: LaunchPlan, cursor: Cursor
) -> tuple[list[str], Cursor]:
    """The lines a run has printed since `cursor`, and the cursor for the next call."""
    if handle.launcher == "ec2":
        data = read_from(cloud, f"{plan.output_uri}console.log", cursor.read_bytes)
        whole = data[: data.rfind(b"\n") + 1]
        read_bytes = cursor.read_bytes + len(whole)
        return whole.decode("utf-8", "replace").splitlines(), Cursor(read_bytes=read_bytes)
    tokens = dict(cursor.tokens)
    lines = []
    for stream in _streams(cloud, handle.resource_id):
        found, tokens[stream] = _stream_lines(cloud, stream, tokens.get(stream))
        lines += found
    return lines, Cursor(tokens=tuple(tokens.items()))


def _streams(cloud: Cloud, job: str) -> list[str]:
    try:
        found = cloud.pages(
            "logs",
            "describe_log_streams",
            "logStreams",
            logGroupName=_LOG_GROUP,
            logStreamNamePrefix=f"{job}/",
        )
    except CloudError as error:
        if is_code(error, "ResourceNotFoundException"):
            return []
        raise
    return [stream["logStreamName"] for stream in found]


def _stream_lines(cloud: Cloud, stream: str, token: str | None) -> tuple[list[str], str]:
    lines: list[str] = []
    while True:
        more = {"nextToken": token} if token else {}
        answer = cloud.ask(
            "logs",
            "get_log_events",
            logGroupName=_LOG_GROUP,
            logStreamName=stream,
            startFromHead=True,
            **more,
        )
        lines += [event["message"] for event in answer["events"]]
        if answer["nextForwardToken"] == token:
            return lines, answer["nextForwardToken"]
        token = answer["nextForwardToken"]


def output_files(cloud: Cloud, plan: LaunchPlan) -> dict[str, bytes]:
    """The tables and pictures of a run's output, by name; `events.jsonl` among them is the whole truth
    once it ended. Raises RunError for an archive that cannot be read."""
    return _archived(cloud, plan.output_uri, (*_TEXTS, *_PICTURES))


def output_texts(cloud: Cloud, output_uri: str) -> dict[str, str]:
    """The text files at the top of output.tar.gz under `output_uri`, by name; empty if there is none.

    Raises RunError for an archive that cannot be read.
    """
    found = _archived(cloud, output_uri, _TEXTS)
    return {name: data.decode("utf-8", "replace") for name, data in found.items()}


def _archived(cloud: Cloud, output_uri: str, suffixes: tuple[str, ...]) -> dict[str, bytes]:
    uri = f"{output_uri}output.tar.gz"
    data = read_object(cloud, uri)
    try:
        return dict(_files(data, suffixes)) if data else {}
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise RunError(f"{uri} is damaged: {error}", fix="the log kept here has it all") from error


def _files(archive: bytes, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    left = _MAX_OUTPUT_BYTES
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for entry in tar:
            name = entry.name.removeprefix("./")
            wanted = "/" not in name and name.endswith(suffixes)
            if not (wanted and entry.isfile()) or entry.size > left:
                continue
            left -= entry.size
            stream = tar.extractfile(entry)
            if stream is not None:
                yield name, stream.read()


def read_object(cloud: Cloud, uri: str) -> bytes | None:
    """The bytes at an S3 URI (at most 256 MiB), or None if nothing is there."""
    parts = urlsplit(uri)
    try:
        answer = cloud.ask("s3", "get_object", Bucket=parts.netloc, Key=parts.path.lstrip("/"))
    except CloudError as error:
        if is_code(error, "NoSuchKey", "404"):
            return None
        raise
    if answer["ContentLength"] > _MAX_OUTPUT_BYTES:
        raise RunError(f"{uri} is over 256 MiB", fix="look at it by hand; it is not read here")
    data: bytes = answer["Body"].read()
    return data


def read_from(cloud: Cloud, uri: str, start: int) -> bytes:
    """What an S3 object that only grows holds from byte `start` on; nothing if it is not there yet."""
    parts = urlsplit(uri)
    place = {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}
    last = start + _MOST_AT_ONCE_BYTES - 1
    try:
        answer = cloud.ask("s3", "get_object", Range=f"bytes={start}-{last}", **place)
    except CloudError as error:
        if is_code(error, "NoSuchKey", "404", "InvalidRange", "416"):
            return b""
        raise
    data: bytes = answer["Body"].read()
    return data


def read_json(cloud: Cloud, uri: str) -> dict[str, Any] | None:
    data = read_object(cloud, uri)
    return json.loads(data) if data else None
