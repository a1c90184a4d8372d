"""An account full of things of mixed ownership, seeded; and whose each of them is."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from experiments.contract import faults
from experiments.errors import CloudError
from experiments.records import Basis, Call
from tests.deployment.world_ground import Objects, Refused

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OLD = NOW - timedelta(days=3)
BUCKET = "pedigree-123456789012-us-east-1"
Doc = dict[str, Any]


@dataclass(kw_only=True)
class Thing:
    """One thing in the yard: what AWS shows of it, its tags, and who it belongs to in truth."""

    kind: str
    name: str
    shown: Doc
    tags: dict[str, str]
    truth: str


def _pairs(tags: dict[str, str]) -> list[Doc]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@dataclass
class Yard:
    """An experiments.aws.Cloud over such an account; it keeps what was removed."""

    things: dict[tuple[str, str], Thing] = field(default_factory=dict)
    objects: Objects = field(default_factory=Objects)
    removed: list[tuple[str, str]] = field(default_factory=list)

    region = "us-east-1"
    account_id = "123456789012"
    basis = Basis.SIMULATED

    def add(self, kind: str, name: str, shown: Doc, tags: dict[str, str], truth: str) -> None:
        self.things[kind, name] = Thing(kind=kind, name=name, shown=shown, tags=tags, truth=truth)

    def ask(self, service: str, operation: str, **params: Any) -> Doc:
        return self.perform(Call(service=service, operation=operation, params=params, why="asked"))

    def client(self, service: str) -> Any:
        raise AssertionError(f"nothing needs the {service} client itself")

    def perform(self, call: Call) -> Doc:
        found = faults(call)
        assert not found, f"{call.service} {call.operation}: {found}"
        try:
            if call.service == "s3" and hasattr(self.objects, call.operation):
                answer: Doc = getattr(self.objects, call.operation)(**call.params)
                return answer
            return self._perform(call.service, call.operation, dict(call.params))
        except Refused as refusal:
            words = f"{call.operation} was refused: {refusal.code}: {refusal.message}"
            raise CloudError(words, fix="see above", code=refusal.code) from refusal

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        if operation == "list_objects_v2" and member == "CommonPrefixes":
            names = {
                key.split("/")[1] for key in self.objects.bodies if key.startswith("releases/")
            }
            return [{"Prefix": f"releases/{name}/"} for name in sorted(names)]
        if operation == "list_objects_v2":
            return [
                {**found, "LastModified": OLD}
                for found in self.objects.list_objects_v2(BUCKET, params["Prefix"])["Contents"]
            ]
        if operation in ("list_tags", "list_tags_for_resource"):
            return list(self.ask(service, operation, **params)[member])
        if operation == "list_parts":
            return [{"Size": 1 << 30}]
        if operation == "list_provisioned_concurrency_configs":
            return self._warm(params["FunctionName"])
        assert not faults(Call(service=service, operation=operation, params=params, why="x"))
        shown = [thing.shown for thing in self._of(_LISTED[operation])]
        return [{"Instances": shown}] if operation == "describe_instances" else shown

    def _of(self, kind: str) -> list[Thing]:
        return [thing for (of, _), thing in self.things.items() if of == kind]

    def _warm(self, function: str) -> list[Doc]:
        found = self._of("provisioned")
        return [t.shown for t in found if t.name.startswith(f"{function}:")]

    def _perform(self, service: str, operation: str, params: Doc) -> Doc:
        if operation in ("list_tags", "list_tags_for_resource"):
            arn = params.get("ResourceArn") or params.get("Resource") or params["ResourceARN"]
            kind, _, name = (
                str(arn).replace(":function:", ":function/").rpartition(":")[2].partition("/")
            )
            tags = self._get(kind, name).tags
            return {"Tags": tags if service == "lambda" else _pairs(tags)}
        if operation == "get_alias":
            thing = self._get("function", params["FunctionName"])
            return {"FunctionVersion": thing.shown["live"], "RevisionId": "x"}
        if operation in _DESCRIBED:
            kind = _DESCRIBED[operation]
            return self._get(kind, str(next(iter(params.values())))).shown
        kind, name = _removal(operation, params)
        self._get(kind, name)
        del self.things[kind, name]
        self.removed.append((kind, name))
        return {}

    def _get(self, kind: str, name: str) -> Thing:
        if (kind, name) not in self.things:
            raise Refused("ValidationException", f'Could not find {kind} "{name}".')
        return self.things[kind, name]


_LISTED = {
    "list_endpoints": "endpoint",
    "list_endpoint_configs": "config",
    "list_models": "model",
    "list_functions": "function",
    "describe_alarms": "alarm",
    "list_training_jobs": "job",
    "describe_instances": "instance",
    "describe_volumes": "volume",
    "list_notebook_instances": "notebook",
    "list_multipart_uploads": "upload",
}
_DESCRIBED = {
    "describe_endpoint": "endpoint",
    "describe_endpoint_config": "config",
    "describe_training_job": "job",
}
_REMOVED: dict[str, tuple[str, Callable[[Doc], str]]] = {
    "delete_endpoint": ("endpoint", lambda p: p["EndpointName"]),
    "delete_endpoint_config": ("config", lambda p: p["EndpointConfigName"]),
    "delete_model": ("model", lambda p: p["ModelName"]),
    "delete_function": ("function", lambda p: p["FunctionName"]),
    "delete_provisioned_concurrency_config": (
        "provisioned",
        lambda p: f"{p['FunctionName']}:{p['Qualifier']}",
    ),
    "delete_alarms": ("alarm", lambda p: p["AlarmNames"][0]),
    "stop_training_job": ("job", lambda p: p["TrainingJobName"]),
    "terminate_instances": ("instance", lambda p: p["InstanceIds"][0]),
    "delete_volume": ("volume", lambda p: p["VolumeId"]),
    "stop_notebook_instance": ("notebook", lambda p: p["NotebookInstanceName"]),
    "abort_multipart_upload": ("upload", lambda p: p["UploadId"]),
}


def _removal(operation: str, params: Doc) -> tuple[str, str]:
    kind, name = _REMOVED[operation]
    return kind, name(params)


def seeded(count: int, seed: int) -> Yard:
    """A yard of `count` things: live ones, orphans, young ones, and other people's."""
    yard, rng = Yard(), random.Random(seed)
    _records(yard)
    makers: tuple[Callable[[Yard, int, str], None], ...] = (
        _endpoint,
        _config,
        _model,
        _function,
        _warm,
        _alarm,
        _job,
        _instance,
        _volume,
        _notebook,
        _upload,
    )
    for number in range(count):
        maker = rng.choice(makers)
        truth = rng.choice(("live", "orphan", "orphan", "young", "foreign"))
        maker(yard, number, truth)
    return yard


