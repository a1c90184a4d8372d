"""What is kept in Pedigree's own bucket for nobody: uploads never ended, archives of no release."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from deployment.sweep.reader import DAYS, GB, Reader, removal
from deployment.sweep.resource import OWNER, RELEASE, Kind, Resource
from experiments.aws import is_code
from experiments.errors import CloudError


class Storage(Reader):
    """Reads the bucket."""

    def uploads(self) -> Iterator[Resource]:
        """Uploads in parts that were begun in Pedigree's own bucket and not ended."""
        for found in self._in_bucket("list_multipart_uploads", "Uploads"):
            key, upload = found["Key"], found["UploadId"]
            place = {"Bucket": self.bucket, "Key": key, "UploadId": upload}
            parts = self.cloud.pages("s3", "list_parts", "Parts", **place)
            size = sum(Decimal(part["Size"]) for part in parts)
            yield Resource(
                kind=Kind.UPLOAD,
                name=f"{key} ({upload})",
                tags={OWNER: "pedigree"},
                created_at=found["Initiated"],
                usd_per_day=self.price(size / GB / DAYS, "s3", "standard_storage"),
                remove=(removal("s3", "abort_multipart_upload", **place),),
            )

    def archives(self) -> Iterator[Resource]:
        """The files of each release, by the folder that its id names."""
        folders: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for found in self._in_bucket("list_objects_v2", "Contents", Prefix="models/"):
            parts = found["Key"].split("/")
            if len(parts) >= 4:
                folders["/".join(parts[:3])].append(found)
        for folder, files in folders.items():
            size = sum(Decimal(file["Size"]) for file in files)
            calls = [
                removal("s3", "delete_object", Bucket=self.bucket, Key=file["Key"])
                for file in files
            ]
            yield Resource(
                kind=Kind.ARCHIVE,
                name=folder,
                tags={OWNER: "pedigree", RELEASE: folder.rsplit("/", 1)[-1]},
                created_at=max(file["LastModified"] for file in files),
                usd_per_day=self.price(size / GB / DAYS, "s3", "standard_storage"),
                remove=tuple(calls),
            )

    def _in_bucket(self, operation: str, member: str, **params: Any) -> list[Any]:
        try:
            return self.cloud.pages("s3", operation, member, Bucket=self.bucket, **params)
        except CloudError as error:
            if is_code(error, "NoSuchBucket"):
                return []
            raise
