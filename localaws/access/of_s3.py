"""What S3's requests need. From "Required permissions for Amazon S3 API operations"."""

from __future__ import annotations

from urllib.parse import unquote

from localaws.access.question import ANY, Asked, Question
from localaws.storage.s3_routes import address_of

_ACTIONS = {
    "ListBuckets": "ListAllMyBuckets",
    "ListObjectsV2": "ListBucket",
    "ListObjects": "ListBucket",
    "HeadBucket": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "HeadObject": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "UploadPartCopy": "PutObject",
    "DeleteObjects": "DeleteObject",
    "ListParts": "ListMultipartUploadParts",
    # Bucket configuration; what is deleted needs the right to put it.
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
}
_KEPT = {
    "BucketEncryption": "EncryptionConfiguration",
    "BucketCors": "BucketCORS",
    "BucketLifecycle": "LifecycleConfiguration",
    "BucketLifecycleConfiguration": "LifecycleConfiguration",
    "BucketReplication": "ReplicationConfiguration",
    "BucketAccelerateConfiguration": "AccelerateConfiguration",
    "BucketAnalyticsConfiguration": "AnalyticsConfiguration",
    "BucketInventoryConfiguration": "InventoryConfiguration",
    "BucketMetricsConfiguration": "MetricsConfiguration",
    "BucketIntelligentTieringConfiguration": "IntelligentTieringConfiguration",
    "ObjectLockConfiguration": "BucketObjectLockConfiguration",
    "PublicAccessBlock": "BucketPublicAccessBlock",
}


def asked(question: Question) -> list[Asked]:
    """The action on the bucket or object; a copy also reads its source."""
    address, operation = address_of(question.request), question.operation
    resource = f"arn:aws:s3:::{address.bucket}" if address.bucket else ANY
    if operation == "DeleteObjects":
        resource += "/*"
    elif address.key:
        resource += f"/{address.key}"
    prefix = question.request.args.get("prefix")
    more = {} if prefix is None else {"s3:prefix": [prefix]}
    found = [question.of(resource, f"s3:{_action(operation)}", more)]
    source = question.request.headers.get("X-Amz-Copy-Source")
    if source is not None:
        key = unquote(source.partition("?")[0]).removeprefix("/")
        found.append(question.of(f"arn:aws:s3:::{key}", "s3:GetObject"))
    return found


def _action(operation: str) -> str:
    verb, rest = operation[:3], operation[3:]
    if verb in ("Get", "Put") and rest in _KEPT:
        return verb + _KEPT[rest]
    return _ACTIONS.get(operation, operation)
