"""What running programs need: files, processes, logs, credentials and time."""

from __future__ import annotations

from dataclasses import dataclass

from localaws.access.role_objects import ObjectStore, RoleObjects
from localaws.account import roles
from localaws.account.log_lines import LogLines
from localaws.clock import Timer
from localaws.hosts.processes import Processes
from localaws.settings import Settings
from localaws.storage.objects import Objects

ROLE_SESSION_S = 12 * 3600


@dataclass(frozen=True, kw_only=True)
class World:
    """Shared by everything that SageMaker executes."""

    clock: Timer
    objects: Objects
    processes: Processes
    logs: LogLines
    sts: roles.Sts
    settings: Settings

    def objects_of(self, role_arn: str) -> ObjectStore:
        """S3 as SageMaker sees it with this role: everything, unless IAM is enforced."""
        if not self.settings.enforce_iam:
            return self.objects
        return RoleObjects(self.objects, role_arn, self.settings.account_id)

    def role_env(self, role_arn: str) -> dict[str, str]:
        """Environment in which a program calls localaws as `role_arn`, for up to 12 hours."""
        credentials = roles.assume(self.sts, role_arn, "SageMaker", ROLE_SESSION_S)
        return {
            **credentials.environment(),
            "AWS_ENDPOINT_URL": self.settings.url,
            "AWS_REGION": self.settings.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
