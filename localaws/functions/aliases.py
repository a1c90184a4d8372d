"""Aliases: names that point to a version, or to two with weights."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from localaws.functions.limits import refuse_provisioned_target
from localaws.functions.names import (
    LATEST,
    FunctionRef,
    conflict,
    invalid,
    parse_ref,
    stale_revision,
)
from localaws.functions.paging import page
from localaws.functions.records import (
    FunctionDoc,
    FunctionRecords,
    no_such_alias,
    version_of,
    weights_of,
)
from localaws.wire.protocol import AwsError, Caller


class AliasOperations:
    """The alias operations. `provision(function_arn)` is called when a target may have moved."""

    def __init__(self, records: FunctionRecords, provision: Callable[[str], None]) -> None:
        self._records = records
        self._provision = provision

    def create_alias(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """A new alias; its name must be free."""
        ref = parse_ref(params["FunctionName"], None, caller).unqualified()
        name = params["Name"]
        with self._records.change(ref) as doc:
            version_of(doc, params["FunctionVersion"], ref)
            if name in doc["aliases"]:
                raise conflict(f"Alias already exists: {ref.function_arn}:{name}")
            alias = {
                "AliasArn": f"{ref.function_arn}:{name}",
                "Name": name,
                "FunctionVersion": params["FunctionVersion"],
                "Description": params.get("Description", ""),
                "RevisionId": str(uuid.uuid4()),
            }
            doc["aliases"][name] = _routed(alias, params, doc, ref)
        return doc["aliases"][name]

    def update_alias(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Point the alias elsewhere; a RevisionId in the request must be the present one."""
        ref = parse_ref(params["FunctionName"], None, caller).unqualified()
        name = params["Name"]
        with self._records.change(ref) as doc:
            alias = _alias(doc, ref, name)
            if params.get("RevisionId", alias["RevisionId"]) != alias["RevisionId"]:
                raise stale_revision()
            if "FunctionVersion" in params:
                version_of(doc, params["FunctionVersion"], ref)
            changes = {k: params[k] for k in ("FunctionVersion", "Description") if k in params}
            alias = {**alias, **changes, "RevisionId": str(uuid.uuid4())}
            doc["aliases"][name] = _routed(alias, params, doc, ref)
            if name in doc["provisioned"]:
                refuse_provisioned_target(doc, ref, name)
        self._provision(ref.function_arn)
        return doc["aliases"][name]

    def get_alias(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """One alias."""
        ref = parse_ref(params["FunctionName"], None, caller)
        return _alias(self._records.get(ref), ref, params["Name"])

    def list_aliases(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """The aliases by name; with FunctionVersion, those that point to it."""
        doc = self._records.get(parse_ref(params["FunctionName"], None, caller))
        wanted = params.get("FunctionVersion")
        found = [a for _, a in sorted(doc["aliases"].items()) if _points_to(a, wanted)]
        aliases, marker = page(found, params, key=lambda alias: alias["Name"])
        return {"Aliases": aliases, "NextMarker": marker}

    def delete_alias(self, params: Mapping[str, Any], caller: Caller) -> None:
        """Remove the alias with its policy and provisioned concurrency; absent is fine."""
        ref = parse_ref(params["FunctionName"], None, caller).unqualified()
        with self._records.change(ref) as doc:
            for part in (doc["aliases"], doc["provisioned"], doc["policies"]):
                part.pop(params["Name"], None)
        self._provision(ref.function_arn)


def _alias(doc: FunctionDoc, ref: FunctionRef, name: str) -> dict[str, Any]:
    if name not in doc["aliases"]:
        raise no_such_alias(ref, name)
    return doc["aliases"][name]


def _points_to(alias: Mapping[str, Any], version: str | None) -> bool:
    return version is None or version == alias["FunctionVersion"] or version in weights_of(alias)


def _routed(
    alias: dict[str, Any], params: Mapping[str, Any], doc: FunctionDoc, ref: FunctionRef
) -> dict[str, Any]:
    """The alias with the request's routing; an empty routing removes the old one."""
    if "RoutingConfig" in params:
        weights = params["RoutingConfig"].get("AdditionalVersionWeights", {})
        alias = {key: value for key, value in alias.items() if key != "RoutingConfig"}
        if weights:
            alias["RoutingConfig"] = {"AdditionalVersionWeights": weights}
    weights = weights_of(alias)
    if len(weights) > 1:
        raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    for version, weight in weights.items():
        _check_weight(alias["FunctionVersion"], version, weight)
        version_of(doc, version, ref)
    return alias


def _check_weight(main: str, version: str, weight: float) -> None:
    if main == LATEST:
        raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
    if version == main:
        raise invalid(
            f"Invalid function version {main}. Function version {main} is already included in "
            "routing configuration."
        )
    if not 0.0 <= weight < 1.0:
        raise AwsError(
            "ValidationException",
            f"1 validation error detected: Value '{{{version}={weight}}}' at "
            "'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value "
            "must satisfy constraint: [Member must have value less than or equal to 1.0, Member "
            "must have value greater than or equal to 0.0]",
        )
