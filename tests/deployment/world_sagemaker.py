"""SageMaker in memory: models, configurations, endpoints that take time, and answers from them."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests.deployment.world_ground import Moment, Objects, Refused, Roles

CREATE_S = 120.0
UPDATE_S = 90.0
SERVICE = "application/json"


@dataclass
class Endpoints:
    """`broken_runs` start but fail on every photo; `unstartable_runs` never come up.

    `alarming_runs` set the update's alarms off while they bake; `ringing` are alarms that are on.
    """

    moment: Moment
    objects: Objects
    roles: Roles
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    endpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken_runs: set[str] = field(default_factory=set)
    unstartable_runs: set[str] = field(default_factory=set)
    alarming_runs: set[str] = field(default_factory=set)
    alarm_names: set[str] = field(default_factory=set)
    ringing: set[str] = field(default_factory=set)

    def create_model(self, ModelName: str, ExecutionRoleArn: str, **more: Any) -> dict[str, Any]:
        if ModelName in self.models:
            message = f"Cannot create already existing model {ModelName}"
            raise Refused("ValidationException", message)
        if not self.roles.can_be_taken(ExecutionRoleArn):
            message = f"Could not assume role {ExecutionRoleArn}. Please ensure that it exists"
            raise Refused("ValidationException", message)
        key = more["PrimaryContainer"]["ModelDataUrl"].split("/", 3)[3]
        if key not in self.objects.bodies:
            raise Refused("ValidationException", f"Could not find model data at {key}.")
        kept = {"ExecutionRoleArn": ExecutionRoleArn, **more, "EnableNetworkIsolation": False}
        self.models[ModelName] = {"ModelName": ModelName, **kept}
        return {"ModelArn": ModelName}

    def describe_model(self, ModelName: str) -> dict[str, Any]:
        return _get(self.models, ModelName, "model")

    def create_endpoint_config(self, EndpointConfigName: str, **more: Any) -> dict[str, Any]:
        if EndpointConfigName in self.configs:
            message = f"Cannot create already existing endpoint configuration {EndpointConfigName}"
            raise Refused("ValidationException", message)
        for variant in more["ProductionVariants"]:
            _get(self.models, variant["ModelName"], "model")
        self.configs[EndpointConfigName] = {"EndpointConfigName": EndpointConfigName, **more}
        return {}

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:
        return _get(self.configs, EndpointConfigName, "endpoint configuration")

    def create_endpoint(
        self, EndpointName: str, EndpointConfigName: str, **more: Any
    ) -> dict[str, Any]:
        del more
        if EndpointName in self.endpoints:
            message = f"Cannot create already existing endpoint {EndpointName}"
            raise Refused("ValidationException", message)
        config = _get(self.configs, EndpointConfigName, "endpoint configuration")
        self.endpoints[EndpointName] = {
            "EndpointName": EndpointName,
            "EndpointConfigName": EndpointConfigName,
            "EndpointStatus": "Creating",
            "next": EndpointConfigName,
            "ready_at": self.moment.seconds + CREATE_S,
            "instances": _initial(config),
        }
        return {}

    def update_endpoint(
        self,
        EndpointName: str,
        EndpointConfigName: str,
        RetainAllVariantProperties: bool = False,
        DeploymentConfig: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        endpoint = self._settled(EndpointName)
        DeploymentConfig = DeploymentConfig or {}
        self._check_rollout(DeploymentConfig, endpoint["instances"])
        config = _get(self.configs, EndpointConfigName, "endpoint configuration")
        if endpoint["EndpointStatus"] != "InService":
            raise Refused("ValidationException", "Cannot update in-progress endpoint")
        if not RetainAllVariantProperties:
            endpoint["instances"] = _initial(config)
        later = {"next": EndpointConfigName, "ready_at": self.moment.seconds + UPDATE_S}
        endpoint.update({"EndpointStatus": "Updating", **later, "rollout": DeploymentConfig})
        return {}

    def _check_rollout(self, how: dict[str, Any], instances: int) -> None:
        routing = how.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
        size = routing.get("CanarySize")
        if size is not None and 2 * size["Value"] > instances:
            raise Refused("ValidationException", "CanarySize is over 50% of the instances")
        for alarm in how.get("AutoRollbackConfiguration", {}).get("Alarms", []):
            if alarm["AlarmName"] not in self.alarm_names:
                raise Refused("ValidationException", f"no alarm {alarm['AlarmName']}")

    def delete_endpoint(self, EndpointName: str) -> dict[str, Any]:
        self._settled(EndpointName)
        del self.endpoints[EndpointName]
        return {}

    def delete_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:
        _get(self.configs, EndpointConfigName, "endpoint configuration")
        del self.configs[EndpointConfigName]
        return {}

    def delete_model(self, ModelName: str) -> dict[str, Any]:
        _get(self.models, ModelName, "model")
        del self.models[ModelName]
        return {}

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        endpoint = self._settled(EndpointName)
        shown = {k: v for k, v in endpoint.items() if k[0].isupper()}
        if endpoint["EndpointStatus"] in ("Creating", "Updating"):
            shown["PendingDeploymentSummary"] = {"EndpointConfigName": endpoint["next"]}
        variant = {"VariantName": "primary", "CurrentInstanceCount": endpoint["instances"]}
        shown["ProductionVariants"] = [variant]
        return shown

    def has_variant(self, resource: str) -> bool:
        """Whether `endpoint/<name>/variant/<variant>` is in service."""
        _, name, _, variant = resource.split("/")
        if name not in self.endpoints:
            return False
        endpoint = self._settled(name)
        variants = self.configs[endpoint["EndpointConfigName"]]["ProductionVariants"]
        names = [v["VariantName"] for v in variants]
        return endpoint["EndpointStatus"] == "InService" and variant in names

    def ask_model(self, name: str, body: bytes, content_type: str) -> dict[str, Any]:
        """InvokeEndpoint: the first class of the model that the endpoint serves, by its archive."""
        if name not in self.endpoints:
            raise _client_error("ValidationError", f"Endpoint {name} of account 1 not found.")
        endpoint = self._settled(name)
        if not endpoint.get("serving"):
            raise _client_error("ModelNotReadyException", "not ready")
        manifest = self._manifest(endpoint["serving"])
        if manifest["run_id"] in self.broken_runs:
            more = {"OriginalStatusCode": 500, "OriginalMessage": "boom"}
            raise _client_error("ModelError", "Received server error (500)", more)
        if not content_type.startswith("image/") or not body:
            text = '{"error": {"code": "type", "message": "no photo", "fix": "send a photo"}}'
            more = {"OriginalStatusCode": 415, "OriginalMessage": text}
            raise _client_error("ModelError", "Received client error (415)", more)
        found = [{"label": label, "probability": 0.9} for label in manifest["classes"][:1]]
        version = f"{manifest['run_id']}@0"
        answer = {"predictions": found, "model_version": version, "timing_ms": {}}
        return {"Body": io.BytesIO(json.dumps(answer).encode()), "ContentType": SERVICE}

    def serves(self, name: str) -> str:
        """The run whose model answers at an endpoint."""
        return str(self._manifest(self._settled(name)["serving"])["run_id"])

    def _manifest(self, config: str) -> dict[str, Any]:
        model = self.models[self.configs[config]["ProductionVariants"][0]["ModelName"]]
        key = model["PrimaryContainer"]["ModelDataUrl"].split("/", 3)[3]
        with tarfile.open(fileobj=io.BytesIO(self.objects.bodies[key])) as tar:
            member = tar.extractfile("pedigree.json")
            assert member is not None
            manifest: dict[str, Any] = json.loads(member.read())
        return manifest

    def _settled(self, name: str) -> dict[str, Any]:
        """The endpoint, with whatever has come to its end by now."""
        endpoint = _get(self.endpoints, name, "endpoint")
        status = endpoint["EndpointStatus"]
        if status not in ("Creating", "Updating") or self.moment.seconds < endpoint["ready_at"]:
            return endpoint
        if self._manifest(endpoint["next"])["run_id"] in self.unstartable_runs:
            reason = "The primary container did not pass the ping health check."
            endpoint["FailureReason"] = reason
            endpoint["EndpointStatus"] = "Failed" if status == "Creating" else "InService"
            return endpoint
        watched = "AutoRollbackConfiguration" in endpoint.pop("rollout", {})
        if watched and self._manifest(endpoint["next"])["run_id"] in self.alarming_runs:
            endpoint["FailureReason"] = "One or more of the alarms dogs-prod-errors went off."
            endpoint["EndpointStatus"] = "InService"
            return endpoint
        endpoint["EndpointStatus"] = "InService"
        endpoint["EndpointConfigName"] = endpoint["serving"] = endpoint["next"]
        endpoint.pop("FailureReason", None)
        return endpoint


def _initial(config: dict[str, Any]) -> int:
    return int(config["ProductionVariants"][0].get("InitialInstanceCount", 0))


def _get(table: dict[str, dict[str, Any]], name: str, what: str) -> dict[str, Any]:
    if name not in table:
        raise Refused("ValidationException", f'Could not find {what} "{name}".')
    return table[name]


def _client_error(code: str, message: str, more: dict[str, Any] | None = None) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, **(more or {})}
    return ClientError(response, "InvokeEndpoint")
