"""Releases on record in S3: a write-ahead record for each, and a pointer to the live one.

releases/<app>-<stage>/<release_id>.json   written with If-None-Match before anything is done
releases/<app>-<stage>/live.json           which release is live, moved with If-Match
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from deployment.release import Release, ReleaseStatus, release_from_json, release_to_json
from experiments.aws import Cloud, is_code
from experiments.errors import CloudError, ReleaseError
from experiments.foundation import Foundation

_MAX_BYTES = 1 << 20
_HISTORY = 50
_LIVE = "live.json"
_FOLDER = "releases/"
LOCK = "lock.json"


@dataclass(frozen=True, kw_only=True)
class ReleaseRecord:
    """A release as the store remembers it. `etag` is what an update must find unchanged."""

    release: Release
    status: ReleaseStatus
    updated_at: datetime
    message: str = ""
    steps: tuple[str, ...] = ()
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class Live:
    """The releases that went live, the live one last. A rollback takes the last ones off again."""

    history: tuple[str, ...] = ()
    etag: str = ""

    @property
    def release_id(self) -> str:
        """The live release, or empty."""
        return self.history[-1] if self.history else ""

    @property
    def previous_id(self) -> str:
        """What a rollback without a name returns to, or empty."""
        earlier = [name for name in self.history if name != self.release_id]
        return earlier[-1] if earlier else ""

    def after(self, release_id: str, *, back: bool) -> tuple[str, ...]:
        """The history once `release_id` is live; `back` cuts it off behind its last appearance."""
        if back and release_id in self.history:
            last = len(self.history) - self.history[::-1].index(release_id)
            return self.history[:last]
        return (*self.history, release_id)[-_HISTORY:]


@dataclass(frozen=True, kw_only=True)
class ReleaseStore:
    """The releases of one application and stage. All methods raise CloudError."""

    cloud: Cloud
    name: str

    @property
    def bucket(self) -> str:
        return Foundation(account_id=self.cloud.account_id, region=self.cloud.region).bucket

    def key(self, file: str) -> str:
        """The key of a file in this store's folder."""
        return f"{_FOLDER}{self.name}/{file}"

    def ids(self) -> tuple[str, ...]:
        """The ids of all releases on record, oldest first; none without a bucket."""
        try:
            found = self.cloud.pages(
                "s3", "list_objects_v2", "Contents", Bucket=self.bucket, Prefix=self.key("r-")
            )
        except CloudError as error:
            if is_code(error, "NoSuchBucket"):
                return ()
            raise
        names = [item["Key"].rsplit("/", 1)[-1] for item in found]
        return tuple(sorted(n.removesuffix(".json") for n in names if n.endswith(".json")))

    def find(self, release_id: str) -> ReleaseRecord | None:
        """The record of a release, or None."""
        found = self.get(f"{release_id}.json")
        return None if found is None else _record(*found)

    def read(self, release_id: str) -> ReleaseRecord:
        """The record of a release. Raises ReleaseError naming the ones there are."""
        found = self.find(release_id)
        if found is None:
            known = ", ".join(self.ids()[-5:]) or "none yet"
            raise ReleaseError(
                f"there is no release {release_id!r} of {self.name}", fix=f"name one of: {known}"
            )
        return found

    def records(self) -> tuple[ReleaseRecord, ...]:
        """All releases on record, oldest first. Which one is live, the pointer says."""
        found = [self.find(release_id) for release_id in self.ids()]
        live = self.live().release_id
        return tuple(_corrected(record, live) for record in found if record is not None)

    def write(self, record: ReleaseRecord) -> ReleaseRecord:
        """Write a record: a new one must not be there yet, an old one must be as it was read.

        Returns it with its new ETag. Raises ReleaseError if somebody else was faster.
        """
        data = {
            "release": release_to_json(record.release),
            "status": record.status.value,
            "updated_at": record.updated_at.isoformat(),
            "message": record.message,
            "steps": list(record.steps),
        }
        etag = self.put(f"{record.release.release_id}.json", data, etag=record.etag)
        return replace(record, etag=etag)

    def live(self) -> Live:
        """What is live; an empty history before the first release."""
        found = self.get(_LIVE)
        if found is None:
            return Live()
        return Live(history=tuple(str(name) for name in found[0]["history"]), etag=found[1])

    def point(self, live: Live, history: tuple[str, ...], now: datetime) -> Live:
        """Move the pointer. Raises ReleaseError if it was moved since `live` was read."""
        data = {"history": list(history), "moved_at": now.isoformat()}
        return Live(history=history, etag=self.put(_LIVE, data, etag=live.etag))

    def get(self, file: str) -> tuple[dict[str, Any], str] | None:
        """A JSON file of the folder and its ETag, or None."""
        try:
            answer = self.cloud.ask("s3", "get_object", Bucket=self.bucket, Key=self.key(file))
        except CloudError as error:
            if is_code(error, "NoSuchKey", "NoSuchBucket", "404"):
                return None
            raise
        data = answer["Body"].read(_MAX_BYTES + 1)
        try:
            content = json.loads(data) if len(data) <= _MAX_BYTES else None
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise self._unreadable(file)
        return content, str(answer["ETag"])

    def put(self, file: str, data: Mapping[str, Any], *, etag: str) -> str:
        """Write a JSON file, which must still have `etag`, or not be there if that is empty."""
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        try:
            answer = self.cloud.ask(
                "s3",
                "put_object",
                Bucket=self.bucket,
                Key=self.key(file),
                Body=json.dumps(data, indent=1).encode(),
                ContentType="application/json",
                **condition,
            )
        except CloudError as error:
            if is_code(error, "PreconditionFailed", "412", "ConditionalRequestConflict", "409"):
                raise self._conflict(file) from error
            raise
        return str(answer["ETag"])

    def _conflict(self, file: str) -> ReleaseError:
        return ReleaseError(
            f"conflict: {self.key(file)} was written by somebody else in the meantime",
            fix="look at `pedigree releases`, then run the same command again",
        )

    def _unreadable(self, file: str) -> ReleaseError:
        return ReleaseError(
            f"{self.key(file)} in {self.bucket} is not what pedigree wrote there",
            fix="restore it, or remove it if no release is under way",
        )


