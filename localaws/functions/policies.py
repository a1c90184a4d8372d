"""Resource policies and tags of functions."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from localaws.functions.names import (
    FunctionRef,
    conflict,
    not_found,
    parse_ref,
    stale_revision,
)
from localaws.functions.records import FunctionDoc, FunctionRecords, version_of
from localaws.wire.protocol import Caller

_CONDITIONS = {
    "SourceArn": ("ArnLike", "AWS:SourceArn"),
    "SourceAccount": ("StringEquals", "AWS:SourceAccount"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
}


class PolicyOperations:
    """AddPermission, RemovePermission, GetPolicy and the tag operations."""

    def __init__(self, records: FunctionRecords) -> None:
        self._records = records

    def add_permission(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Add one statement to the policy of a function, version or alias."""
        ref = parse_ref(params["FunctionName"], params.get("Qualifier"), caller)
        statement = policy_statement(ref, params)
        with self._records.change(ref) as doc:
            version_of(doc, ref.qualifier, ref)
            policy = doc["policies"].setdefault(_key(ref), {"Statement": []})
            _check_revision(policy, params)
            if any(s["Sid"] == statement["Sid"] for s in policy["Statement"]):
                raise conflict(
                    f"The statement id ({statement['Sid']}) provided already exists. Please "
                    "provide a new statement id, or remove the existing statement."
                )
            policy["Statement"].append(statement)
            policy["RevisionId"] = str(uuid.uuid4())
        return {"Statement": json.dumps(statement, separators=(",", ":"))}

    def remove_permission(self, params: Mapping[str, Any], caller: Caller) -> None:
        """Remove the statement with this id."""
        ref = parse_ref(params["FunctionName"], params.get("Qualifier"), caller)
        with self._records.change(ref) as doc:
            policy = _policy(doc, ref)
            _check_revision(policy, params)
            kept = [s for s in policy["Statement"] if s["Sid"] != params["StatementId"]]
            if len(kept) == len(policy["Statement"]):
                raise not_found(
                    f"Statement {params['StatementId']} is not found in resource policy."
                )
            policy["Statement"], policy["RevisionId"] = kept, str(uuid.uuid4())
            if not kept:
                del doc["policies"][_key(ref)]

    def get_policy(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """The policy as JSON text."""
        ref = parse_ref(params["FunctionName"], params.get("Qualifier"), caller)
        policy = _policy(self._records.get(ref), ref)
        document = {"Version": "2012-10-17", "Id": "default", "Statement": policy["Statement"]}
        text = json.dumps(document, separators=(",", ":"))
        return {"Policy": text, "RevisionId": policy["RevisionId"]}

    def tag_resource(self, params: Mapping[str, Any], caller: Caller) -> None:
        """Set tags of a function."""
        with self._records.change(parse_ref(params["Resource"], None, caller)) as doc:
            doc["tags"].update(params["Tags"])

    def untag_resource(self, params: Mapping[str, Any], caller: Caller) -> None:
        """Remove tags of a function."""
        with self._records.change(parse_ref(params["Resource"], None, caller)) as doc:
            for key in params["TagKeys"]:
                doc["tags"].pop(key, None)

    def list_tags(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """The function's tags."""
        doc = self._records.get(parse_ref(params["Resource"], None, caller))
        return {"Tags": doc["tags"]}


def policy_statement(ref: FunctionRef, params: Mapping[str, Any]) -> dict[str, Any]:
    """The statement that AddPermission writes."""
    principal = params["Principal"]
    if principal.endswith(".amazonaws.com"):
        who: Any = {"Service": principal}
    elif principal == "*":
        who = "*"
    else:
        who = {"AWS": f"arn:aws:iam::{principal}:root" if principal.isdecimal() else principal}
    statement: dict[str, Any] = {
        "Sid": params["StatementId"],
        "Effect": "Allow",
        "Principal": who,
        "Action": params["Action"],
        "Resource": ref.arn,
    }
    for name, (operator, key) in _CONDITIONS.items():
        if name in params:
            condition = statement.setdefault("Condition", {})
            condition.setdefault(operator, {})[key] = params[name]
    return statement


def _key(ref: FunctionRef) -> str:
    return ref.qualifier or ""


def _policy(doc: FunctionDoc, ref: FunctionRef) -> dict[str, Any]:
    policy = doc["policies"].get(_key(ref))
    if policy is None:
        raise not_found("The resource you requested does not exist.")
    return policy


def _check_revision(policy: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    if "RevisionId" in params and params["RevisionId"] != policy.get("RevisionId"):
        raise stale_revision()
