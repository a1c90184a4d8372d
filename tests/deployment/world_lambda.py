"""Lambda in memory: functions, frozen versions, the sums of concurrency, aliases with revisions."""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import json
import sys
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from tests.deployment.world_ground import Moment, Objects, Refused, Roles
from tests.deployment.world_sagemaker import Endpoints

SETTLE_S = 3.0
WARM_S = 30.0
_MEMBERS = ("Runtime", "Role", "Handler", "Timeout", "MemorySize", "Environment")
Doc = dict[str, Any]


@dataclass
class Function:
    latest: Doc
    settled_at: float
    versions: dict[str, Doc] = field(default_factory=dict)
    next_version: int = 1
    reserved: int | None = None
    provisioned: dict[str, Doc] = field(default_factory=dict)
    aliases: dict[str, Doc] = field(default_factory=dict)
    urls: dict[str, Doc] = field(default_factory=dict)


@dataclass
class Functions:
    moment: Moment
    objects: Objects
    roles: Roles
    endpoints: Endpoints
    functions: dict[str, Function] = field(default_factory=dict)
    most_provisioned: int = 0
    revisions: int = 0
    calls: int = 0

    def create_function(self, FunctionName: str, Role: str, Code: Doc, **more: Any) -> Doc:
        if FunctionName in self.functions:
            raise Refused("ResourceConflictException", f"Function already exist: {FunctionName}")
        if not self.roles.can_be_taken(Role):
            message = "The role defined for the function cannot be assumed by Lambda."
            raise Refused("InvalidParameterValueException", message)
        more.pop("Tags")
        config = {"FunctionName": FunctionName, "Role": Role, **more, "Version": "$LATEST"}
        config["CodeSha256"] = self._sha256(Code["S3Key"])
        config["key"] = Code["S3Key"]
        self.functions[FunctionName] = Function(config, self.moment.seconds + SETTLE_S)
        return self._shown(self.functions[FunctionName].latest, self.functions[FunctionName])

    def delete_function(self, FunctionName: str) -> Doc:
        self._get(FunctionName)
        del self.functions[FunctionName]
        return {}

    def get_function_configuration(self, FunctionName: str, Qualifier: str = "$LATEST") -> Doc:
        function = self._get(FunctionName)
        return self._shown(self._config(function, Qualifier), function)

    def list_versions_by_function(self, FunctionName: str) -> Doc:
        function = self._get(FunctionName)
        found = [function.latest, *function.versions.values()]
        return {"Versions": [{k: v for k, v in c.items() if k != "key"} for c in found]}

    def update_function_configuration(self, FunctionName: str, **more: Any) -> Doc:
        function = self._open(FunctionName)
        function.latest = {**function.latest, **more}
        function.settled_at = self.moment.seconds + SETTLE_S
        return {}

    def update_function_code(self, FunctionName: str, S3Bucket: str, S3Key: str) -> Doc:
        del S3Bucket
        function = self._open(FunctionName)
        new = {"CodeSha256": self._sha256(S3Key), "key": S3Key}
        function.latest = {**function.latest, **new}
        function.settled_at = self.moment.seconds + SETTLE_S
        return {}

    def publish_version(self, FunctionName: str, CodeSha256: str) -> Doc:
        function = self._open(FunctionName)
        if function.latest["CodeSha256"] != CodeSha256:
            raise Refused("InvalidParameterValueException", "CodeSHA256 is different")
        newest = function.versions.get(str(function.next_version - 1))
        if newest is not None and _identity(newest) == _identity(function.latest):
            return self._shown(newest, function)
        number = str(function.next_version)
        function.versions[number] = {**function.latest, "Version": number}
        function.next_version += 1
        return self._shown(function.versions[number], function)

    def put_function_concurrency(self, FunctionName: str, ReservedConcurrentExecutions: int) -> Doc:
        function = self._get(FunctionName)
        if ReservedConcurrentExecutions < _warm(function):
            message = "ReservedConcurrentExecutions should not be lower than the provisioned ones"
            raise Refused("InvalidParameterValueException", message)
        function.reserved = ReservedConcurrentExecutions
        return {}

    def get_function_concurrency(self, FunctionName: str) -> Doc:
        reserved = self._get(FunctionName).reserved
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    def put_provisioned_concurrency_config(
        self, FunctionName: str, Qualifier: str, ProvisionedConcurrentExecutions: int
    ) -> Doc:
        function = self._get(FunctionName)
        self._config(function, Qualifier)
        if Qualifier == "$LATEST":
            raise Refused("InvalidParameterValueException", "unpublished function versions")
        others = _warm(function) - function.provisioned.get(Qualifier, {}).get("number", 0)
        limit = function.reserved
        if limit is not None and others + ProvisionedConcurrentExecutions > limit:
            message = "Requested Provisioned Concurrency should not be greater than the reserved"
            raise Refused("InvalidParameterValueException", message)
        function.provisioned[Qualifier] = {
            "number": ProvisionedConcurrentExecutions,
            "ready_at": self.moment.seconds + WARM_S,
        }
        self.most_provisioned = max(self.most_provisioned, _warm(function))
        return {"Status": "IN_PROGRESS"}

    def get_provisioned_concurrency_config(self, FunctionName: str, Qualifier: str) -> Doc:
        function = self._get(FunctionName)
        if Qualifier not in function.provisioned:
            raise Refused("ProvisionedConcurrencyConfigNotFoundException", "No such config")
        return self._provisioned(FunctionName, Qualifier, function.provisioned[Qualifier])

    def list_provisioned_concurrency_configs(self, FunctionName: str) -> Doc:
        entries = self._get(FunctionName).provisioned.items()
        found = [self._provisioned(FunctionName, name, entry) for name, entry in entries]
        return {"ProvisionedConcurrencyConfigs": found}

    def delete_provisioned_concurrency_config(self, FunctionName: str, Qualifier: str) -> Doc:
        function = self._get(FunctionName)
        self._config(function, Qualifier)
        function.provisioned.pop(Qualifier, None)
        return {}

    def create_alias(self, FunctionName: str, Name: str, FunctionVersion: str) -> Doc:
        function = self._get(FunctionName)
        self._config(function, FunctionVersion)
        if Name in function.aliases:
            raise Refused("ResourceConflictException", f"Alias already exists: {Name}")
        function.aliases[Name] = self._alias(FunctionVersion)
        return {}

    def update_alias(
        self, FunctionName: str, Name: str, FunctionVersion: str, RevisionId: str, **more: Any
    ) -> Doc:
        function = self._get(FunctionName)
        self._config(function, FunctionVersion)
        if function.aliases[Name]["RevisionId"] != RevisionId:
            raise Refused("PreconditionFailedException", "The RevisionId provided does not match")
        del more
        function.aliases[Name] = self._alias(FunctionVersion)
        return {}

    def get_alias(self, FunctionName: str, Name: str) -> Doc:
        function = self._get(FunctionName)
        if Name not in function.aliases:
            raise Refused("ResourceNotFoundException", f"Cannot find alias arn: {Name}")
        return function.aliases[Name]

    def create_function_url_config(self, FunctionName: str, Qualifier: str, **more: Any) -> Doc:
        function = self._get(FunctionName)
        if Qualifier not in function.aliases:
            raise Refused("ResourceNotFoundException", f"Function not found: {Qualifier}")
        if Qualifier in function.urls:
            message = "FunctionUrlConfig exists for this Lambda function"
            raise Refused("ResourceConflictException", message)
        address = f"https://{FunctionName}-{Qualifier}.lambda-url.us-east-1.on.aws/"
        function.urls[Qualifier] = {"FunctionUrl": address, **more}
        return function.urls[Qualifier]

    def update_function_url_config(self, FunctionName: str, Qualifier: str, **more: Any) -> Doc:
        url = self.get_function_url_config(FunctionName, Qualifier)
        url.update(more)
        return url

    def get_function_url_config(self, FunctionName: str, Qualifier: str) -> Doc:
        function = self._get(FunctionName)
        if Qualifier not in function.urls:
            raise Refused("ResourceNotFoundException", "The resource you requested does not exist.")
        return function.urls[Qualifier]

    def invoke(self, FunctionName: str, Qualifier: str, LogType: str, Payload: bytes) -> Doc:
        """Run the uploaded handler against this world's endpoints."""
        assert LogType == "Tail"
        function = self._get(FunctionName)
        config = self._config(function, Qualifier)
        if function.reserved == 0:
            raise Refused("TooManyRequestsException", "Rate Exceeded.")
        self.calls += 1
        request_id = f"request-{self.calls}"
        lines: list[str] = []
        warm = config["Version"] in function.provisioned
        answer = self._run(config, json.loads(Payload), request_id, lines, warm)
        report = [
            f"REPORT RequestId: {request_id}",
            "Duration: 41.20 ms",
            "Billed Duration: 42 ms",
            f"Memory Size: {config['MemorySize']} MB",
            "Max Memory Used: 60 MB",
            *([] if warm else ["Init Duration: 180.00 ms"]),
        ]
        tail = "\n".join([f"START RequestId: {request_id}", *lines, "\t".join(report)])
        return {
            "StatusCode": 200,
            "ExecutedVersion": config["Version"],
            "LogResult": base64.b64encode(tail.encode()).decode(),
            "Payload": io.BytesIO(json.dumps(answer).encode()),
        }

    def _run(self, config: Doc, event: Doc, request_id: str, lines: list[str], warm: bool) -> Doc:
        kind = "provisioned-concurrency" if warm else "on-demand"
        environ = {
            **config["Environment"]["Variables"],
            "AWS_LAMBDA_INITIALIZATION_TYPE": kind,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config["MemorySize"]),
        }
        module = load_package(self.objects.bodies[config["key"]])
        front = module.Front(
            make_client=lambda env: Asked(module, self.endpoints, env["ENDPOINT_NAME"]),
            environ=environ,
            sleep=self.moment.sleep,
            clock=lambda: self.moment.seconds,
            write=lines.append,
        )
        answer: Doc = front(event, SimpleNamespace(aws_request_id=request_id))
        return answer

    def _get(self, name: str) -> Function:
        if name not in self.functions:
            raise Refused("ResourceNotFoundException", f"Function not found: {name}")
        return self.functions[name]

    def _open(self, name: str) -> Function:
        """The function, if no update of it is under way."""
        function = self._get(name)
        if self.moment.seconds < function.settled_at:
            raise Refused("ResourceConflictException", "An update is in progress for resource")
        return function

    def _config(self, function: Function, qualifier: str) -> Doc:
        if qualifier == "$LATEST":
            return function.latest
        number = function.aliases.get(qualifier, {}).get("FunctionVersion", qualifier)
        if number not in function.versions:
            raise Refused("ResourceNotFoundException", f"Function not found: {qualifier}")
        return function.versions[number]

    def _shown(self, config: Doc, function: Function) -> Doc:
        shown = {key: value for key, value in config.items() if key != "key"}
        settling = config["Version"] == "$LATEST" and self.moment.seconds < function.settled_at
        new = settling and not function.versions
        status = "InProgress" if settling else "Successful"
        return {**shown, "State": "Pending" if new else "Active", "LastUpdateStatus": status}

    def _provisioned(self, name: str, qualifier: str, entry: Doc) -> Doc:
        return {
            "FunctionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{name}:{qualifier}",
            "RequestedProvisionedConcurrentExecutions": entry["number"],
            "Status": "READY" if self.moment.seconds >= entry["ready_at"] else "IN_PROGRESS",
        }

    def _alias(self, version: str) -> Doc:
        self.revisions += 1
        return {"FunctionVersion": version, "RevisionId": f"revision-{self.revisions}"}

    def _sha256(self, key: str) -> str:
        if key not in self.objects.bodies:
            raise Refused("InvalidParameterValueException", "Error occurred while GetObject.")
        return base64.b64encode(hashlib.sha256(self.objects.bodies[key]).digest()).decode()