def _corrected(record: ReleaseRecord, live: str) -> ReleaseRecord:
    """A command that died after moving the pointer leaves the old release's record behind."""
    if record.status is ReleaseStatus.LIVE and record.release.release_id != live:
        return replace(record, status=ReleaseStatus.SUPERSEDED)
    return record


def applications(cloud: Cloud, stage: str) -> tuple[str, ...]:
    """The applications that have releases in this stage, by name. Empty without a bucket."""
    names = every_application(cloud)
    return tuple(name.removesuffix(f"-{stage}") for name in names if name.endswith(f"-{stage}"))


def every_application(cloud: Cloud) -> tuple[str, ...]:
    """`<app>-<stage>` of everything that was ever released. Empty without a bucket."""
    bucket = Foundation(account_id=cloud.account_id, region=cloud.region).bucket
    try:
        found = cloud.pages(
            "s3", "list_objects_v2", "CommonPrefixes", Bucket=bucket, Prefix=_FOLDER, Delimiter="/"
        )
    except CloudError as error:
        if is_code(error, "NoSuchBucket"):
            return ()
        raise
    return tuple(item["Prefix"].removeprefix(_FOLDER).rstrip("/") for item in found)


def _record(data: dict[str, Any], etag: str) -> ReleaseRecord:
    try:
        return ReleaseRecord(
            release=release_from_json(data["release"]),
            status=ReleaseStatus(data["status"]),
            updated_at=datetime.fromisoformat(data["updated_at"]),
            message=str(data["message"]),
            steps=tuple(data["steps"]),
            etag=etag,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ReleaseError(
            f"a release record cannot be read: {error!r}",
            fix="use the version of pedigree that wrote it",
        ) from error
