"""States of instances as EC2 shows them, written into moto's records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import StateReason

StateName = Literal["pending", "running", "shutting-down", "terminated", "stopping", "stopped"]

CODES: dict[str, int] = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why an instance ended: StateTransitionReason's words, StateReason's code and message."""

    words: str
    code: str
    message: str


BY_API = Cause(
    words="User initiated",
    code="Client.UserInitiatedShutdown",
    message="Client.UserInitiatedShutdown: User initiated shutdown",
)
# EC2's own words in both cases, as recorded answers show; StateReason tells them apart.
BY_ITSELF = Cause(
    words="User initiated",
    code="Client.InstanceInitiatedShutdown",
    message="Client.InstanceInitiatedShutdown: Instance initiated shutdown",
)
BY_SPOT = Cause(
    words="Server.SpotInstanceTermination",
    code="Server.SpotInstanceTermination",
    message="Server.SpotInstanceTermination: Instance terminated, no Spot capacity available",
)
BY_LOCALAWS = Cause(
    words="Server.InternalError",
    code="Server.InternalError",
    message="Server.InternalError: localaws was stopped while the instance was running",
)


def find(account_id: str, region: str, instance_id: str) -> Any | None:
    """moto's own object for an instance, or None."""
    return ec2_backends[account_id][region].get_instance_by_id(instance_id)


def state_of(instance: Any) -> str:
    """The state's name."""
    name: str = instance.state
    return name


def show_running(instance: Any, state: StateName, launched_at: float | None = None) -> None:
    """Pending or running, with no reason; `launched_at` is epoch seconds."""
    instance._state.name, instance._state.code = state, CODES[state]
    instance._reason = ""
    instance.state_reason = None
    if launched_at is not None:
        instance.launch_time = datetime.fromtimestamp(launched_at, UTC).replace(tzinfo=None)


def show_ending(instance: Any, state: StateName, cause: Cause, at: float) -> None:
    """Shutting down, stopping or at the end of it; `at` is the end's epoch second."""
    instance._state.name, instance._state.code = state, CODES[state]
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S GMT")
    instance._reason = f"{cause.words} ({moment})"
    instance.state_reason = StateReason(cause.message, cause.code)
