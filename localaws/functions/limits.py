"""How many invocations may run at once: pure rules over all functions of an account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from localaws.functions.config import Config
from localaws.functions.names import LATEST, FunctionRef, conflict, invalid, is_version, ref_of_arn
from localaws.functions.records import FunctionDoc, version_of, weights_of
from localaws.wire.protocol import AwsError

ACCOUNT_CONCURRENCY = 1000
UNRESERVED_MIN = 100


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most `most` on-demand invocations at once among those that share `name`."""

    name: str
    most: int
    reason: str


def provisioned_total(doc: FunctionDoc) -> int:
    """Provisioned concurrency over all versions and aliases of a function."""
    return sum(entry["requested"] for entry in doc["provisioned"].values())


def claimed(doc: FunctionDoc) -> int:
    """What a function takes out of the account's unreserved concurrency."""
    reserved = doc["reserved"]
    return provisioned_total(doc) if reserved is None else reserved


def unreserved(docs: Iterable[FunctionDoc]) -> int:
    """What is left for the functions that have nothing of their own."""
    return ACCOUNT_CONCURRENCY - sum(map(claimed, docs))


def limit_of(function_arn: str, doc: FunctionDoc, docs: Iterable[FunctionDoc]) -> Limit:
    """The on-demand limit of a function: its reserved number less its provisioned one, else
    the account's unreserved number."""
    if doc["reserved"] is not None:
        return Limit(
            name=function_arn,
            most=max(0, doc["reserved"] - provisioned_total(doc)),
            reason="ReservedFunctionConcurrentInvocationLimitExceeded",
        )
    ref = ref_of_arn(function_arn)
    return Limit(
        name=f"{ref.account_id}:{ref.region}",
        most=unreserved(docs),
        reason="ConcurrentInvocationLimitExceeded",
    )


def refuse_reserved(doc: FunctionDoc, others: Iterable[FunctionDoc], wanted: int) -> None:
    """PutFunctionConcurrency's rules."""
    provisioned = provisioned_total(doc)
    if wanted < provisioned:
        raise invalid(
            f" ReservedConcurrentExecutions  {wanted} should not be lower than function's total "
            f"provisioned concurrency [{provisioned}]."
        )
    if unreserved(others) - wanted < UNRESERVED_MIN:
        raise invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{UNRESERVED_MIN}]."
        )


def refuse_provisioned(
    doc: FunctionDoc, others: Iterable[FunctionDoc], qualifier: str, wanted: int
) -> None:
    """PutProvisionedConcurrencyConfig's rules about numbers."""
    rest = sum(e["requested"] for name, e in doc["provisioned"].items() if name != qualifier)
    if doc["reserved"] is not None:
        if rest + wanted > doc["reserved"]:
            raise invalid(
                "Requested Provisioned Concurrency should not be greater than the "
                "reservedConcurrentExecution for function"
            )
        return
    if unreserved(others) - rest - wanted < UNRESERVED_MIN:
        raise invalid(
            "Specified ConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{UNRESERVED_MIN}]."
        )


def provisioned_configs(doc: FunctionDoc) -> list[tuple[Config, int]]:
    """The versions that are to be kept warm, and how many environments each."""
    found = []
    for qualifier, entry in doc["provisioned"].items():
        alias = doc["aliases"].get(qualifier)
        version = alias["FunctionVersion"] if alias else qualifier
        if version in doc["versions"]:
            found.append((doc["versions"][version], entry["requested"]))
    return found


def unpublished() -> AwsError:
    """Provisioned concurrency was asked for $LATEST."""
    return invalid(
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
    )


def refuse_provisioned_target(doc: FunctionDoc, ref: FunctionRef, qualifier: str) -> None:
    """A version has at most one configuration: its own, or that of one alias."""
    version = version_of(doc, qualifier, ref)["Version"]
    if version == LATEST:
        raise unpublished()
    if is_version(qualifier):
        for name in doc["provisioned"]:
            if name in doc["aliases"] and doc["aliases"][name]["FunctionVersion"] == version:
                raise conflict("Version is pointed by a Provisioned Concurrency alias")
        return
    if weights_of(doc["aliases"][qualifier]):
        raise invalid("Alias with weights can not be used with Provisioned Concurrency")
    for name in doc["provisioned"]:
        other = doc["aliases"].get(name, {}).get("FunctionVersion", name)
        if name != qualifier and other == version:
            raise conflict(
                "Alias can't be used for Provisioned Concurrency configuration on an already "
                "Provisioned version"
            )
