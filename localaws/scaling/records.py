"""What Application Auto Scaling keeps: scalable targets, policies and activities."""

from __future__ import annotations

import re
import threading
import uuid
from dataclasses import dataclass

from localaws.metrics.alarms import AlarmBook
from localaws.sagemaker.words import Doc, Params, invalid
from localaws.scaling.decision import TrackingPolicy
from localaws.scaling.policy_alarms import PolicyAlarms
from localaws.settings import Settings
from localaws.store import Store
from localaws.wire.protocol import AwsError

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
METRIC = "SageMakerVariantInvocationsPerInstance"
NAMESPACE = "sagemaker"
ACTIVITIES_KEPT = 200
DEFAULT_COOLDOWN_S = 300
_RESOURCE = re.compile(r"endpoint/([A-Za-z0-9-]{1,63})/variant/([A-Za-z0-9-]{1,63})")


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A production variant, as a resource id names it."""

    endpoint: str
    variant: str

    @property
    def resource_id(self) -> str:
        """endpoint/<name>/variant/<name>."""
        return f"endpoint/{self.endpoint}/variant/{self.variant}"


def resource_of(params: Params) -> Resource:
    """The variant that a request names; refuses every other kind of resource."""
    found = _RESOURCE.fullmatch(params["ResourceId"])
    if params["ServiceNamespace"] != NAMESPACE or params["ScalableDimension"] != DIMENSION:
        raise invalid(
            "Unsupported service namespace, resource type or scalable dimension: localaws scales "
            f"{NAMESPACE} resources by {DIMENSION} only."
        )
    if found is None:
        raise invalid("Unsupported service namespace, resource type or scalable dimension")
    return Resource(endpoint=found[1], variant=found[2])


def named(params: Params) -> str:
    """The resource in the words of AWS's errors."""
    return (
        f"service namespace: {params['ServiceNamespace']}, resource ID: {params['ResourceId']}, "
        f"scalable dimension: {params['ScalableDimension']}"
    )


def object_not_found(message: str) -> AwsError:
    """No such target or policy."""
    return AwsError("ObjectNotFoundException", message)


class ScalingRecords:
    """The tables; targets by resource id, policies by resource id and name.

    Hold `lock` while a document is read, changed and written.
    """

    def __init__(self, store: Store, settings: Settings, alarms: AlarmBook) -> None:
        self.targets = store.table("scalable-targets")
        self.policies = store.table("scaling-policies")
        self.activities = store.table("scaling-activities")
        self.tags = store.table("scalable-target-tags")
        self.lock = threading.RLock()
        self.alarms = PolicyAlarms(alarms, settings)
        self._settings = settings

    def new_target(self, resource: Resource, now: float) -> Doc:
        """A target without bounds yet."""
        account, region = self._settings.account_id, self._settings.region
        target_id = uuid.uuid4().hex + uuid.uuid4().hex[:4]
        return {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": resource.resource_id,
            "ScalableDimension": DIMENSION,
            "RoleARN": (
                f"arn:aws:iam::{account}:role/aws-service-role/sagemaker.application-autoscaling"
                ".amazonaws.com/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
            ),
            "CreationTime": now,
            "SuspendedState": {
                "DynamicScalingInSuspended": False,
                "DynamicScalingOutSuspended": False,
                "ScheduledScalingSuspended": False,
            },
            "ScalableTargetARN": (
                f"arn:aws:application-autoscaling:{region}:{account}:scalable-target/{target_id}"
            ),
        }

    def new_policy(self, params: Params, now: float) -> Doc:
        """A policy with its ARN and the names of its two alarms."""
        account, region = self._settings.account_id, self._settings.region
        resource_id, name = params["ResourceId"], params["PolicyName"]
        alarms = []
        for side in ("AlarmHigh", "AlarmLow"):
            alarm = f"TargetTracking-{resource_id}-{side}-{uuid.uuid4()}"
            alarm_arn = f"arn:aws:cloudwatch:{region}:{account}:alarm:{alarm}"
            alarms.append({"AlarmName": alarm, "AlarmARN": alarm_arn})
        return {
            "PolicyARN": (
                f"arn:aws:autoscaling:{region}:{account}:scalingPolicy:{uuid.uuid4()}:resource/"
                f"{NAMESPACE}/{resource_id}:policyName/{name}"
            ),
            "PolicyName": name,
            "ServiceNamespace": NAMESPACE,
            "ResourceId": resource_id,
            "ScalableDimension": DIMENSION,
            "PolicyType": "TargetTrackingScaling",
            "Alarms": alarms,
            "CreationTime": now,
        }

    def policies_of(self, resource_id: str) -> list[Doc]:
        """All policies of one target."""
        return [doc for _, doc in self.policies.items(f"{resource_id}\n")]

    def remove_target(self, resource_id: str) -> None:
        """Remove a target and its policies; activities stay, as the history that they are."""
        for policy in self.policies_of(resource_id):
            self.policies.delete(f"{resource_id}\n{policy['PolicyName']}")
            self.alarms.delete(policy)
        target = self.targets.get(resource_id)
        if target is not None:
            self.tags.delete(target["ScalableTargetARN"])
        self.targets.delete(resource_id)

    def add_activity(self, resource_id: str, *, desired: int, cause: str, now: float) -> str:
        """A new activity in progress; its key. Old ones beyond the last 200 are dropped."""
        activity_id = str(uuid.uuid4())
        key = f"{resource_id}\n{int(now * 1000):016d}\n{activity_id}"
        doc = {
            "ActivityId": activity_id,
            "ServiceNamespace": NAMESPACE,
            "ResourceId": resource_id,
            "ScalableDimension": DIMENSION,
            "Description": f"Setting desired instance count to {desired}.",
            "Cause": cause,
            "StartTime": now,
            "StatusCode": "InProgress",
            "StatusMessage": (
                f"Successfully set desired instance count to {desired}. Waiting for change to be "
                "fulfilled by sagemaker."
            ),
        }
        self.activities.put(key, doc)
        keys = [old for old, _ in self.activities.items(f"{resource_id}\n")]
        for old in keys[:-ACTIVITIES_KEPT]:
            self.activities.delete(old)
        return key

    def end_activity(self, key: str, *, desired: int, fulfilled: bool, now: float) -> None:
        """Mark an activity as successful or failed."""
        doc = self.activities.get(key)
        if doc is None:
            return
        done = f"Successfully set desired instance count to {desired}. Change successfully "
        doc.update(
            EndTime=now,
            StatusCode="Successful" if fulfilled else "Failed",
            StatusMessage=f"{done}fulfilled by sagemaker."
            if fulfilled
            else f"Failed to set desired instance count to {desired}.",
        )
        self.activities.put(key, doc)


def tracking_policy(target: Doc, policy: Doc) -> TrackingPolicy:
    """The stored policy as the decision wants it."""
    config = policy["TargetTrackingScalingPolicyConfiguration"]
    suspended = target["SuspendedState"]
    return TrackingPolicy(
        target_value=config["TargetValue"],
        min_capacity=target["MinCapacity"],
        max_capacity=target["MaxCapacity"],
        scale_out_cooldown_s=config.get("ScaleOutCooldown", DEFAULT_COOLDOWN_S),
        scale_in_cooldown_s=config.get("ScaleInCooldown", DEFAULT_COOLDOWN_S),
        disable_scale_in=config.get("DisableScaleIn", False),
        suspend_scale_in=suspended["DynamicScalingInSuspended"],
        suspend_scale_out=suspended["DynamicScalingOutSuspended"],
    )
