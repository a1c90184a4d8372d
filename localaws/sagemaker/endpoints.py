"""SageMaker's endpoint operations."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping

from localaws.sagemaker.endpoint_document import (
    BUSY,
    described,
    excluded_properties,
    new_document,
    retain,
    variants_of,
)
from localaws.sagemaker.endpoint_metrics import EndpointMetrics
from localaws.sagemaker.hosting import Fleets, Hosting
from localaws.sagemaker.listing import Columns, page
from localaws.sagemaker.models import EndpointConfigs, Models
from localaws.sagemaker.tags import Tags
from localaws.sagemaker.words import (
    Doc,
    Params,
    already_exists,
    arn,
    could_not_find,
    in_progress,
    invalid,
    unsupported,
)
from localaws.sagemaker.world import World
from localaws.scaling.loop import Capacity
from localaws.store import Store
from localaws.wire.protocol import Caller

# Statuses in which an endpoint answers requests.
_ANSWERING = ("InService", "Updating", "SystemUpdating", "RollingBack")
_RESUME_S = 50.0
_RESUME_POLL_S = 0.02
_COLUMNS = Columns(name="EndpointName", status="EndpointStatus")
_SUMMARY = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")


class Endpoints:
    """Create, describe, list, update, scale and delete endpoints, which run on this machine."""

    def __init__(
        self,
        store: Store,
        tags: Tags,
        models: Models,
        configs: EndpointConfigs,
        world: World,
        metrics: EndpointMetrics,
    ) -> None:
        self._table = store.table("endpoints")
        self._tags = tags
        self._models = models
        self._configs = configs
        self._world = world
        self._lock = threading.Lock()
        self._hosting = Hosting(self._table, world, metrics)
        self._scaled: set[tuple[str, str]] = set()

    def start(self) -> None:
        """Bring the endpoints of an earlier server up again, in the background."""
        shutil.rmtree(self._world.settings.state_dir / "endpoints", ignore_errors=True)
        for name, doc in self._table.items():
            status = doc["EndpointStatus"]
            if status == "Deleting":
                self._hosting.delete(name)
            elif status != "Failed":
                if "Pending" in doc:
                    del doc["Pending"]
                    doc["FailureReason"] = "localaws went down during the update; update again."
                doc["EndpointStatus"] = "Creating" if status == "Creating" else "SystemUpdating"
                self._table.put(name, doc)
                self._hosting.create(name)

    def close(self) -> None:
        """End every instance."""
        self._hosting.close()

    def create_endpoint(self, params: Params, caller: Caller) -> Doc:
        """SageMaker CreateEndpoint; the endpoint comes up in the background."""
        del caller
        name = params["EndpointName"]
        endpoint_arn = arn(self._world.settings, "endpoint", name)
        with self._lock:
            if self._table.get(name) is not None:
                raise already_exists("endpoint", endpoint_arn)
            config = self._configs.get(params["EndpointConfigName"])
            _deployment_wait_s(params)
            variants = variants_of(config, self._models)
            doc = new_document(
                name,
                endpoint_arn,
                params["EndpointConfigName"],
                variants,
                self._world.clock.now(),
            )
            self._table.put(name, doc)
        self._tags.set(endpoint_arn, params.get("Tags", []))
        self._hosting.create(name)
        return {"EndpointArn": endpoint_arn}

    def describe_endpoint(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DescribeEndpoint."""
        del caller
        return described(self._get(params["EndpointName"]))

    def list_endpoints(self, params: Params, caller: Caller) -> Doc:
        """SageMaker ListEndpoints."""
        del caller
        docs, token = page([doc for _, doc in self._table.items()], params, _COLUMNS)
        summaries = [{key: doc[key] for key in _SUMMARY} for doc in docs]
        return {"Endpoints": summaries, "NextToken": token}

    def update_endpoint(self, params: Params, caller: Caller) -> Doc:
        """SageMaker UpdateEndpoint: a second fleet takes over once it is healthy."""
        del caller
        name, now = params["EndpointName"], self._world.clock.now()
        with self._lock:
            doc = self._idle(name)
            config = self._configs.get(params["EndpointConfigName"])
            # AWS reads the present configuration too, and fails when it was deleted.
            self._configs.get(doc["EndpointConfigName"])
            wait_s = _deployment_wait_s(params)
            variants = variants_of(config, self._models)
            if params.get("RetainAllVariantProperties"):
                retain(variants, doc["Variants"], excluded_properties(params))
            self._refuse_scaled(name, doc["Variants"], variants)
            doc["Pending"] = {
                "EndpointConfigName": params["EndpointConfigName"],
                "Variants": variants,
                "StartTime": now,
                "WaitSeconds": wait_s,
            }
            if "DeploymentConfig" in params:
                doc["LastDeploymentConfig"] = params["DeploymentConfig"]
            doc.pop("FailureReason", None)
            self._table.put(name, {**doc, "EndpointStatus": "Updating", "LastModifiedTime": now})
        self._hosting.update(name)
        return {"EndpointArn": doc["EndpointArn"]}

    def update_endpoint_weights_and_capacities(self, params: Params, caller: Caller) -> Doc:
        """SageMaker UpdateEndpointWeightsAndCapacities."""
        del caller
        wishes = {one["VariantName"]: one for one in params["DesiredWeightsAndCapacities"]}
        return {"EndpointArn": self._scale(params["EndpointName"], wishes)}

    def delete_endpoint(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DeleteEndpoint: ends the instances after their last request."""
        del caller
        name = params["EndpointName"]
        with self._lock:
            doc = self._get(name)
            if doc["EndpointStatus"] in BUSY:
                raise in_progress(doc["EndpointArn"])
            self._table.put(name, {**doc, "EndpointStatus": "Deleting"})
        self._tags.forget(doc["EndpointArn"])
        self._hosting.delete(name)
        return {}

    def serving(self, name: str) -> Fleets | None:
        """What answers for the endpoint, or None. After a restart, waits until it is up again."""
        deadline = time.monotonic() + _RESUME_S
        while not (fleets := self._hosting.fleets(name)):
            doc = self._table.get(name)
            if doc is None or doc["EndpointStatus"] not in _ANSWERING:
                return None
            if time.monotonic() > deadline:
                return None
            time.sleep(_RESUME_POLL_S)
        return fleets

    def fleets(self, name: str) -> Fleets | None:
        """What answers invocations of the endpoint; None when there is nothing to ask."""
        return self._hosting.fleets(name)

    def weights(self, name: str) -> dict[str, float]:
        """Each variant's share of the traffic."""
        doc = self._table.get(name)
        return {one["VariantName"]: one["CurrentWeight"] for one in doc["Variants"]} if doc else {}

    def capacity(self, name: str, variant: str) -> Capacity | None:
        """The variant as it is to be; None when there is no such."""
        doc = self._table.get(name) or {"Variants": []}
        for one in doc["Variants"]:
            if one["VariantName"] == variant:
                return Capacity(
                    status=doc["EndpointStatus"],
                    instances=one["DesiredInstanceCount"],
                    instance_type=one["InstanceType"],
                )
        return None

    def set_capacity(self, name: str, variant: str, instances: int) -> None:
        """Ask for so many instances. Raises AWS's error when the endpoint is busy."""
        self._scale(name, {variant: {"DesiredInstanceCount": instances}})

    def mark_scaled(self, name: str, variant: str, *, scaled: bool) -> None:
        """Whether the variant is a scalable target: then its instance type may not change."""
        with self._lock:
            (self._scaled.add if scaled else self._scaled.discard)((name, variant))

    def _scale(self, name: str, wishes: Mapping[str, Params]) -> str:
        with self._lock:
            doc = self._idle(name)
            variants = {one["VariantName"]: one for one in doc["Variants"]}
            unknown = sorted(set(wishes) - set(variants))
            if unknown:
                raise invalid(f"Endpoint {name} has no variant named {', '.join(unknown)}.")
            for variant, wish in wishes.items():
                _apply_wish(variants[variant], wish)
            now = self._world.clock.now()
            self._table.put(name, {**doc, "EndpointStatus": "Updating", "LastModifiedTime": now})
        self._hosting.scale(name)
        endpoint_arn: str = doc["EndpointArn"]
        return endpoint_arn

    def _get(self, name: str) -> Doc:
        doc = self._table.get(name)
        if doc is None:
            raise could_not_find("endpoint", arn(self._world.settings, "endpoint", name))
        return doc

    def _idle(self, name: str) -> Doc:
        doc = self._get(name)
        if doc["EndpointStatus"] in BUSY:
            raise in_progress(doc["EndpointArn"])
        if doc["EndpointStatus"] != "InService":
            status = doc["EndpointStatus"]
            raise invalid(
                f'Cannot update endpoint "{doc["EndpointArn"]}" in status {status}. Delete it and '
                "create it again."
            )
        return doc

    def _refuse_scaled(self, name: str, old: list[Doc], new: list[Doc]) -> None:
        types = {one["VariantName"]: one["InstanceType"] for one in new}
        for variant in old:
            key = (name, variant["VariantName"])
            if key in self._scaled and types.get(key[1]) != variant["InstanceType"]:
                raise invalid(
                    f"The variant {key[1]} is registered with Application Auto Scaling, so its "
                    "instance type cannot change: call DeregisterScalableTarget before the update."
                )


def _apply_wish(variant: Doc, wish: Params) -> None:
    if "ServerlessUpdateConfig" in wish:
        raise unsupported("ServerlessUpdateConfig", "use DesiredInstanceCount")
    if "DesiredInstanceCount" in wish:
        if wish["DesiredInstanceCount"] < 1:
            raise invalid("DesiredInstanceCount must be at least 1 for a real-time endpoint.")
        variant["DesiredInstanceCount"] = wish["DesiredInstanceCount"]
    if "DesiredWeight" in wish:
        variant["CurrentWeight"] = variant["DesiredWeight"] = wish["DesiredWeight"]


def _deployment_wait_s(params: Params) -> int:
    """Seconds for which the old fleet waits; refuses what only AWS can do."""
    config = params.get("DeploymentConfig", {})
    if "RollingUpdatePolicy" in config:
        raise unsupported("RollingUpdatePolicy", "use BlueGreenUpdatePolicy with ALL_AT_ONCE")
    if config.get("AutoRollbackConfiguration", {}).get("Alarms"):
        raise unsupported("AutoRollbackConfiguration alarms", "leave AutoRollbackConfiguration out")
    policy = config.get("BlueGreenUpdatePolicy")
    if policy is None:
        return 0
    routing = policy["TrafficRoutingConfiguration"]
    if routing["Type"] != "ALL_AT_ONCE":
        raise unsupported(f"traffic routing {routing['Type']}", "use ALL_AT_ONCE")
    return int(routing["WaitIntervalInSeconds"] + policy.get("TerminationWaitInSeconds", 0))
