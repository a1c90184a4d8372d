"""Reserved and provisioned concurrency, and the account's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from localaws.clock import Timer
from localaws.functions.code import UNZIPPED_MAX_BYTES, ZIPPED_MAX_BYTES
from localaws.functions.limits import (
    ACCOUNT_CONCURRENCY,
    refuse_provisioned,
    refuse_provisioned_target,
    refuse_reserved,
    unpublished,
    unreserved,
)
from localaws.functions.names import (
    LATEST,
    FunctionRef,
    invalid,
    parse_ref,
)
from localaws.functions.paging import page
from localaws.functions.provisioned import ProvisionedPool
from localaws.functions.records import (
    FunctionDoc,
    FunctionRecords,
    configs,
    version_of,
)
from localaws.wire.protocol import AwsError, Caller

_STAMP = "%Y-%m-%dT%H:%M:%S+0000"
TOTAL_CODE_BYTES = 80_530_636_800
_NOT_PUBLISHED = "The function resource provided must be an alias or a published version."


class ConcurrencyOperations:
    """The concurrency operations. `provision(function_arn)` brings the warm environments about."""

    def __init__(
        self,
        *,
        records: FunctionRecords,
        pool: ProvisionedPool,
        provision: Callable[[str], None],
        clock: Timer,
    ) -> None:
        self._records = records
        self._pool = pool
        self._provision = provision
        self._clock = clock

    def put_function_concurrency(self, params: Mapping[str, Any], caller: Caller) -> dict[str, int]:
        """Reserve; at least 100 of the account's 1000 stay unreserved."""
        ref = parse_ref(params["FunctionName"], None, caller).unqualified()
        wanted = params["ReservedConcurrentExecutions"]
        with self._records.change(ref) as doc:
            refuse_reserved(doc, self._others(ref), wanted)
            doc["reserved"] = wanted
        return {"ReservedConcurrentExecutions": wanted}

    def get_function_concurrency(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """The reserved number, absent when nothing is reserved."""
        doc = self._records.get(parse_ref(params["FunctionName"], None, caller))
        return {"ReservedConcurrentExecutions": doc["reserved"]}

    def delete_function_concurrency(self, params: Mapping[str, Any], caller: Caller) -> None:
        """Reserve nothing."""
        ref = parse_ref(params["FunctionName"], None, caller).unqualified()
        with self._records.change(ref) as doc:
            doc["reserved"] = None

    def put_provisioned_concurrency_config(
        self, params: Mapping[str, Any], caller: Caller
    ) -> dict[str, Any]:
        """Keep environments of a version or alias warm; IN_PROGRESS until they are."""
        ref = parse_ref(params["FunctionName"], params["Qualifier"], caller)
        if ref.qualifier in (None, LATEST):
            raise unpublished()
        qualifier = ref.qualifier or LATEST
        wanted = params["ProvisionedConcurrentExecutions"]
        with self._records.change(ref) as doc:
            refuse_provisioned_target(doc, ref, qualifier)
            refuse_provisioned(doc, self._others(ref), qualifier, wanted)
            stamp = datetime.fromtimestamp(self._clock.now(), UTC).strftime(_STAMP)
            doc["provisioned"][qualifier] = {"requested": wanted, "modified": stamp}
        self._provision(ref.function_arn)
        return {
            "RequestedProvisionedConcurrentExecutions": wanted,
            "AllocatedProvisionedConcurrentExecutions": 0,
            "AvailableProvisionedConcurrentExecutions": 0,
            "Status": "IN_PROGRESS",
            "LastModified": stamp,
        }

    def get_provisioned_concurrency_config(
        self, params: Mapping[str, Any], caller: Caller
    ) -> dict[str, Any]:
        """READY once the requested number of environments is warm."""
        ref = parse_ref(params["FunctionName"], params["Qualifier"], caller)
        if ref.qualifier in (None, LATEST):
            raise invalid(_NOT_PUBLISHED)
        doc = self._records.get(ref)
        version_of(doc, ref.qualifier, ref)
        if ref.qualifier not in doc["provisioned"]:
            raise AwsError(
                "ProvisionedConcurrencyConfigNotFoundException",
                "No Provisioned Concurrency Config found for this function",
                fields={"Type": "User"},
            )
        return self._status(doc, ref, ref.qualifier)

    def list_provisioned_concurrency_configs(
        self, params: Mapping[str, Any], caller: Caller
    ) -> dict[str, Any]:
        """All of one function, by qualifier."""
        ref = parse_ref(params["FunctionName"], None, caller)
        doc = self._records.get(ref)
        found = [
            {**self._status(doc, ref, name), "FunctionArn": f"{ref.function_arn}:{name}"}
            for name in sorted(doc["provisioned"])
        ]
        entries, marker = page(found, params, key=lambda entry: entry["FunctionArn"])
        return {"ProvisionedConcurrencyConfigs": entries, "NextMarker": marker}

    def delete_provisioned_concurrency_config(
        self, params: Mapping[str, Any], caller: Caller
    ) -> None:
        """Let the warm environments go; absent is fine."""
        ref = parse_ref(params["FunctionName"], params["Qualifier"], caller)
        if ref.qualifier in (None, LATEST):
            raise invalid(_NOT_PUBLISHED)
        with self._records.change(ref) as doc:
            version_of(doc, ref.qualifier, ref)
            doc["provisioned"].pop(ref.qualifier or "", None)
        self._provision(ref.function_arn)

    def get_account_settings(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Limits of the account and what is used of them."""
        del params
        docs = self._records.all(caller.account_id, caller.region)
        used = sum(config["CodeSize"] for doc in docs for config in configs(doc))
        return {
            "AccountLimit": {
                "TotalCodeSize": TOTAL_CODE_BYTES,
                "CodeSizeUnzipped": UNZIPPED_MAX_BYTES,
                "CodeSizeZipped": ZIPPED_MAX_BYTES,
                "ConcurrentExecutions": ACCOUNT_CONCURRENCY,
                "UnreservedConcurrentExecutions": unreserved(docs),
            },
            "AccountUsage": {"TotalCodeSize": used, "FunctionCount": len(docs)},
        }

    def _status(self, doc: FunctionDoc, ref: FunctionRef, qualifier: str) -> dict[str, Any]:
        entry = doc["provisioned"][qualifier]
        warm, failure = self._pool.status(version_of(doc, qualifier, ref))
        ready = warm >= entry["requested"]
        return {
            "RequestedProvisionedConcurrentExecutions": entry["requested"],
            "AllocatedProvisionedConcurrentExecutions": warm,
            "AvailableProvisionedConcurrentExecutions": warm,
            "Status": "READY" if ready else "FAILED" if failure else "IN_PROGRESS",
            "StatusReason": failure or None if not ready else None,
            "LastModified": entry["modified"],
        }

    def _others(self, ref: FunctionRef) -> list[FunctionDoc]:
        docs = self._records.all(ref.account_id, ref.region)
        return [doc for doc in docs if doc["latest"]["FunctionArn"] != ref.function_arn]
