"""How a model is served: instances, scaling, concurrency. The defaults are for little traffic."""

from __future__ import annotations

import re
from dataclasses import dataclass

from experiments.errors import SpecError

ALIAS = "live"
VARIANT = "primary"
SERVERLESS_MB = 2048
"""The memory of a serverless endpoint that nobody chose: enough for ResNet50 and the server."""
_ORIGIN = re.compile(r"^(\*|https?://[^\s,/]{1,240})$")
_NAME = re.compile(r"^[a-z0-9](-?[a-z0-9])*$")
_MAX_APP = 24
_MAX_STAGE = 12
# The handler's connect time-out, pause and spare time beside one read: see lambda/handler.py.
_FRONT_MARGIN_S = 5


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """What a release is served with. Raises SpecError for settings that cannot be.

    `app`, `stage`: the endpoint and the function are both named `<app>-<stage>`.
    `instance_type`: the SageMaker hosting type of each instance.
    `min_instances`, `max_instances`: autoscaling stays between these. Every instance is paid by the
        hour whether asked or not, so the minimum is the standing price.
    `target_invocations_per_instance`: invocations for each instance in one minute, not concurrent
        ones: 25 is 0.42 a second. Above it for about three minutes, instances are added; clearly
        below it for about fifteen, they are removed.
    `scale_in_cooldown_s`: after instances were removed, the wait before more may be removed. Long
        keeps capacity through a lull.
    `scale_out_cooldown_s`: after instances were added, the wait before more may be added. Short
        answers a rush sooner; an instance takes minutes to start whatever this says.
    `reserved_concurrency`: the most calls the function runs at once; it is taken out of the
        account's pool, and the calls above it get 429. It costs nothing.
    `provisioned_concurrency`: of those, how many environments are kept warm. Paid by the second
        whether asked or not; has to fit within the reserved ones. 0 keeps none warm.
    `memory_mb`: the function's memory; its share of a processor grows with it.
    `timeout_s`: when Lambda ends a call. Above `endpoint_read_timeout_s`, so that a slow model gives
        an answer (504) and not a broken call.
    `allowed_origins`: origins that a browser may call the function from.
    `capture_percent`: the share of questions and answers that SageMaker keeps in the bucket.
    `function_url`: give the alias an HTTPS address of its own, for requests that are signed (AWS_IAM).
        Without it an address that stands is left alone.
    `serverless_memory_mb`: above 0 the endpoint is serverless with this memory: no instances, no
        scaling, paid by the request, cold after a pause. `serverless_concurrency`: its most requests
        at once.
    """

    app: str
    stage: str = "prod"
    instance_type: str = "ml.m5.large"
    min_instances: int = 1
    max_instances: int = 3
    target_invocations_per_instance: int = 25
    scale_in_cooldown_s: int = 300
    scale_out_cooldown_s: int = 30
    reserved_concurrency: int = 5
    provisioned_concurrency: int = 3
    memory_mb: int = 256
    timeout_s: int = 30
    endpoint_read_timeout_s: int = 20
    allowed_origins: tuple[str, ...] = ()
    capture_percent: int = 0
    serverless_memory_mb: int = 0
    serverless_concurrency: int = 5
    function_url: bool = False

    def __post_init__(self) -> None:
        self._check_names()
        self._check_instances()
        self._check_function()
        self._check_serverless()

    def _check_names(self) -> None:
        for what, value, longest in (
            ("app", self.app, _MAX_APP),
            ("stage", self.stage, _MAX_STAGE),
        ):
            if not _NAME.match(value) or len(value) > longest:
                raise SpecError(
                    f"{what} {value!r} cannot be part of a name in AWS",
                    fix=f"use at most {longest} lower-case letters, digits and single hyphens",
                )
        for origin in self.allowed_origins:
            if not _ORIGIN.match(origin):
                raise SpecError(
                    f"{origin!r} is no origin",
                    fix="write scheme and host and nothing after them: https://dogs.example",
                )
        if not self.instance_type.startswith("ml."):
            raise SpecError(
                f"{self.instance_type!r} is no hosting type", fix="write it as ml.m5.large"
            )

    def _check_instances(self) -> None:
        if not 1 <= self.min_instances <= self.max_instances:
            raise SpecError(
                f"instances from {self.min_instances} to {self.max_instances} cannot be",
                fix="use a minimum of 1 or more, and a maximum that is not below it",
            )
        if self.target_invocations_per_instance < 1:
            raise SpecError(
                "target_invocations_per_instance is below 1",
                fix="give the invocations a minute that one instance should serve, such as 25",
            )
        if not 0 <= self.capture_percent <= 100:
            raise SpecError(
                f"capture_percent {self.capture_percent} is no share", fix="use 0 to 100"
            )
        if min(self.scale_in_cooldown_s, self.scale_out_cooldown_s) < 0:
            raise SpecError("a cooldown is below 0", fix="give seconds: 0 or more")

    def _check_serverless(self) -> None:
        if not self.is_serverless:
            return
        if self.serverless_memory_mb not in range(1024, 6145, 1024):
            raise SpecError(
                f"a serverless endpoint of {self.serverless_memory_mb} MB is not offered",
                fix="use 1024, 2048, 3072, 4096, 5120 or 6144",
            )
        if not 1 <= self.serverless_concurrency <= 200:
            raise SpecError(
                f"serverless_concurrency {self.serverless_concurrency} is not offered",
                fix="use 1 to 200",
            )
        if self.capture_percent:
            raise SpecError(
                "a serverless endpoint captures no answers", fix="leave capture_percent at 0"
            )

    @property
    def is_serverless(self) -> bool:
        """Whether the endpoint has no instances of its own."""
        return self.serverless_memory_mb > 0

    def _check_function(self) -> None:
        if not 0 <= self.provisioned_concurrency <= self.reserved_concurrency:
            raise SpecError(
                f"provisioned_concurrency {self.provisioned_concurrency} does not fit"
                f" reserved_concurrency {self.reserved_concurrency}",
                fix="raise the reserved number or lower the provisioned one",
            )
        if self.reserved_concurrency < 1:
            raise SpecError("reserved_concurrency 0 would refuse every call", fix="use 1 or more")
        if not 128 <= self.memory_mb <= 10_240:
            raise SpecError(f"memory_mb {self.memory_mb} is not offered", fix="use 128 to 10240")
        least = self.endpoint_read_timeout_s + _FRONT_MARGIN_S
        if self.endpoint_read_timeout_s < 1 or not least <= self.timeout_s <= 900:
            raise SpecError(
                f"timeout_s {self.timeout_s} leaves the function no time to answer after waiting"
                f" {self.endpoint_read_timeout_s} s for the model",
                fix=f"use {max(least, 1 + _FRONT_MARGIN_S)} to 900",
            )

    @property
    def name(self) -> str:
        """`<app>-<stage>`: the endpoint, the function, and the folder of releases."""
        return f"{self.app}-{self.stage}"

    @property
    def endpoint_role(self) -> str:
        return f"pedigree-endpoint-{self.name}"

    @property
    def function_role(self) -> str:
        return f"pedigree-lambda-{self.name}"

    @property
    def scaling_policy(self) -> str:
        return f"{self.name}-invocations"

    @property
    def scaling_resource(self) -> str:
        """The id by which Application Auto Scaling knows the endpoint's one variant."""
        return f"endpoint/{self.name}/variant/{VARIANT}"

    def release_name(self, release_id: str) -> str:
        """The name of a release's model and endpoint configuration."""
        return f"{self.name}-{release_id}"
