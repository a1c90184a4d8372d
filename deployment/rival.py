"""A release that is not live, asked about one photo: its own archive, served on this machine."""

from __future__ import annotations

import hashlib

from deployment.artifact.archive import MAX_ARCHIVE_BYTES
from deployment.gates.trial import Reply, Trial
from deployment.release import Release
from deployment.store import ReleaseStore
from experiments.errors import ReleaseError

_BLOCK = 1 << 20
_WARM_UP = 2
"""Questions before the one that counts: the first ones of a server that has just started are slow."""


def ask_archive(
    store: ReleaseStore,
    release: Release,
    photo: bytes,
    content_type: str,
    *,
    trial: Trial,
    cores: int,
) -> Reply:
    """Fetch the release's archive, hold it against its digest, serve it on loopback, ask, and stop.

    Raises CloudError if the archive cannot be fetched, ReleaseError if it is not the one that was
    released or does not start.
    """
    archive = _fetched(store, release)
    with trial(archive, cores) as served:
        for _ in range(_WARM_UP):
            served.ask(photo, content_type)
        return served.ask(photo, content_type)


def _fetched(store: ReleaseStore, release: Release) -> bytes:
    answer = store.cloud.ask("s3", "get_object", Bucket=store.bucket, Key=release.model.key)
    parts, size = [], 0
    while block := answer["Body"].read(_BLOCK):
        size += len(block)
        if size > MAX_ARCHIVE_BYTES:
            break
        parts.append(block)
    data = b"".join(parts)
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != release.model.digest:
        raise ReleaseError(
            f"the archive of release {release.release_id} is not the one that was released",
            fix=f"promote the run anew: `promote-model {release.run_id}`",
        )
    return data