def _records(yard: Yard) -> None:
    """Two applications that are live, with one earlier release each, and one that is no more."""
    for number in range(2):
        history = {"history": [f"r-20261101-{number:08x}", f"r-20261120-{number:08x}"]}
        yard.objects.bodies[f"releases/live{number}-prod/live.json"] = json.dumps(history).encode()
    gone = json.dumps({"history": []}).encode()
    yard.objects.bodies["releases/gone-prod/live.json"] = gone
    for number in range(2):
        name = f"live{number}-prod"
        arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
        shown = {"FunctionName": name, "FunctionArn": arn, "LastModified": OLD.isoformat()}
        yard.add("function", name, {**shown, "live": "7"}, _tags("live"), "live")


def _tags(truth: str, **more: str) -> dict[str, str]:
    if truth == "foreign":
        return {"team": "billing"}
    return {"pedigree:owner": "pedigree", **more}


def _made(truth: str) -> datetime:
    return NOW - timedelta(minutes=5) if truth == "young" else OLD


def _release(truth: str, number: int) -> str:
    day = ("20261101", "20261120")[number % 2]
    return f"r-{day}-{number % 2:08x}" if truth == "live" else f"r-20260101-{number:08x}"


def _endpoint(yard: Yard, number: int, truth: str) -> None:
    name = f"live{number % 2}-prod" if truth == "live" else f"endpoint{number}"
    if ("endpoint", name) in yard.things:
        return
    config = f"{name}-config"
    shown = {
        "EndpointName": name,
        "EndpointArn": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name}",
        "CreationTime": _made(truth),
        "EndpointConfigName": config,
        "ProductionVariants": [{"VariantName": "primary", "CurrentInstanceCount": 2}],
    }
    yard.add("endpoint", name, shown, _tags(truth), truth)
    variant = {"VariantName": "primary", "InstanceType": "ml.m5.large"}
    of = {"ProductionVariants": [variant], "EndpointConfigName": config, "CreationTime": OLD}
    arn = {"EndpointConfigArn": f"arn:aws:sagemaker:us-east-1:123456789012:config/{config}"}
    yard.add("config", config, {**of, **arn}, {"team": "billing"}, "foreign")


