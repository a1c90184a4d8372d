"""An account as `pedigree init`, `doctor` and `image` see it: stacks, roles, quotas, a registry."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from experiments.contract import faults
from experiments.errors import CloudError
from experiments.records import Basis, Call
from tests.deployment.world_ground import Moment, Objects, Refused

Doc = dict[str, Any]


@dataclass
class Account:
    """An experiments.aws.Cloud. `broken`: the next stack cannot be made."""

    moment: Moment = field(default_factory=Moment)
    objects: Objects = field(default_factory=Objects)
    stacks: dict[str, Doc] = field(default_factory=dict)
    asked: set[tuple[str, str]] = field(default_factory=set)
    tagged: set[tuple[str, str]] = field(default_factory=set)
    passing: set[str] = field(default_factory=set)
    commands: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    has_repository: bool = False
    has_bucket: bool = True
    made_roles: dict[str, Doc] = field(default_factory=dict)
    project: Doc = field(default_factory=dict)
    builds: list[Doc] = field(default_factory=list)
    build_end: str = "SUCCEEDED"
    broken: bool = False
    unreserved: int = 1000
    quota: float = 8
    last_access_days: int = 3

    region = "us-east-1"
    account_id = "123456789012"
    basis = Basis.BILLED

    def ask(self, service: str, operation: str, **params: Any) -> Doc:
        return self.perform(Call(service=service, operation=operation, params=params, why="asked"))

    def client(self, service: str) -> Any:
        raise AssertionError(f"nothing needs the {service} client itself")

    def perform(self, call: Call) -> Doc:
        assert not faults(call), faults(call)
        self.asked.add((call.service, call.operation))
        if "Tags" in call.params or "tags" in call.params:
            self.tagged.add((call.service, call.operation))
        if "serviceRole" in call.params:
            self.passing.add(call.operation)
        if call.service == "s3" and not self.has_bucket:
            raise CloudError("no bucket", fix="x", code="NoSuchBucket")
        if call.service == "s3":
            try:
                answer: Doc = getattr(self.objects, call.operation)(**call.params)
            except Refused as refusal:
                raise CloudError(refusal.message, fix="x", code=refusal.code) from refusal
            return answer
        found: Doc = getattr(self, f"_{call.operation}")(dict(call.params))
        return found

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        return list(self.ask(service, operation, **params)[member])

    def docker(self, command: Sequence[str], *, secret: str = "") -> str:
        self.commands.append((tuple(command), secret))
        return ""

    def _create_stack(self, params: Doc) -> Doc:
        status = "CREATE_IN_PROGRESS"
        self.stacks[params["StackName"]] = {
            "StackStatus": status,
            "body": params["TemplateBody"],
            "ready_at": self.moment.seconds + 30,
        }
        return {}

    def _update_stack(self, params: Doc) -> Doc:
        stack = self.stacks[params["StackName"]]
        stack |= {"StackStatus": "UPDATE_IN_PROGRESS", "body": params["TemplateBody"]}
        stack["ready_at"] = self.moment.seconds + 30
        return {}

    def _describe_stacks(self, params: Doc) -> Doc:
        name = params["StackName"]
        if name not in self.stacks:
            words = f"Stack with id {name} does not exist"
            raise CloudError(words, fix="x", code="ValidationError")
        stack = self.stacks[name]
        if (
            stack["StackStatus"].endswith("IN_PROGRESS")
            and self.moment.seconds >= stack["ready_at"]
        ):
            done = stack["StackStatus"].replace("IN_PROGRESS", "COMPLETE")
            stack["StackStatus"] = "ROLLBACK_COMPLETE" if self.broken else done
        return {"Stacks": [{"StackStatus": stack["StackStatus"]}]}

    def _get_template(self, params: Doc) -> Doc:
        return {"TemplateBody": json.loads(self.stacks[params["StackName"]]["body"])}

    def _describe_stack_events(self, params: Doc) -> Doc:
        del params
        event = {"LogicalResourceId": "Bucket", "ResourceStatus": "CREATE_FAILED"}
        return {"StackEvents": [{**event, "ResourceStatusReason": "it exists already"}]}

    def _roles(self) -> dict[str, Doc]:
        found = {}
        for stack in self.stacks.values():
            for resource in json.loads(stack["body"])["Resources"].values():
                if resource["Type"] == "AWS::IAM::Role":
                    found[resource["Properties"]["RoleName"]] = resource["Properties"]
        return found | self.made_roles

    def _role(self, name: str) -> Doc:
        if name not in self._roles():
            raise CloudError(f"no role {name}", fix="x", code="NoSuchEntity")
        return self._roles()[name]

    def _get_role(self, params: Doc) -> Doc:
        return {"Role": {"RoleName": self._role(params["RoleName"])["RoleName"]}}

    def _get_role_policy(self, params: Doc) -> Doc:
        policy = self._role(params["RoleName"])["Policies"][0]
        if policy["PolicyName"] != params["PolicyName"]:
            raise CloudError("no such policy", fix="x", code="NoSuchEntity")
        return {"PolicyDocument": policy["PolicyDocument"]}

    def _create_role(self, params: Doc) -> Doc:
        self.made_roles[params["RoleName"]] = {**params, "Policies": [{"PolicyName": None}]}
        return {}

    def _put_role_policy(self, params: Doc) -> Doc:
        document = json.loads(params["PolicyDocument"])
        policy = {"PolicyName": params["PolicyName"], "PolicyDocument": document}
        self._role(params["RoleName"])["Policies"] = [policy]
        return {}

    def _create_project(self, params: Doc) -> Doc:
        if self.project:
            raise CloudError("there", fix="x", code="ResourceAlreadyExistsException")
        self._role(params["serviceRole"].rpartition("/")[2])
        self.project = params
        return {}

    def _update_project(self, params: Doc) -> Doc:
        assert self.project["name"] == params["name"]
        self.project = params
        return {}

    def _start_build(self, params: Doc) -> Doc:
        bucket, _, key = self.project["source"]["location"].partition("/")
        assert bucket.startswith("pedigree-") and key in self.objects.bodies
        name = f"{params['projectName']}:{len(self.builds)}"
        self.builds.append({"id": name, "began": self.moment.seconds, "buildStatus": "IN_PROGRESS"})
        return {"build": {"id": name}}

    def _batch_get_builds(self, params: Doc) -> Doc:
        """The build is not listed at once, waits, builds, and ends after two minutes."""
        build = next(build for build in self.builds if [build["id"]] == params["ids"])
        went_s = self.moment.seconds - build["began"]
        if went_s < 1:
            return {"builds": []}
        if went_s > 120 and build["buildStatus"] == "IN_PROGRESS":
            words = {"message": "COMMAND_EXECUTION_ERROR: exit status 1"}
            state = {"phaseStatus": self.build_end, "contexts": [words]}
            build |= {"buildStatus": self.build_end, "buildComplete": True, "phases": [state]}
        phase = "COMPLETED" if build.get("buildComplete") else "QUEUED" if went_s < 20 else "BUILD"
        return {"builds": [{**build, "currentPhase": phase}]}

    def _stop_build(self, params: Doc) -> Doc:
        build = next(build for build in self.builds if build["id"] == params["id"])
        build |= {"buildStatus": "STOPPED", "buildComplete": True}
        return {}

    def _generate_service_last_accessed_details(self, params: Doc) -> Doc:
        assert params["Arn"].startswith("arn:aws:iam::123456789012:role/pedigree-")
        assert params["Granularity"] == "ACTION_LEVEL"
        return {"JobId": "00000000-0000-0000-0000-000000000000"}

    def _get_service_last_accessed_details(self, params: Doc) -> Doc:
        del params
        last = self.moment.now() - timedelta(days=self.last_access_days)
        services: list[Doc] = [
            {
                "ServiceNamespace": "s3",
                "LastAuthenticated": last,
                "TrackedActionsLastAccessed": [
                    {"ActionName": "GetObject", "LastAccessedTime": last},
                    {"ActionName": "PutObject"},
                    {"ActionName": "CreateBucket"},  # tracked, and not in any of the policies
                ],
            },
            {"ServiceNamespace": "ecr"},
        ]
        return {"JobStatus": "COMPLETED", "ServicesLastAccessed": services}

    def _get_account_settings(self, params: Doc) -> Doc:
        del params
        return {"AccountLimit": {"UnreservedConcurrentExecutions": self.unreserved}}

    def _get_function_concurrency(self, params: Doc) -> Doc:
        del params
        raise CloudError("no function", fix="x", code="ResourceNotFoundException")

    def _list_service_quotas(self, params: Doc) -> Doc:
        assert params["ServiceCode"] == "sagemaker"
        name = "ml.m5.large for endpoint usage"
        return {"Quotas": [{"QuotaName": name, "Value": self.quota}]}

    def _describe_repositories(self, params: Doc) -> Doc:
        del params
        if not self.has_repository:
            raise CloudError("none", fix="x", code="RepositoryNotFoundException")
        return {}

    def _create_repository(self, params: Doc) -> Doc:
        assert params["imageScanningConfiguration"] == {"scanOnPush": True}
        self.has_repository = True
        return {}

    def _get_authorization_token(self, params: Doc) -> Doc:
        del params
        token = base64.b64encode(b"AWS:s3cret").decode()
        return {"authorizationData": [{"authorizationToken": token}]}

    def _describe_images(self, params: Doc) -> Doc:
        assert params["imageIds"] == [{"imageTag": "1"}]
        return {"imageDetails": [{"imageDigest": "sha256:" + "a" * 64}]}
