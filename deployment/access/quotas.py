"""Is there room in the account? Asked before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass

from deployment.settings import ServingSettings
from experiments.aws import Cloud, is_code
from experiments.errors import CloudError

_KEPT_FREE = 100
"""Lambda leaves at least so many unreserved executions to the account's other functions."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """One limit: what is wanted of it and what there is; None where AWS does not tell."""

    what: str
    wanted: int
    there: int | None
    fix: str

    @property
    def is_enough(self) -> bool:
        return self.there is None or self.there >= self.wanted


def room(cloud: Cloud, settings: ServingSettings) -> tuple[Room, ...]:
    """Lambda's concurrency and SageMaker's instances for a release. Raises CloudError."""
    free = _free_concurrency(cloud, settings)
    kind = settings.instance_type
    quota = f"{kind} for endpoint usage"
    # Blue/green runs the old fleet and the new one side by side.
    both = 2 * settings.max_instances
    return (
        Room(
            what="Lambda concurrency that can be reserved",
            wanted=settings.reserved_concurrency,
            there=free,
            fix="ask for more: Service Quotas, AWS Lambda, Concurrent executions; or reserve less",
        ),
        Room(
            what=f"SageMaker quota {quota!r}, both fleets of an update",
            wanted=both,
            there=_sagemaker(cloud, quota),
            fix="ask for more: Service Quotas, Amazon SageMaker; or lower --max-instances",
        ),
    )


def _free_concurrency(cloud: Cloud, settings: ServingSettings) -> int | None:
    """What can still be reserved, with what this function has reserved already."""
    try:
        account = cloud.ask("lambda", "get_account_settings")["AccountLimit"]
    except CloudError as error:
        if _untold(error):
            return None
        raise
    mine = 0
    try:
        answer = cloud.ask("lambda", "get_function_concurrency", FunctionName=settings.name)
        mine = int(answer.get("ReservedConcurrentExecutions", 0))
    except CloudError as error:
        if not is_code(error, "ResourceNotFoundException"):
            raise
    unreserved = int(account["UnreservedConcurrentExecutions"])
    return max(unreserved - _KEPT_FREE, 0) + mine


def _sagemaker(cloud: Cloud, name: str) -> int | None:
    try:
        quotas = cloud.pages(
            "service-quotas", "list_service_quotas", "Quotas", ServiceCode="sagemaker"
        )
    except CloudError as error:
        if _untold(error):
            return None
        raise
    return next((int(quota["Value"]) for quota in quotas if quota["QuotaName"] == name), None)


def _untold(error: CloudError) -> bool:
    return is_code(error, "NotImplemented", "InvalidAction", "UnknownOperationException", "501")
