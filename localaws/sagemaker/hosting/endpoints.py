"""SageMaker's endpoint operations."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping, Sequence

from localaws.metrics.alarms import AlarmBook
from localaws.sagemaker.hosting.capture import check_destination
from localaws.sagemaker.hosting.deployment import deployment_of
from localaws.sagemaker.hosting.document import (
    BUSY,
    described,
    excluded_properties,
    new_document,
    retain,
    variants_of,
)
from localaws.sagemaker.hosting.lifecycle import Hosting
from localaws.sagemaker.hosting.metrics import EndpointMetrics
from localaws.sagemaker.hosting.serverless import check_serverless
from localaws.sagemaker.hosting.stage import Stage
from localaws.sagemaker.hosting.traffic import Traffic
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
)
from localaws.sagemaker.world import World
from localaws.scaling.loop import Capacity
from localaws.store import Store
from localaws.wire.protocol import Caller

# Statuses in which an endpoint answers requests.
_ANSWERING = ("InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed")
_UPDATABLE = ("InService", "UpdateRollbackFailed")
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
        alarms: AlarmBook,
    ) -> None:
        self._table = store.table("endpoints")
        self._tags = tags
        self._models = models
        self._configs = configs
        self._world = world
        self._lock = threading.Lock()
        self._alarms = alarms
        self._stage = Stage(self._table, world)
        self._hosting = Hosting(self._stage, metrics, alarms.tripped)
        self._scaled: set[tuple[str, str]] = set()

    def start(self) -> None:
        """Bring the endpoints of an earlier server up again, in the background."""
        shutil.rmtree(self._world.settings.state_dir / "endpoints", ignore_errors=True)
        for name, doc in self._table.items():
            status = doc["EndpointStatus"]
            if status == "Deleting":
                self._hosting.delete(name)
            elif status == "Updating" and "Pending" in doc:
                self._hosting.resume_update(name)
            elif status != "Failed":
                # An update that was being rolled back is given up: the old fleet comes up.
                doc.pop("Pending", None)
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
            variants = variants_of(config, self._models)
            self._check_deployment(params.get("DeploymentConfig", {}), variants)
            check_destination(config, self._world.objects)
            doc = new_document(name, endpoint_arn, config, variants, self._world.clock.now())
            if "DeploymentConfig" in params:
                doc["LastDeploymentConfig"] = params["DeploymentConfig"]
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
        """SageMaker UpdateEndpoint: a second fleet takes over as the DeploymentConfig says."""
        del caller
        name, now = params["EndpointName"], self._world.clock.now()
        with self._lock:
            doc = self._idle(name, _UPDATABLE)
            config = self._configs.get(params["EndpointConfigName"])
            # AWS reads the present configuration too, and fails when it was deleted.
            self._configs.get(doc["EndpointConfigName"])
            variants = variants_of(config, self._models)
            capture = config.get("DataCaptureConfig")
            if params.get("RetainAllVariantProperties"):
                excluded = excluded_properties(params)
                retain(variants, doc["Variants"], excluded)
                if "DataCaptureConfig" not in excluded:
                    capture = doc.get("DataCaptureConfig", capture)
            deployment = _deployment_config(params, doc)
            self._check_deployment(deployment, variants)
            check_destination(config, self._world.objects)
            self._refuse_scaled(name, doc["Variants"], variants)
            doc["Pending"] = {
                "EndpointConfigName": params["EndpointConfigName"],
                "Variants": variants,
                "StartTime": now,
                "DeploymentConfig": deployment,
                **({"DataCaptureConfig": capture} if capture else {}),
            }
            if deployment:
                doc["LastDeploymentConfig"] = deployment
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

    def serving(self, name: str) -> Traffic | None:
        """What answers for the endpoint, or None. After a restart, waits until it is up again."""
        deadline = time.monotonic() + _RESUME_S
        while (traffic := self._stage.traffic(name)) is None:
            doc = self._table.get(name)
            if doc is None or doc["EndpointStatus"] not in _ANSWERING:
                return None
            if time.monotonic() > deadline:
                return None
            time.sleep(_RESUME_POLL_S)
        return traffic

    def kill_instance(self, name: str, variant: str | None = None) -> bool:
        """End the program of one instance with SIGKILL; False when there is none."""
        traffic = self._stage.traffic(name)
        fleets = traffic.main.fleets if traffic else {}
        return any(
            fleet.kill() for key, fleet in fleets.items() if variant is None or key == variant
        )

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
            doc = self._idle(name, ("InService",))
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

    def _idle(self, name: str, statuses: Sequence[str]) -> Doc:
        doc = self._get(name)
        if doc["EndpointStatus"] in BUSY:
            raise in_progress(doc["EndpointArn"])
        if doc["EndpointStatus"] not in statuses:
            status = doc["EndpointStatus"]
            raise invalid(
                f'Cannot update endpoint "{doc["EndpointArn"]}" in status {status}. Delete it and '
                "create it again."
            )
        return doc

    def _check_deployment(self, config: Params, variants: list[Doc]) -> None:
        plan = deployment_of(config, variants)
        missing = [name for name in plan.alarms if self._alarms.get(name) is None]
        if missing:
            raise invalid(
                f"The following CloudWatch alarms do not exist: {', '.join(missing)}. Create them "
                "before they are named in AutoRollbackConfiguration."
            )

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
    serverless = variant.get("ServerlessConfig")
    if "ServerlessUpdateConfig" in wish:
        if serverless is None:
            raise invalid("ServerlessUpdateConfig is valid for serverless variants only.")
        changed = {**serverless, **wish["ServerlessUpdateConfig"]}
        check_serverless(changed)
        variant["ServerlessConfig"] = changed
    if "DesiredInstanceCount" in wish:
        if serverless is not None:
            raise invalid("DesiredInstanceCount is not valid for a serverless variant.")
        if wish["DesiredInstanceCount"] < 1:
            raise invalid("DesiredInstanceCount must be at least 1 for a real-time endpoint.")
        variant["DesiredInstanceCount"] = wish["DesiredInstanceCount"]
    if "DesiredWeight" in wish:
        variant["CurrentWeight"] = variant["DesiredWeight"] = wish["DesiredWeight"]


def _deployment_config(params: Params, doc: Doc) -> Doc:
    """What the request says, else with RetainDeploymentConfig what the last one said."""
    if "DeploymentConfig" in params:
        return dict(params["DeploymentConfig"])
    if params.get("RetainDeploymentConfig"):
        return dict(doc.get("LastDeploymentConfig", {}))
    return {}
