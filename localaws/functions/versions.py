"""Functions and their published versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localaws.account.roles import trusts
from localaws.clock import Timer
from localaws.functions.code import CodeStore
from localaws.functions.config import (
    Config,
    changed_config,
    described,
    in_progress,
    new_config,
    with_code,
)
from localaws.functions.names import (
    LATEST,
    FunctionRef,
    conflict,
    invalid,
    is_version,
    parse_new_ref,
    parse_ref,
    stale_revision,
)
from localaws.functions.paging import page
from localaws.functions.publish import publish, refuse_while_settling
from localaws.functions.records import (
    FunctionDoc,
    FunctionRecords,
    configs,
    new_doc,
    version_of,
    weights_of,
)
from localaws.functions.upkeep import Upkeep
from localaws.wire.protocol import Caller


class VersionOperations:
    """Create, describe, update, publish and delete functions."""

    def __init__(
        self, *, records: FunctionRecords, code: CodeStore, upkeep: Upkeep, clock: Timer
    ) -> None:
        self._records = records
        self._code = code
        self._upkeep = upkeep
        self._clock = clock

    def create_function(self, params: Mapping[str, Any], caller: Caller) -> Config:
        """A new function in state Pending; with Publish, its version 1."""
        ref = parse_new_ref(params["FunctionName"], caller)
        if self._records.find(ref.function_arn) is not None:
            raise _exists(ref)
        _refuse_role(params["Role"])
        config = new_config(ref, params, self._clock.now())
        package = self._code.keep(self._code.read(params["Code"]))
        config = with_code(config, sha256=package.sha256, size=package.size)
        doc = new_doc(config, params.get("Tags", {}))
        answer = described(publish(doc, None), "1") if params.get("Publish") else config
        if not self._records.insert(ref.function_arn, doc):
            raise _exists(ref)
        self._upkeep.settle(ref)
        return answer

    def get_function(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Configuration, tags and reserved concurrency."""
        ref = parse_ref(params["FunctionName"], params.get("Qualifier"), caller)
        doc = self._records.get(ref)
        config = version_of(doc, ref.qualifier, ref)
        concurrency = doc["reserved"]
        return {
            "Configuration": described(config, ref.qualifier),
            "Code": {"RepositoryType": "S3"},
            "Tags": doc["tags"] or None,
            "Concurrency": None
            if concurrency is None
            else {"ReservedConcurrentExecutions": concurrency},
        }

    def get_function_configuration(self, params: Mapping[str, Any], caller: Caller) -> Config:
        """The configuration of a version."""
        ref = parse_ref(params["FunctionName"], params.get("Qualifier"), caller)
        return described(version_of(self._records.get(ref), ref.qualifier, ref), ref.qualifier)

    def list_functions(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """$LATEST of every function; with FunctionVersion=ALL every version."""
        docs = self._records.all(caller.account_id, caller.region)
        if params.get("FunctionVersion") == "ALL":
            found = [described(c, c["Version"]) for doc in docs for c in configs(doc)]
        else:
            found = [doc["latest"] for doc in docs]
        functions, marker = page(found, params, key=lambda config: config["FunctionArn"])
        return {"Functions": functions, "NextMarker": marker}

    def list_versions_by_function(
        self, params: Mapping[str, Any], caller: Caller
    ) -> dict[str, Any]:
        """$LATEST and the published versions, oldest first."""
        doc = self._records.get(parse_ref(params["FunctionName"], None, caller))
        found = [described(config, config["Version"]) for config in configs(doc)]
        versions, marker = page(found, params, key=lambda config: config["Version"])
        return {"Versions": versions, "NextMarker": marker}

    def update_function_code(self, params: Mapping[str, Any], caller: Caller) -> Config:
        """New code for $LATEST; DryRun checks it and changes nothing."""
        ref = _latest_only(params, caller)
        self._records.get(ref)
        data = self._code.read(params)
        dry = bool(params.get("DryRun"))
        package = self._code.check(data) if dry else self._code.keep(data)
        change: Mapping[str, Any] = {}
        if dry:
            doc = self._records.get(ref)
            _refuse_update(doc, params)
            changed = changed_config(doc["latest"], change, self._clock.now())
            return with_code(changed, sha256=package.sha256, size=package.size)
        with self._records.change(ref) as doc:
            _refuse_update(doc, params)
            changed = changed_config(doc["latest"], change, self._clock.now())
            changed = with_code(changed, sha256=package.sha256, size=package.size)
            doc["latest"] = in_progress(changed)
            answer = doc["latest"]
            if params.get("Publish"):
                version = publish(doc, None)
                answer = described(version, version["Version"])
        self._upkeep.settle(ref)
        return answer

    def update_function_configuration(self, params: Mapping[str, Any], caller: Caller) -> Config:
        """New settings for $LATEST; what is not named stays."""
        ref = _latest_only(params, caller)
        if "Role" in params:
            _refuse_role(params["Role"])
        with self._records.change(ref) as doc:
            _refuse_update(doc, params)
            changed = changed_config(doc["latest"], params, self._clock.now())
            doc["latest"] = in_progress(changed)
        self._upkeep.settle(ref)
        return doc["latest"]

    def publish_version(self, params: Mapping[str, Any], caller: Caller) -> Config:
        """The new version; or the newest one when $LATEST has not changed since."""
        ref = _latest_only(params, caller)
        with self._records.change(ref) as doc:
            latest = doc["latest"]
            _refuse_update(doc, params)
            wanted = params.get("CodeSha256") or latest["CodeSha256"]
            if wanted != latest["CodeSha256"]:
                raise invalid(
                    f"CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST "
                    f"({latest['CodeSha256']}). Please try again with the CodeSHA256 in $LATEST."
                )
            version = publish(doc, params.get("Description"))
        return described(version, version["Version"])

    def delete_function(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """The whole function, or one version that no alias points to."""
        ref = parse_ref(params["FunctionName"], params.get("Qualifier"), caller)
        if ref.qualifier is None:
            doc = self._records.delete(ref)
            self._upkeep.forget(ref, {config["CodeSha256"] for config in configs(doc)})
            return {"StatusCode": 204}
        if ref.qualifier == LATEST:
            raise invalid("$LATEST version cannot be deleted without deleting the function.")
        if not is_version(ref.qualifier):
            raise invalid("Deletion of aliases is not currently supported.")
        with self._records.change(ref) as doc:
            gone = _without_version(doc, ref.qualifier)
        self._upkeep.forget(ref, {gone["CodeSha256"]} if gone else set())
        return {"StatusCode": 204}


def _exists(ref: FunctionRef) -> Exception:
    return conflict(f"Function already exist: {ref.name}")


def _refuse_role(role_arn: str) -> None:
    if not trusts(role_arn, "lambda.amazonaws.com"):
        raise invalid("The role defined for the function cannot be assumed by Lambda.")


def _latest_only(params: Mapping[str, Any], caller: Caller) -> FunctionRef:
    ref = parse_ref(params["FunctionName"], None, caller)
    if ref.qualifier not in (None, LATEST):
        raise invalid("This operation is permitted on Lambda functions only, not on a version.")
    return ref.unqualified()


def _refuse_update(doc: FunctionDoc, params: Mapping[str, Any]) -> None:
    latest = doc["latest"]
    refuse_while_settling(latest)
    if params.get("RevisionId", latest["RevisionId"]) != latest["RevisionId"]:
        raise stale_revision()


def _without_version(doc: FunctionDoc, version: str) -> Config | None:
    """Take the version out; None when it was not there, which AWS does not mind."""
    users = [
        name
        for name, alias in sorted(doc["aliases"].items())
        if version == alias["FunctionVersion"] or version in weights_of(alias)
    ]
    if users:
        raise conflict(
            "Unable to delete version because the following aliases reference it: "
            f"[{', '.join(users)}]"
        )
    doc["provisioned"].pop(version, None)
    doc["policies"].pop(version, None)
    return doc["versions"].pop(version, None)