def _config(yard: Yard, number: int, truth: str) -> None:
    _named(yard, number, truth, "config", "EndpointConfig")


def _model(yard: Yard, number: int, truth: str) -> None:
    _named(yard, number, truth, "model", "Model")


def _named(yard: Yard, number: int, truth: str, kind: str, word: str) -> None:
    release = _release(truth, number)
    name = f"app{number}-prod-{release}"
    shown = {
        f"{word}Name": name,
        f"{word}Arn": f"arn:aws:sagemaker:us-east-1:123456789012:{kind}/{name}",
        "CreationTime": _made(truth),
    }
    yard.add(kind, name, shown, _tags(truth, **{"pedigree:release": release}), truth)


def _function(yard: Yard, number: int, truth: str) -> None:
    if truth == "live":
        return  # those of the live applications are there already
    name = f"function{number}"
    shown = {
        "FunctionName": name,
        "FunctionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{name}",
        "LastModified": _made(truth).isoformat(),
    }
    yard.add("function", name, shown, _tags(truth), truth)


def _warm(yard: Yard, number: int, truth: str) -> None:
    if truth == "foreign":
        return
    function = f"live{number % 2}-prod"
    version = "7" if truth == "live" else str(100 + number)
    shown = {
        "FunctionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{function}:{version}",
        "RequestedProvisionedConcurrentExecutions": 3,
        "LastModified": _made(truth).isoformat(),
    }
    yard.add("provisioned", f"{function}:{version}", shown, {}, truth)


def _alarm(yard: Yard, number: int, truth: str) -> None:
    name = f"live{number % 2}-prod-errors{number}" if truth == "live" else f"alarm{number}-prod-x"
    if truth == "live":
        name = f"live{number % 2}-prod-{'errors' if number % 4 < 2 else 'latency'}"
    shown = {
        "AlarmName": name,
        "AlarmArn": f"arn:aws:cloudwatch:us-east-1:123456789012:alarm/{name}",
        "AlarmConfigurationUpdatedTimestamp": _made(truth),
    }
    yard.add("alarm", name, shown, _tags(truth), truth)


def _job(yard: Yard, number: int, truth: str) -> None:
    name = f"job{number}"
    shown = {
        "TrainingJobName": name,
        "TrainingJobArn": f"arn:aws:sagemaker:us-east-1:123456789012:job/{name}",
        "CreationTime": _made(truth),
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2},
    }
    run = "active" if truth == "live" else f"over{number}"
    yard.add("job", name, shown, _tags(truth, **{"pedigree:run": run}), truth)


def _instance(yard: Yard, number: int, truth: str) -> None:
    name = f"i-{number:017x}"
    run = "active" if truth == "live" else f"over{number}"
    tags = _tags(truth, **{"pedigree:run": run})
    shown = {
        "InstanceId": name,
        "InstanceType": "c5.xlarge",
        "State": {"Name": "stopped" if number % 5 == 0 else "running"},
        "LaunchTime": _made(truth),
        "Tags": _pairs(tags),
    }
    yard.add("instance", name, shown, tags, truth)


def _volume(yard: Yard, number: int, truth: str) -> None:
    name = f"vol-{number:017x}"
    tags = _tags(truth)
    shown = {
        "VolumeId": name,
        "Size": 60,
        "VolumeType": "gp3",
        "State": "in-use" if truth == "live" else "available",
        "CreateTime": _made(truth),
        "Tags": _pairs(tags),
    }
    yard.add("volume", name, shown, tags, truth)


def _notebook(yard: Yard, number: int, truth: str) -> None:
    name = f"notebook{number}"
    shown = {
        "NotebookInstanceName": name,
        "NotebookInstanceArn": f"arn:aws:sagemaker:us-east-1:123456789012:notebook/{name}",
        "NotebookInstanceStatus": "Stopped" if truth == "live" else "InService",
        "InstanceType": "ml.t3.medium",
        "CreationTime": _made(truth),
    }
    yard.add("notebook", name, shown, _tags(truth), truth)


def _upload(yard: Yard, number: int, truth: str) -> None:
    if truth in ("foreign", "live"):
        truth = "young"  # an upload into our own bucket is ours, and live while it is young
    name = f"upload{number}"
    shown = {"Key": f"code/{number}", "UploadId": name, "Initiated": _made(truth)}
    yard.add("upload", name, shown, {}, truth)
