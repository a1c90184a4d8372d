"""What is simulated: how a model is served. Field names and units are those of a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from experiments.errors import SpecError

Routing = Literal["least_outstanding", "random"]
ACCOUNT_CONCURRENCY = 1000
"""Lambda's concurrent executions of a new account in one region.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""
MB_PER_VCPU = 1769
"""Lambda's memory for one vCPU (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html);
taken to hold for serverless endpoints too."""
_VCPUS = {"medium": 1, "large": 2, "xlarge": 4}
_CPU_FAMILIES = ("m", "c", "r", "t")


@dataclass(frozen=True, kw_only=True)
class Serverless:
    """A serverless variant instead of instances.

    1 to 200 concurrent invocations, 1024 to 6144 MB in steps of 1024
    (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariantServerlessConfig.html).
    """

    memory_mb: int = 4096
    max_concurrency: int = 5
    provisioned_concurrency: int = 0

    def __post_init__(self) -> None:
        if self.memory_mb not in range(1024, 6145, 1024):
            raise SpecError(
                f"serverless memory of {self.memory_mb} MB is not offered",
                fix="use 1024, 2048, 3072, 4096, 5120 or 6144",
            )
        if not 1 <= self.max_concurrency <= 200:
            raise SpecError(
                f"serverless concurrency {self.max_concurrency} is not offered",
                fix="use 1 to 200",
            )
        if not 0 <= self.provisioned_concurrency <= self.max_concurrency:
            raise SpecError(
                "serverless provisioned concurrency does not fit the maximum",
                fix=f"use 0 to {self.max_concurrency}",
            )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A Lambda function in front of an endpoint. Raises SpecError for what cannot be.

    `workers`: photos that one instance works on at a time: the model server's streams.
    `queue_limit`: requests in one instance, worked on or waiting; one more gets 429, and then only
    `shed_to` are let in until nobody was refused for `shed_calm_s` (None: no such rule).
    `reserved_concurrency` None shares the account's pool; `rate_per_concurrency` is the calls a
    second for each unit of it (None: no such limit).
    `serverless`: replaces the instances and their scaling.
    """

    instance_type: str = "ml.m5.large"
    workers: int = 1
    min_instances: int = 1
    max_instances: int = 3
    target_per_minute: float = 25.0
    scale_in_cooldown_s: float = 300.0
    scale_out_cooldown_s: float = 30.0
    routing: Routing = "least_outstanding"
    queue_limit: int = 32
    shed_to: int | None = 4
    shed_calm_s: float = 1.0
    reserved_concurrency: int | None = 5
    provisioned_concurrency: int = 3
    rate_per_concurrency: int | None = 10
    memory_mb: int = 256
    timeout_s: float = 30.0
    endpoint_read_timeout_s: float = 20.0
    serverless: Serverless | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.min_instances <= self.max_instances:
            raise SpecError(
                f"instances from {self.min_instances} to {self.max_instances} cannot be",
                fix="use a minimum of 1 or more, and a maximum that is not below it",
            )
        if self.target_per_minute <= 0:
            raise SpecError("the target is not above 0", fix="give invocations a minute, as 25")
        if min(self.scale_in_cooldown_s, self.scale_out_cooldown_s) < 0:
            raise SpecError("a cooldown is below 0", fix="give seconds: 0 or more")
        least = min(self.queue_limit, self.queue_limit if self.shed_to is None else self.shed_to)
        if not 1 <= self.workers <= least <= self.queue_limit:
            raise SpecError(
                f"{self.workers} workers do not fit a queue of {self.shed_to} to {self.queue_limit}",
                fix="use at least one worker, and a queue that is not below the workers",
            )
        self._check_function()

    def _check_function(self) -> None:
        if not 1 <= self.concurrency <= ACCOUNT_CONCURRENCY:
            raise SpecError(
                f"reserved concurrency {self.concurrency} cannot be",
                fix=f"use 1 to {ACCOUNT_CONCURRENCY}",
            )
        if not 0 <= self.provisioned_concurrency <= self.concurrency:
            raise SpecError(
                f"provisioned concurrency {self.provisioned_concurrency} does not fit the reserved"
                f" {self.concurrency}",
                fix="raise the reserved number or lower the provisioned one",
            )
        if not 128 <= self.memory_mb <= 10_240:
            raise SpecError(f"{self.memory_mb} MB is not offered", fix="use 128 to 10240")
        if not 0 < self.endpoint_read_timeout_s < self.timeout_s <= 900:
            raise SpecError(
                "the function's time-out leaves no time after waiting for the endpoint",
                fix="use a time-out above the endpoint's read time-out, and at most 900 s",
            )

    @property
    def concurrency(self) -> int:
        """The most calls that the function runs at once."""
        if self.reserved_concurrency is None:
            return ACCOUNT_CONCURRENCY
        return self.reserved_concurrency


def vcpus(instance_type: str) -> int:
    """vCPUs by the size in the type's name (medium 1, large 2, xlarge 4, Nxlarge 4N).

    https://docs.aws.amazon.com/ec2/latest/instancetypes/gp.html; so for the general, compute, memory
    and burstable families. Raises SpecError for any other.
    """
    parts = instance_type.split(".")
    family, size = (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "ml" else ("", "")
    known = family[:1] in _CPU_FAMILIES and family[1:2].isdigit()
    if known and size in _VCPUS:
        return _VCPUS[size]
    times = size.removesuffix("xlarge")
    if known and size.endswith("xlarge") and times.isdigit():
        return 4 * int(times)
    raise SpecError(
        f"how many vCPUs {instance_type} has is not known here",
        fix="give --service-ms as measured on that type, or use a type as ml.m5.large",
    )
