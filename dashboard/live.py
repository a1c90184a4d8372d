"""What is live, and the photos to try it with. Reads are cached for seconds; asking never is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from dashboard import sources
from dashboard.records import LiveRelease, Photo
from deployment.gates.trial import Reply, serve, vcpus
from deployment.invoke import MAX_IMAGE_BYTES, Answer, Way, invoke, standing
from deployment.release import ReleaseStatus
from deployment.rival import ask_archive
from deployment.settings import VARIANT
from deployment.state.observe import function_url
from deployment.store import ReleaseRecord, ReleaseStore
from deployment.straight import ask_endpoint
from experiments.aws import Boto3Cloud, is_code
from experiments.errors import CloudError, DataError
from experiments.foundation import Foundation
from experiments.prices import latest_book

CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
_LIVE_TTL_S = 5
_PHOTOS_TTL_S = 15
_RIVALS_TTL_S = 15
_RELEASES = "releases/"


def releases() -> tuple[LiveRelease, ...]:
    """Every live release, by name. Raises CloudError if the cloud is down."""
    cloud = sources.open_cloud()
    return _releases(str(cloud.address.endpoint_url), cloud)


def ask(live: LiveRelease, photo: Photo, way: Way) -> Answer:
    """Send the photo through the function, or to the endpoint itself. Raises as `invoke` does."""
    cloud, settings = sources.open_cloud(), live.settings
    call = invoke if way is Way.LAMBDA else ask_endpoint
    # Made before the clock starts: it takes longer than the call.
    cloud.client("lambda" if way is Way.LAMBDA else "sagemaker-runtime")
    return call(cloud, settings, photo.data, photo.content_type, book=latest_book())


def rivals(live: LiveRelease) -> tuple[ReleaseRecord, ...]:
    """The releases beside the live one that have an archive, newest first. Raises CloudError."""
    cloud = sources.open_cloud()
    return _rivals(
        str(cloud.address.endpoint_url), live.settings.name, live.release.release_id, cloud
    )


@st.cache_resource(ttl=_RIVALS_TTL_S, show_spinner=False, max_entries=8)
def _rivals(url: str, name: str, live_id: str, _cloud: Boto3Cloud) -> tuple[ReleaseRecord, ...]:
    records = ReleaseStore(cloud=_cloud, name=name).records()
    there = [
        record
        for record in records
        if record.status is not ReleaseStatus.PLANNED and record.release.release_id != live_id
    ]
    return tuple(sorted(there, key=lambda r: r.release.created_at, reverse=True))


def ask_rival(record: ReleaseRecord, photo: Photo) -> Reply:
    """A release that is not live, served on this machine for one question. See `ask_archive`."""
    store = ReleaseStore(cloud=sources.open_cloud(), name=record.release.settings.name)
    settings = record.release.settings
    cores = 1 if settings.is_serverless else vcpus(settings.instance_type)
    return ask_archive(
        store, record.release, photo.data, photo.content_type, trial=serve, cores=cores
    )


@st.cache_resource(ttl=_LIVE_TTL_S, show_spinner=False, max_entries=4)
def _releases(url: str, _cloud: Boto3Cloud) -> tuple[LiveRelease, ...]:
    found = (_live(_cloud, name) for name in _names(_cloud))
    return tuple(live for live in found if live is not None)


def _names(cloud: Boto3Cloud) -> list[str]:
    """The applications and stages that have releases on record: the folders of the store."""
    bucket = Foundation(account_id=cloud.account_id, region=cloud.region).bucket
    try:
        folders = cloud.pages(
            "s3",
            "list_objects_v2",
            "CommonPrefixes",
            Bucket=bucket,
            Prefix=_RELEASES,
            Delimiter="/",
        )
    except CloudError as error:
        if is_code(error, "NoSuchBucket"):
            return []
        raise
    return sorted(str(found["Prefix"]).removeprefix(_RELEASES).strip("/") for found in folders)


def _live(cloud: Boto3Cloud, name: str) -> LiveRelease | None:
    store = ReleaseStore(cloud=cloud, name=name)
    release_id = store.live().release_id
    if not release_id:
        return None
    record = store.read(release_id)
    status, instances = _endpoint(cloud, name)
    return LiveRelease(
        release=record.release,
        since=record.updated_at,
        endpoint_status=status,
        instances=instances,
        standing_usd_per_h=standing(cloud, record.release.settings, latest_book()),
        basis=cloud.basis,
        region=cloud.region,
        cloud_url=cloud.address.endpoint_url,
        function_url=str(
            (function_url(cloud, record.release.settings) or {}).get("FunctionUrl", "")
        ),
    )


def _endpoint(cloud: Boto3Cloud, name: str) -> tuple[str, int | None]:
    """SageMaker's own word for the endpoint's state, and how many instances it runs."""
    try:
        answer = cloud.ask("sagemaker", "describe_endpoint", EndpointName=name)
    except CloudError as error:
        if is_code(error, "ValidationException"):
            return "Missing", None
        raise
    variants = [v for v in answer.get("ProductionVariants", []) if v["VariantName"] == VARIANT]
    count = variants[0].get("CurrentInstanceCount") if variants else None
    return str(answer["EndpointStatus"]), count


def photo_folder() -> Path:
    """The test split of the photos that were last trained on, else of the demo's own."""
    state = sources.home() / ".pedigree"
    try:
        return Path((state / "last-data").read_text(encoding="utf-8")) / "test"
    except (OSError, ValueError):
        return state / "demo-data" / "test"


def test_photos() -> Mapping[str, tuple[Path, ...]]:
    """The photos of the test split, by class; empty if there are none."""
    return _photos(photo_folder())


@st.cache_resource(ttl=_PHOTOS_TTL_S, show_spinner=False, max_entries=4)
def _photos(folder: Path) -> dict[str, tuple[Path, ...]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/*")):
        if path.is_file() and path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"):
            found.setdefault(path.parent.name, []).append(path)
    return {label: tuple(paths) for label, paths in found.items()}


def read_photo(path: Path) -> Photo:
    """A test photo from disk. Raises DataError if it is gone or too big to send."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        raise DataError(
            f"{path.name} cannot be read", fix="draw the photos again: `make demo`"
        ) from error
    if len(data) > MAX_IMAGE_BYTES:
        raise DataError(f"{path.name} is too big", fix=f"send at most {MAX_IMAGE_BYTES} bytes")
    kind = CONTENT_TYPES.get(path.suffix.lower(), "application/octet-stream")
    return Photo(name=path.name, data=data, content_type=kind, label=path.parent.name)
