"""The names and errors of SageMaker's control plane, in AWS's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localaws.settings import Settings
from localaws.wire.protocol import AwsError

Doc = dict[str, Any]
Params = Mapping[str, Any]


def arn(settings: Settings, kind: str, name: str) -> str:
    """`kind` is the ARN's resource type: training-job, model, endpoint-config, endpoint."""
    return f"arn:aws:sagemaker:{settings.region}:{settings.account_id}:{kind}/{name}"


def invalid(message: str) -> AwsError:
    """A request that SageMaker refuses."""
    return AwsError("ValidationException", message)


def could_not_find(what: str, resource_arn: str) -> AwsError:
    """`what`: model, endpoint configuration, endpoint."""
    return invalid(f'Could not find {what} "{resource_arn}".')


def already_exists(what: str, resource_arn: str) -> AwsError:
    """`what`: model, endpoint configuration, endpoint."""
    return invalid(f'Cannot create already existing {what} "{resource_arn}".')


def in_progress(endpoint_arn: str) -> AwsError:
    """An endpoint that is being created, changed or deleted."""
    return invalid(f'Cannot update in-progress endpoint "{endpoint_arn}".')


def unsupported(what: str, instead: str) -> AwsError:
    """Something that AWS does and localaws does not; `instead` names the way out."""
    return invalid(f"localaws does not support {what}: {instead}. See localaws/DIFFERENCES.md.")


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Bucket and key (or prefix) of an s3:// or https:// address."""
    scheme, _, rest = uri.partition("://")
    if scheme != "s3":
        raise invalid(f"The S3 URI {uri} must start with s3://.")
    bucket, _, key = rest.partition("/")
    return bucket, key
