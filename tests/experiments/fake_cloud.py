"""AWS as far as experiments/ calls it: in memory, in simulated time, with AWS's rules and error codes.

Every request is first held against AWS's service model. What runs do is scripted by `Work`; their
states follow from the clock alone.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from experiments.contract import faults
from experiments.errors import CloudError
from experiments.launching.ec2 import AMI_PARAMETER
from experiments.records import Basis, Call
from tests.experiments.build import ACCOUNT, AMI, NOW, REGION
from tests.experiments.fake_runs import Instance, Job, Work
from tests.experiments.fake_storage import Buckets, Refusal, Roles


class Clock:
    """Time that passes only when somebody sleeps; no test takes more than four hours of it."""

    def __init__(self, start: datetime = NOW) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        assert self._now < NOW + timedelta(hours=4), "this would never have ended"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Raise `error` before or after the `nth` call (from 1) of an operation has its effect.

    `about` is a text that the request must hold to be counted.
    """

    operation: str
    error: BaseException
    when: str = "before"
    nth: int = 1
    about: str = ""

    def meant(self, call: Call) -> bool:
        """Whether a call counts."""
        return call.operation == self.operation and self.about in str(call.params)


@dataclass(kw_only=True)
class FakeCloud:
    """A whole account. `work` says by run id what its program does; `quota` caps hosts per request."""

    clock: Clock = field(default_factory=Clock)
    region: str = REGION
    basis: Basis = Basis.SIMULATED
    work: Mapping[str, Work] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    quota: int = 20
    blind_s: float = 0.0
    """For so long EC2 does not know an instance that it has just started."""
    calls: list[Call] = field(default_factory=list)
    buckets: Buckets = field(default_factory=Buckets)
    roles: Roles = field(default_factory=Roles)
    jobs: dict[str, Job] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def account_id(self) -> str:
        return str(self.ask("sts", "get_caller_identity")["Account"])

    def perform(self, call: Call) -> dict[str, Any]:
        return self.ask(call.service, call.operation, **call.params)

    def client(self, service: str) -> Any:
        raise NotImplementedError(f"experiments/ has no need of a bare {service} client")

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        items: list[Any] = []
        answer, asked = _TOKENS[operation]
        while True:
            page = self.ask(service, operation, **params)
            items += page.get(member, [])
            if not page.get(answer):
                return items
            params[asked] = page[answer]

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        call = Call(service=service, operation=operation, params=params, why="")
        self._held_against_the_model(call)
        self.calls.append(call)
        self._strike(call, "before")
        self._let_runs_write()
        try:
            handler: Callable[..., dict[str, Any]] = getattr(self, f"_{service}_{operation}")
            answer = handler(**params)
        except Refusal as no:
            raise CloudError(
                f"{service} {operation} was refused: {no.code}: {no}", fix="see above", code=no.code
            ) from no
        self._strike(call, "after")
        return answer

    def count(self, operation: str) -> int:
        """How often an operation was asked for."""
        return sum(call.operation == operation for call in self.calls)

    def _held_against_the_model(self, call: Call) -> None:
        found = faults(call)
        if found:
            raise CloudError(f"not sent: {found}", fix="mend it", code="ParamValidation")

    def _strike(self, call: Call, when: str) -> None:
        for fault in self.faults:
            struck = fault.when == when and fault.meant(call)
            if struck and sum(map(fault.meant, self.calls)) == fault.nth:
                raise fault.error

    def _let_runs_write(self) -> None:
        """Put into the buckets what runs have written by now."""
        now = self.clock.now()
        runs: list[Job | Instance] = [*self.jobs.values(), *self.instances.values()]
        for run in runs:
            for uri, data in run.written(now):
                place = urlsplit(uri)
                self.buckets.put(place.netloc, place.path.lstrip("/"), data)

    def _work(self, tags: Sequence[Mapping[str, str]]) -> Work:
        run_id = {tag["Key"]: tag["Value"] for tag in tags}.get("pedigree:run", "")
        return self.work.get(run_id, Work())

    # --- STS, SSM ---

    def _sts_get_caller_identity(self) -> dict[str, Any]:
        return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/ada"}

    def _ssm_get_parameter(self, Name: str) -> dict[str, Any]:
        if Name != AMI_PARAMETER:
            raise Refusal("ParameterNotFound", Name)
        return {"Parameter": {"Name": Name, "Value": AMI}}

    # --- S3 ---

    def _s3_create_bucket(self, Bucket: str, **more: Any) -> dict[str, Any]:
        place = more.get("CreateBucketConfiguration", {}).get("LocationConstraint", "us-east-1")
        self.buckets.create(Bucket, place=place, region=self.region)
        return {"Location": f"/{Bucket}"}

    def _s3_head_bucket(self, Bucket: str, ExpectedBucketOwner: str = "") -> dict[str, Any]:
        self.buckets.check_owner(Bucket, ExpectedBucketOwner, missing="404")
        return {"BucketRegion": self.region}

    def _s3_put_public_access_block(self, Bucket: str, **setting: Any) -> dict[str, Any]:
        return self.buckets.configure(Bucket, "public", setting["PublicAccessBlockConfiguration"])

    def _s3_put_bucket_encryption(self, Bucket: str, **setting: Any) -> dict[str, Any]:
        key = "ServerSideEncryptionConfiguration"
        return self.buckets.configure(Bucket, "encryption", setting[key])

    def _s3_put_bucket_policy(self, Bucket: str, Policy: str) -> dict[str, Any]:
        return self.buckets.configure(Bucket, "policy", json.loads(Policy))

    def _s3_get_bucket_policy(self, Bucket: str, ExpectedBucketOwner: str = "") -> dict[str, Any]:
        self.buckets.check_owner(Bucket, ExpectedBucketOwner, missing="NoSuchBucket")
        policy = self.buckets.setting(Bucket, "policy")
        if policy is None:
            raise Refusal("NoSuchBucketPolicy", "The bucket policy does not exist")
        return {"Policy": json.dumps(policy)}

    def _s3_put_object(
        self, Bucket: str, Key: str, Body: Any, ChecksumSHA256: str = ""
    ) -> dict[str, Any]:
        data = Body if isinstance(Body, bytes) else Body.read()
        found = base64.b64encode(hashlib.sha256(data).digest()).decode()
        if ChecksumSHA256 not in ("", found):
            raise Refusal("BadDigest", "The SHA256 you specified did not match what we received")
        self.buckets.put(Bucket, Key, data)
        return {"ETag": '"x"'}

    def _s3_copy_object(self, Bucket: str, Key: str, CopySource: str) -> dict[str, Any]:
        source, _, key = unquote(CopySource).partition("/")
        data = self._s3_get_object(source, key)["Body"].read()
        return self._s3_put_object(Bucket=Bucket, Key=Key, Body=data)

    def _s3_head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        return {"ContentLength": self.buckets.get(Bucket, Key, missing="404").size}

    def _s3_get_object(self, Bucket: str, Key: str, Range: str = "") -> dict[str, Any]:
        stored = self.buckets.get(Bucket, Key, missing="NoSuchKey")
        if not Range:
            return {"ContentLength": stored.size, "Body": stored.open()}
        first, last = (int(part) for part in Range.removeprefix("bytes=").split("-"))
        if first >= stored.size:
            raise Refusal("InvalidRange", "The requested range is not satisfiable")
        part = stored.data[first : last + 1]
        return {"ContentLength": len(part), "Body": io.BytesIO(part)}

    def _s3_list_objects_v2(
        self, Bucket: str, Prefix: str = "", ContinuationToken: str = ""
    ) -> dict[str, Any]:
        return self.buckets.listing(Bucket, Prefix, after=ContinuationToken)

    # --- IAM ---

    def _iam_create_role(self, **params: Any) -> dict[str, Any]:
        return self.roles.create(params["RoleName"], json.loads(params["AssumeRolePolicyDocument"]))

    def _iam_get_role(self, RoleName: str) -> dict[str, Any]:
        self.roles.get(RoleName)
        return {"Role": {"RoleName": RoleName}}

    def _iam_put_role_policy(
        self, RoleName: str, PolicyName: str, PolicyDocument: str
    ) -> dict[str, Any]:
        self.roles.get(RoleName).policies[PolicyName] = json.loads(PolicyDocument)
        return {}

    def _iam_get_role_policy(self, RoleName: str, PolicyName: str) -> dict[str, Any]:
        found = self.roles.get(RoleName).policies.get(PolicyName)
        if found is None:
            raise Refusal("NoSuchEntity", f"The role policy with name {PolicyName} cannot be found")
        return {"PolicyDocument": found}

    def _iam_create_instance_profile(self, InstanceProfileName: str, **_: Any) -> dict[str, Any]:
        return self.roles.create_profile(InstanceProfileName)

    def _iam_add_role_to_instance_profile(
        self, InstanceProfileName: str, RoleName: str
    ) -> dict[str, Any]:
        return self.roles.add_to_profile(InstanceProfileName, RoleName)

    def _iam_get_instance_profile(self, InstanceProfileName: str) -> dict[str, Any]:
        held = self.roles.profile(InstanceProfileName)
        return {"InstanceProfile": {"Roles": [{"RoleName": name} for name in held]}}

    # --- SageMaker ---

    def _sagemaker_create_training_job(self, **params: Any) -> dict[str, Any]:
        name = params["TrainingJobName"]
        if name in self.jobs:
            raise Refusal("ResourceInUse", f"Training job names must be unique: {name}")
        if params["ResourceConfig"]["InstanceCount"] > self.quota:
            raise Refusal("ResourceLimitExceeded", "The account-level service limit is too low")
        if not self.roles.trusts(params["RoleArn"].rpartition("/")[2], "sagemaker"):
            raise Refusal("ValidationException", f"Could not assume role {params['RoleArn']}")
        for channel in params["InputDataConfig"]:
            place = urlsplit(channel["DataSource"]["S3DataSource"]["S3Uri"])
            if not self.buckets.listing(place.netloc, place.path.lstrip("/"))["KeyCount"]:
                raise Refusal("ValidationException", f"No S3 objects found under {place.geturl()}")
        work = self._work(params["Tags"])
        self.jobs[name] = Job(request=params, work=work, created=self.clock.now())
        return {"TrainingJobArn": f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:training-job/{name}"}

    def _job(self, name: str) -> Job:
        if name not in self.jobs:
            raise Refusal("ValidationException", "Requested resource not found.")
        return self.jobs[name]

    def _sagemaker_describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:
        return self._job(TrainingJobName).described(self.clock.now())

    def _sagemaker_stop_training_job(self, TrainingJobName: str) -> dict[str, Any]:
        job = self._job(TrainingJobName)
        if not job.stop(self.clock.now()):
            raise Refusal("ValidationException", "The job is not in progress")
        return {}

    # --- CloudWatch Logs ---

    def _logs_describe_log_streams(
        self, logGroupName: str, logStreamNamePrefix: str
    ) -> dict[str, Any]:
        spoken = [job for job in self.jobs.values() if job.streams(self.clock.now())]
        if logGroupName != "/aws/sagemaker/TrainingJobs" or not spoken:
            raise Refusal("ResourceNotFoundException", "The specified log group does not exist.")
        streams = [name for job in spoken for name in job.streams(self.clock.now())]
        found = [name for name in streams if name.startswith(logStreamNamePrefix)]
        return {"logStreams": [{"logStreamName": name} for name in sorted(found)]}

    def _logs_get_log_events(
        self,
        logGroupName: str,
        logStreamName: str,
        startFromHead: bool = False,
        nextToken: str = "f/0",
    ) -> dict[str, Any]:
        job = self.jobs.get(logStreamName.partition("/")[0])
        lines = job.streams(self.clock.now()).get(logStreamName) if job else None
        if lines is None or not logGroupName:
            raise Refusal("ResourceNotFoundException", "The specified log stream does not exist.")
        start = int(nextToken.partition("/")[2]) if startFromHead else len(lines)
        page = lines[start : start + 3]
        token = f"f/{start + len(page)}"
        return {"events": [{"message": line} for line in page], "nextForwardToken": token}

    # --- EC2 ---

    def _ec2_run_instances(self, **params: Any) -> dict[str, Any]:
        for known in self.instances.values():
            if known.request["ClientToken"] == params["ClientToken"]:
                if known.request != params:
                    raise Refusal("IdempotentParameterMismatch", params["ClientToken"])
                return {"Instances": [known.described(self.clock.now())]}
        if params["ImageId"] != AMI:
            raise Refusal("InvalidAMIID.NotFound", params["ImageId"])
        if not self.roles.profiles.get(params["IamInstanceProfile"]["Name"]):
            raise Refusal("InvalidParameterValue", "Invalid IAM Instance Profile name")
        if not all(map(self._has_group, params["SecurityGroups"])):
            raise Refusal("InvalidGroup.NotFound", f"{params['SecurityGroups']} do not exist")
        if len(params["UserData"].encode()) > 16_384:
            raise Refusal("InvalidUserData.Malformed", "User data is limited to 16384 bytes")
        name = f"i-{len(self.instances):017x}"
        tags = params["TagSpecifications"][0]["Tags"]
        self.instances[name] = Instance(
            instance_id=name, request=params, work=self._work(tags), launched=self.clock.now()
        )
        return {"Instances": [self.instances[name].described(self.clock.now())]}

    def _ec2_describe_security_groups(
        self, Filters: Sequence[Mapping[str, Any]] = ()
    ) -> dict[str, Any]:
        wanted = [name for part in Filters for name in part["Values"]]
        found = [self.groups[f"{self.region}/{n}"] for n in wanted if self._has_group(n)]
        return {"SecurityGroups": found}

    def _has_group(self, name: str) -> bool:
        return f"{self.region}/{name}" in self.groups

    def _ec2_create_security_group(
        self, GroupName: str, Description: str, TagSpecifications: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        if self._has_group(GroupName):
            raise Refusal("InvalidGroup.Duplicate", f"The security group {GroupName} exists")
        tags = TagSpecifications[0]["Tags"]
        group = {"GroupName": GroupName, "Description": Description, "Tags": tags}
        self.groups[f"{self.region}/{GroupName}"] = {**group, "IpPermissions": []}
        return {"GroupId": f"sg-{len(self.groups):017x}"}

    def _visible(self, instance: Instance) -> bool:
        return self.clock.now() >= instance.launched + timedelta(seconds=self.blind_s)

    def _ec2_describe_instances(
        self, InstanceIds: Sequence[str] = (), Filters: Sequence[Mapping[str, Any]] = ()
    ) -> dict[str, Any]:
        for name in InstanceIds:
            if name not in self.instances or not self._visible(self.instances[name]):
                raise Refusal("InvalidInstanceID.NotFound", f"The instance ID {name!r} is unknown")
        found = [i for i in self.instances.values() if i.instance_id in InstanceIds or Filters]
        for wanted in Filters:
            key = wanted["Name"].removeprefix("tag:")
            found = [i for i in found if i.tags.get(key) in wanted["Values"]]
        now = self.clock.now()
        return {"Reservations": [{"Instances": [i.described(now)]} for i in found]}

    def _ec2_get_console_output(self, InstanceId: str) -> dict[str, Any]:
        if InstanceId not in self.instances:
            raise Refusal(
                "InvalidInstanceID.NotFound", f"The instance ID {InstanceId!r} is unknown"
            )
        return {"InstanceId": InstanceId, "Output": "reboot: Power down\n"}

    def _ec2_create_tags(
        self, Resources: Sequence[str], Tags: Sequence[Mapping[str, str]]
    ) -> dict[str, Any]:
        for name in Resources:
            if name not in self.instances or not self._visible(self.instances[name]):
                raise Refusal("InvalidInstanceID.NotFound", f"The instance ID {name!r} is unknown")
            for tag in Tags:
                self.instances[name].tag(tag["Key"], self.clock.now())
        return {}

    def _ec2_terminate_instances(self, InstanceIds: Sequence[str]) -> dict[str, Any]:
        for name in InstanceIds:
            if name not in self.instances:
                raise Refusal("InvalidInstanceID.NotFound", f"The instance ID {name!r} is unknown")
            self.instances[name].terminate(self.clock.now())
        return {}


_TOKENS = {
    "list_objects_v2": ("NextContinuationToken", "ContinuationToken"),
    "describe_log_streams": ("nextToken", "nextToken"),
    "describe_instances": ("NextToken", "NextToken"),
    "describe_security_groups": ("NextToken", "NextToken"),
}
