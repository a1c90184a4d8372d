"""Application Auto Scaling for SageMaker variants: its operations, and a loop that acts."""

from __future__ import annotations

from typing import Any

from localaws.clock import Timer
from localaws.metrics.alarms import AlarmBook
from localaws.sagemaker.listing import cut
from localaws.sagemaker.service import SageMaker
from localaws.sagemaker.words import Doc, Params, invalid, unsupported
from localaws.scaling.loop import ScalingLoop
from localaws.scaling.records import (
    METRIC,
    Resource,
    ScalingRecords,
    named,
    object_not_found,
    resource_of,
)
from localaws.settings import Settings
from localaws.store import Store
from localaws.wire.protocol import AwsError, Caller, ModelService

PAGE = 50
_TARGET = (
    "ServiceNamespace",
    "ResourceId",
    "ScalableDimension",
    "MinCapacity",
    "MaxCapacity",
    "RoleARN",
    "CreationTime",
    "SuspendedState",
    "ScalableTargetARN",
)
_CONFIG = "TargetTrackingScalingPolicyConfiguration"


class Autoscaling:
    """`services` answer `application-autoscaling`."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Timer,
        sagemaker: SageMaker,
        settings: Settings,
        alarms: AlarmBook,
    ) -> None:
        self._clock = clock
        self._variants = sagemaker.endpoints
        self._records = ScalingRecords(store, settings, alarms)
        self._loop = ScalingLoop(self._records, self._variants, sagemaker.metrics, clock)
        self.services = {"application-autoscaling": ModelService("application-autoscaling", self)}

    def start(self) -> None:
        """Begin to scale what an earlier server had registered, too."""
        for resource_id, _ in self._records.targets.items():
            _, endpoint, _, variant = resource_id.split("/")
            self._variants.mark_scaled(endpoint, variant, scaled=True)
        self._loop.start()

    def close(self) -> None:
        """Scale no more."""
        self._loop.close()

    def register_scalable_target(self, params: Params, caller: Caller) -> Doc:
        """RegisterScalableTarget: new, or changed where members are given."""
        del caller
        resource = resource_of(params)
        self._check_variant(resource)
        with self._records.lock:
            known = self._records.targets.get(resource.resource_id)
            target = known or self._records.new_target(resource, self._clock.now())
            _set_bounds(target, params)
            self._records.targets.put(resource.resource_id, target)
            if known is None:
                self._records.tags.put(target["ScalableTargetARN"], dict(params.get("Tags", {})))
        self._variants.mark_scaled(resource.endpoint, resource.variant, scaled=True)
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def describe_scalable_targets(self, params: Params, caller: Caller) -> Doc:
        """DescribeScalableTargets."""
        del caller
        wanted = params.get("ResourceIds") or None
        docs = [
            doc
            for key, doc in self._records.targets.items()
            if _of_dimension(doc, params) and (wanted is None or key in wanted)
        ]
        page, token = cut(docs, params, rank=lambda doc: (doc["ResourceId"],), default_size=PAGE)
        targets = [{key: doc[key] for key in _TARGET} for doc in page]
        return {"ScalableTargets": targets, "NextToken": token}

    def deregister_scalable_target(self, params: Params, caller: Caller) -> Doc:
        """DeregisterScalableTarget: removes its policies too."""
        del caller
        resource = resource_of(params)
        with self._records.lock:
            if self._records.targets.get(resource.resource_id) is None:
                raise object_not_found(f"No scalable target found for {named(params)}")
            self._records.remove_target(resource.resource_id)
        self._variants.mark_scaled(resource.endpoint, resource.variant, scaled=False)
        return {}

    def put_scaling_policy(self, params: Params, caller: Caller) -> Doc:
        """PutScalingPolicy: target tracking of invocations per instance, new or replaced."""
        del caller
        resource = resource_of(params)
        config = _tracking_config(params)
        key = f"{resource.resource_id}\n{params['PolicyName']}"
        with self._records.lock:
            if self._records.targets.get(resource.resource_id) is None:
                raise object_not_found(f"No scalable target registered for {named(params)}")
            policy = self._records.policies.get(key)
            policy = policy or self._records.new_policy(params, self._clock.now())
            policy[_CONFIG] = config
            self._records.policies.put(key, policy)
            self._records.alarms.put(policy, self._clock.now())
        return {"PolicyARN": policy["PolicyARN"], "Alarms": policy["Alarms"]}

    def describe_scaling_policies(self, params: Params, caller: Caller) -> Doc:
        """DescribeScalingPolicies."""
        del caller
        names = params.get("PolicyNames") or None
        docs = [
            doc
            for _, doc in self._records.policies.items()
            if _of_dimension(doc, params)
            and params.get("ResourceId") in (None, doc["ResourceId"])
            and (names is None or doc["PolicyName"] in names or doc["PolicyARN"] in names)
        ]
        page, token = cut(
            docs,
            params,
            rank=lambda doc: (doc["ResourceId"], doc["PolicyName"]),
            default_size=PAGE,
        )
        return {"ScalingPolicies": page, "NextToken": token}

    def delete_scaling_policy(self, params: Params, caller: Caller) -> Doc:
        """DeleteScalingPolicy."""
        del caller
        resource = resource_of(params)
        key = f"{resource.resource_id}\n{params['PolicyName']}"
        with self._records.lock:
            policy = self._records.policies.get(key)
            if policy is None:
                name = params["PolicyName"]
                raise object_not_found(
                    f"No scaling policy found for {named(params)}, policy name: {name}"
                )
            self._records.policies.delete(key)
            self._records.alarms.delete(policy)
        return {}

    def describe_scaling_activities(self, params: Params, caller: Caller) -> Doc:
        """DescribeScalingActivities, the newest first."""
        del caller
        prefix = f"{params['ResourceId']}\n" if "ResourceId" in params else ""
        docs = [
            doc for _, doc in self._records.activities.items(prefix) if _of_dimension(doc, params)
        ]
        docs.sort(key=_activity_rank, reverse=True)
        page, token = cut(docs, params, rank=_activity_rank, descending=True, default_size=PAGE)
        return {"ScalingActivities": page, "NextToken": token}

    def tag_resource(self, params: Params, caller: Caller) -> Doc:
        """TagResource, of a scalable target."""
        del caller
        tags = self._tags_of(params) | dict(params["Tags"])
        self._records.tags.put(params["ResourceARN"], tags)
        return {}

    def untag_resource(self, params: Params, caller: Caller) -> Doc:
        """UntagResource, of a scalable target."""
        del caller
        tags = self._tags_of(params)
        kept = {key: value for key, value in tags.items() if key not in params["TagKeys"]}
        self._records.tags.put(params["ResourceARN"], kept)
        return {}

    def list_tags_for_resource(self, params: Params, caller: Caller) -> Doc:
        """ListTagsForResource, of a scalable target."""
        del caller
        return {"Tags": self._tags_of(params)}

    def _tags_of(self, params: Params) -> dict[str, str]:
        tags = self._records.tags.get(params["ResourceARN"])
        if tags is None:
            text = f"The specified resource doesn't exist: {params['ResourceARN']}"
            raise AwsError("ResourceNotFoundException", text)
        return tags

    def _check_variant(self, resource: Resource) -> None:
        capacity = self._variants.capacity(resource.endpoint, resource.variant)
        if capacity is None:
            raise invalid(f"SageMaker has no resource {resource.resource_id}.")
        if not capacity.instance_type:
            raise invalid(f"{resource.resource_id} is serverless and has no instances to scale.")
        if capacity.instance_type.startswith("ml.t"):
            kind = capacity.instance_type
            raise invalid(f"Automatic scaling is not supported for burstable instances: {kind}.")


def _set_bounds(target: Doc, params: Params) -> None:
    for member in ("MinCapacity", "MaxCapacity"):
        if member in params:
            target[member] = params[member]
        elif member not in target:
            raise invalid(f"{member} is required when registering a new scalable target.")
    if target["MinCapacity"] < 1:
        raise invalid("MinCapacity must be at least 1 for a variant of a real-time endpoint.")
    if target["MinCapacity"] > target["MaxCapacity"]:
        raise invalid("Maximum capacity cannot be less than minimum capacity")
    target["SuspendedState"] |= params.get("SuspendedState", {})


def _of_dimension(doc: Doc, params: Params) -> bool:
    return doc["ServiceNamespace"] == params["ServiceNamespace"] and params.get(
        "ScalableDimension"
    ) in (None, doc["ScalableDimension"])


def _activity_rank(doc: Doc) -> tuple[Any, ...]:
    return doc["StartTime"], doc["ActivityId"]


def _tracking_config(params: Params) -> Doc:
    if params.get("PolicyType", "StepScaling") != "TargetTrackingScaling" or _CONFIG not in params:
        kind = params.get("PolicyType", "StepScaling")
        raise unsupported(f"{kind} policies", f"use TargetTrackingScaling with {_CONFIG}")
    config: Doc = dict(params[_CONFIG])
    metric = config.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if metric != METRIC or "CustomizedMetricSpecification" in config:
        raise unsupported(f"scaling by {metric or 'a customized metric'}", f"use {METRIC}")
    if config["TargetValue"] <= 0:
        raise invalid("TargetValue must be greater than 0.")
    for member in ("ScaleInCooldown", "ScaleOutCooldown"):
        if config.get(member, 0) < 0:
            raise invalid(f"{member} must be greater than or equal to 0.")
    return config
