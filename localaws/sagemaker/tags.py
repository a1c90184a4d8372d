"""Tags of SageMaker resources, kept by ARN."""

from __future__ import annotations

from localaws.sagemaker.words import Doc, Params, invalid
from localaws.store import Store
from localaws.wire.protocol import AwsError, Caller

TAG_LIMIT = 50


class Tags:
    """AddTags, ListTags, DeleteTags; creators of resources call `set`, deleters `forget`."""

    def __init__(self, store: Store) -> None:
        self._table = store.table("sagemaker-tags")

    def set(self, resource_arn: str, tags: list[dict[str, str]]) -> None:
        """The tags given at creation; also marks the ARN as one that exists."""
        self._table.put(resource_arn, {tag["Key"]: tag["Value"] for tag in tags})

    def forget(self, resource_arn: str) -> None:
        """The resource is gone."""
        self._table.delete(resource_arn)

    def add_tags(self, params: Params, caller: Caller) -> Doc:
        """SageMaker AddTags."""
        del caller
        tags = self._of(params["ResourceArn"])
        tags |= {tag["Key"]: tag["Value"] for tag in params["Tags"]}
        if len(tags) > TAG_LIMIT:
            raise AwsError("ResourceLimitExceeded", f"A resource has at most {TAG_LIMIT} tags.")
        self._table.put(params["ResourceArn"], tags)
        return {"Tags": _listed(tags)}

    def list_tags(self, params: Params, caller: Caller) -> Doc:
        """SageMaker ListTags; all of them fit on one page."""
        del caller
        return {"Tags": _listed(self._of(params["ResourceArn"]))}

    def delete_tags(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DeleteTags."""
        del caller
        kept = self._of(params["ResourceArn"])
        for key in params["TagKeys"]:
            kept.pop(key, None)
        self._table.put(params["ResourceArn"], kept)
        return {}

    def _of(self, resource_arn: str) -> dict[str, str]:
        tags = self._table.get(resource_arn)
        if tags is None:
            raise invalid(f"Resource not found: {resource_arn}")
        return tags


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
