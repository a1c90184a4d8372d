"""What is live, and the photos to try it with. Reads are cached for seconds; asking never is."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import streamlit as st

from dashboard import sources
from dashboard.records import LiveRelease, Photo
from deployment.invoke import MAX_IMAGE_BYTES, Answer, invoke
from deployment.monthly import Standing, standing_usd_per_hour
from deployment.settings import VARIANT, ServingSettings
from deployment.store import ReleaseStore
from experiments.aws import Boto3Cloud, is_code
from experiments.errors import CloudError, DataError, PriceError
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
_RELEASES = "releases/"


def releases() -> tuple[LiveRelease, ...]:
    """Every live release, by name. Raises CloudError if the cloud is down."""
    cloud = sources.open_cloud()
    return _releases(str(cloud.address.endpoint_url), cloud)


def ask(live: LiveRelease, photo: Photo) -> Answer:
    """Send the photo through the function in front of the endpoint. Raises as `invoke` does."""
    cloud = sources.open_cloud()
    cloud.client("lambda")  # made before the clock starts: it takes longer than the call
    return invoke(cloud, live.settings, photo.data, photo.content_type, book=latest_book())


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
        standing_usd_per_h=_standing_usd_per_h(record.release.settings, cloud.region),
        basis=cloud.basis,
        region=cloud.region,
        cloud_url=cloud.address.endpoint_url,
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


def _standing_usd_per_h(settings: ServingSettings, region: str) -> Decimal | None:
    there = Standing(
        instance_type=settings.instance_type,
        min_instances=settings.min_instances,
        max_instances=settings.max_instances,
        provisioned_concurrency=settings.provisioned_concurrency,
        memory_mb=settings.memory_mb,
        stored_bytes=0,
    )
    try:
        return standing_usd_per_hour(there, region=region, book=latest_book())
    except PriceError:
        return None


def test_photos() -> Mapping[str, tuple[Path, ...]]:
    """The photos of the test split that was last trained on, by class; empty if there are none."""
    state = sources.home() / ".pedigree"
    try:
        data = Path((state / "last-data").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        data = state / "demo-data"
    return _photos(data / "test")


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
