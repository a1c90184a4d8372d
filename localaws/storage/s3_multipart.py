"""S3's multipart operations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from localaws.clock import Timer
from localaws.storage.byte_ranges import copy_range
from localaws.storage.checksums import HASHERS
from localaws.storage.objects import Objects
from localaws.storage.s3_body import receive_body
from localaws.storage.s3_call import (
    Answer,
    Call,
    not_implemented,
    quoted,
    refuse_unkept,
    write_check,
)
from localaws.storage.s3_objects import describe, open_source, written
from localaws.storage.uploads import Part, Upload, chosen_parts
from localaws.wire.protocol import AwsError

_MAX_PARTS = 10_000
_PAGE = 1000


class MultipartOperations:
    """One method for each operation, named as botocore names it."""

    def __init__(self, objects: Objects, clock: Timer) -> None:
        self._objects = objects
        self._uploads = objects.uploads
        self._clock = clock

    def create_multipart_upload(self, call: Call) -> Answer:
        """The upload's id is on disk when this is answered."""
        refuse_unkept(call)
        self._objects.require_bucket(call.bucket)
        algorithm = call.params.get("ChecksumAlgorithm")
        if algorithm is not None and algorithm not in HASHERS:
            raise not_implemented(f"the checksum algorithm {algorithm}")
        default_type = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
        upload = self._uploads.create(
            bucket=call.bucket,
            key=call.key,
            described=describe(call.params),
            started=self._clock.now(),
            algorithm=algorithm,
            checksum_type=call.params.get("ChecksumType", default_type),
        )
        values = {
            "Bucket": upload.bucket,
            "Key": upload.key,
            "UploadId": upload.upload_id,
            "ChecksumAlgorithm": algorithm,
            "ChecksumType": upload.checksum_type if algorithm else None,
            "ServerSideEncryption": "AES256",
        }
        return Answer(values=values)

    def upload_part(self, call: Call) -> Answer:
        """The part is on disk when this is answered."""
        upload, number = self._upload(call), self._part_number(call)
        also = {upload.algorithm} if upload.algorithm else set()
        blob = receive_body(call.request, self._objects.blobs, also)
        part = self._uploads.keep_part(upload, number, blob, self._clock.now())
        values: dict[str, Any] = {"ETag": quoted(part.md5), "ServerSideEncryption": "AES256"}
        return Answer(values=values | _part_checksums(part))

    def upload_part_copy(self, call: Call) -> Answer:
        """A part from (a range of) an existing object."""
        upload, number = self._upload(call), self._part_number(call)
        source, file = open_source(self._objects, call.params)
        with file:
            span = copy_range(call.params.get("CopySourceRange"), source.size)
            left = source.size
            if span is not None:
                file.seek(span.first)
                left = span.length

            def read(size: int) -> bytes:
                nonlocal left
                data = file.read(min(size, left))
                left -= len(data)
                return data

            also = {upload.algorithm} if upload.algorithm else set()
            blob = self._objects.blobs.receive(read, also)
        part = self._uploads.keep_part(upload, number, blob, self._clock.now())
        result = {"ETag": quoted(part.md5), "LastModified": part.last_modified}
        return Answer(values={"CopyPartResult": result | _part_checksums(part)})

    def complete_multipart_upload(self, call: Call) -> Answer:
        """All named parts become one object, at once."""
        upload = self._upload(call)
        check = write_check(call.params)
        check(self._objects.index.get(call.bucket, call.key))
        wanted = call.params.get("MultipartUpload", {}).get("Parts", [])
        parts = chosen_parts(self._uploads.parts(upload), wanted)
        blob = self._uploads.assemble(upload, parts)
        self._verify_whole(call, upload, blob.checksums, blob.blob_id)
        entry = self._objects.entry_for(call.bucket, call.key, blob, headers={})
        entry = replace(
            entry,
            **upload.described,
            checksum_type=upload.checksum_type,
            part_sizes=tuple(part.size for part in parts),
        )
        entry = self._objects.commit(entry, check)
        self._uploads.forget(upload)
        location = f"{call.request.host_url}{call.bucket}/{quote(call.key)}"
        values = {"Location": location, "Bucket": call.bucket, "Key": call.key}
        return Answer(values=values | written(entry))

    def abort_multipart_upload(self, call: Call) -> Answer:
        """The parts are gone afterwards."""
        self._uploads.forget(self._upload(call))
        return Answer(status=204)

    def list_parts(self, call: Call) -> Answer:
        """Up to 1000 parts, by marker."""
        upload = self._upload(call)
        marker = call.params.get("PartNumberMarker", 0)
        marker = int(marker) if str(marker).isdigit() else 0
        limit = min(call.params.get("MaxParts", _PAGE), _PAGE)
        after = [part for part in self._uploads.parts(upload) if part.number > marker]
        page = after[:limit]
        truncated = len(after) > len(page)
        items = [
            {
                "PartNumber": part.number,
                "LastModified": part.last_modified,
                "ETag": quoted(part.md5),
                "Size": part.size,
                **_part_checksums(part),
            }
            for part in page
        ]
        owner = {"ID": call.caller.account_id}
        values = {
            "Bucket": upload.bucket,
            "Key": upload.key,
            "UploadId": upload.upload_id,
            "PartNumberMarker": marker,
            "NextPartNumberMarker": page[-1].number if truncated else None,
            "MaxParts": limit,
            "IsTruncated": truncated,
            "Parts": items,
            "Initiator": owner,
            "Owner": owner,
            "StorageClass": upload.described["headers"].get("StorageClass", "STANDARD"),
            "ChecksumAlgorithm": upload.algorithm,
            "ChecksumType": upload.checksum_type if upload.algorithm else None,
        }
        return Answer(values=values)

    def list_multipart_uploads(self, call: Call) -> Answer:
        """All uploads in progress under a prefix, in one page."""
        refuse_unkept(call)
        self._objects.require_bucket(call.bucket)
        if "Delimiter" in call.params:
            raise not_implemented("ListMultipartUploads with a delimiter")
        prefix = call.params.get("Prefix", "")
        safe = "/-_.*" if call.params.get("EncodingType") == "url" else None
        owner = {"ID": call.caller.account_id}
        items = [
            {
                "Key": upload.key if safe is None else quote(upload.key, safe=safe),
                "UploadId": upload.upload_id,
                "Initiated": upload.started,
                "StorageClass": upload.described["headers"].get("StorageClass", "STANDARD"),
                "Owner": owner,
                "Initiator": owner,
            }
            for upload in self._uploads.list_all(call.bucket)
            if upload.key.startswith(prefix)
        ]
        values = {
            "Bucket": call.bucket,
            "Prefix": prefix,
            "EncodingType": call.params.get("EncodingType"),
            "MaxUploads": _PAGE,
            "IsTruncated": False,
            "Uploads": items,
        }
        return Answer(values=values)

    def _upload(self, call: Call) -> Upload:
        refuse_unkept(call)
        self._objects.require_bucket(call.bucket)
        return self._uploads.find(call.bucket, call.key, call.params["UploadId"])

    def _part_number(self, call: Call) -> int:
        number: int = call.params["PartNumber"]
        if not 1 <= number <= _MAX_PARTS:
            text = "Part number must be an integer between 1 and 10000, inclusive"
            raise AwsError("InvalidArgument", text)
        return number

    def _verify_whole(self, call: Call, upload: Upload, checksums: Any, blob_id: str) -> None:
        for name, value in checksums.items():
            given = call.params.get(f"Checksum{name}", value)
            # A client may leave out the "-<parts>" that S3 appends to a composite checksum.
            if given not in (value, value.partition("-")[0]):
                self._objects.blobs.discard(blob_id)
                text = f"The {name} you specified did not match the calculated checksum."
                raise AwsError("BadDigest", text)


def _part_checksums(part: Part) -> dict[str, str]:
    return {f"Checksum{name}": value for name, value in part.checksums.items()}