@dataclass
class Asked:
    """The function's way to the endpoint, with this world's endpoints at its end."""

    handler: ModuleType
    endpoints: Endpoints
    name: str

    def ask(self, question: Any, *, request_id: str, deadline_ms: float) -> Doc:
        assert request_id and deadline_ms > 0
        try:
            answer = self.endpoints.ask_model(self.name, question.body, question.content_type)
        except ClientError as error:
            refusal_of = self.handler.Endpoint.ask.__globals__["refusal_of"]
            said = dict(error.response)
            code, message = said["Error"]["Code"], said["Error"]["Message"]
            raise refusal_of(400, code, {**said, "Message": message}) from error
        body: Doc = json.loads(answer["Body"].read())
        return body


@lru_cache(maxsize=8)
def load_package(package: bytes) -> ModuleType:
    """The handler module out of a deployment package, with its neighbours beside it."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive, TemporaryDirectory() as folder:
        archive.extractall(folder)
        names = [Path(name).stem for name in archive.namelist()]
        hidden = {name: sys.modules.pop(name) for name in names if name in sys.modules}
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        try:
            for name in names:
                importlib.import_module(name)
            return sys.modules["handler"]
        finally:
            sys.path.remove(folder)
            for name in names:
                sys.modules.pop(name, None)
            sys.modules.update(hidden)


def _warm(function: Function) -> int:
    return sum(int(entry["number"]) for entry in function.provisioned.values())


def _identity(config: Doc) -> str:
    members = (*_MEMBERS, "CodeSha256")
    return json.dumps({key: config.get(key) for key in members}, sort_keys=True)
