"""What a function's configuration may be, and how it is described."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localaws.functions.names import LATEST, FunctionRef, invalid
from localaws.wire.protocol import AwsError

Config = dict[str, Any]

TIMEOUT_MAX_S = 900
MEMORY_MAX_MB = 10_240
ENVIRONMENT_MAX_BYTES = 4096
_RUNTIME_PREFIX = "python3."
_RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)
_NOT_DONE_HERE = (
    "Layers",
    "FileSystemConfigs",
    "ImageConfig",
    "CodeSigningConfigArn",
    "CapacityProviderConfig",
    "TenancyConfig",
    "DurableConfig",
    "AcceleratorConfig",
    "PublishTo",
)
_SETTABLE = (
    "Runtime",
    "Role",
    "Handler",
    "Description",
    "Timeout",
    "MemorySize",
    "DeadLetterConfig",
    "KMSKeyArn",
    "EphemeralStorage",
)
_WHILE_SETTLING = (
    "StateReason",
    "StateReasonCode",
    "LastUpdateStatusReason",
    "LastUpdateStatusReasonCode",
)
# What a published version is compared by, and what an execution environment depends on.
_IDENTITY = (*_SETTABLE, "CodeSha256", "Environment", "TracingConfig", "LoggingConfig", "VpcConfig")


def new_config(ref: FunctionRef, params: Mapping[str, Any], now: float) -> Config:
    """$LATEST of a new function, still without code, in state Pending."""
    if params.get("PackageType", "Zip") != "Zip":
        raise invalid("localaws runs zip packages only: use PackageType Zip")
    if "Runtime" not in params or "Handler" not in params:
        raise invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment "
            "packages."
        )
    defaults: Config = {
        "FunctionName": ref.name,
        "FunctionArn": ref.function_arn,
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": LATEST,
        "TracingConfig": {"Mode": "PassThrough"},
        "PackageType": "Zip",
        "Architectures": params.get("Architectures", ["x86_64"]),
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{ref.name}"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
    }
    return changed_config(defaults, params, now)


def changed_config(config: Config, params: Mapping[str, Any], now: float) -> Config:
    """The configuration with the settings in `params`; refuses what Lambda or we cannot do."""
    _refuse(params)
    new = {**config, **{key: params[key] for key in _SETTABLE if key in params}}
    if "Environment" in params:
        new.pop("Environment", None)
        variables = params["Environment"].get("Variables", {})
        if variables:
            new["Environment"] = {"Variables": variables}
    if "LoggingConfig" in params:
        new["LoggingConfig"] = {**config["LoggingConfig"], **params["LoggingConfig"]}
        if new["LoggingConfig"]["LogFormat"] == "JSON":
            levels = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
            new["LoggingConfig"] = {**levels, **new["LoggingConfig"]}
    if "TracingConfig" in params:
        new["TracingConfig"] = {"Mode": params["TracingConfig"].get("Mode", "PassThrough")}
    if "VpcConfig" in params:
        new["VpcConfig"] = {"SubnetIds": [], "SecurityGroupIds": [], **params["VpcConfig"]}
    return touched(new, now)


def with_code(config: Config, *, sha256: str, size: int) -> Config:
    """The configuration with another package: base64 SHA-256 and size in bytes."""
    return {**config, "CodeSha256": sha256, "CodeSize": size}


def touched(config: Config, now: float) -> Config:
    """The configuration with a new revision and modification time."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    return {**config, "LastModified": f"{stamp}+0000", "RevisionId": str(uuid.uuid4())}


def in_progress(config: Config) -> Config:
    """An update was accepted and is not in force yet."""
    return {
        **config,
        "LastUpdateStatus": "InProgress",
        "LastUpdateStatusReason": "The function is being created.",
        "LastUpdateStatusReasonCode": "Creating",
    }


def settled(config: Config) -> Config:
    """Active, with the last update in force. The revision changes, as it does on AWS."""
    kept = {key: value for key, value in config.items() if key not in _WHILE_SETTLING}
    states = {"State": "Active", "LastUpdateStatus": "Successful"}
    return {**kept, **states, "RevisionId": str(uuid.uuid4())}


def is_settling(config: Mapping[str, Any]) -> bool:
    """Whether a creation or an update is still under way."""
    return config["State"] == "Pending" or config.get("LastUpdateStatus") == "InProgress"


def described(config: Config, qualifier: str | None) -> Config:
    """The configuration as the API shows it, its ARN with the qualifier that was asked for."""
    if qualifier is None:
        return config
    return {**config, "FunctionArn": f"{config['FunctionArn']}:{qualifier}"}


def identity(config: Mapping[str, Any]) -> str:
    """A digest of all that decides how the code runs: equal digests, interchangeable runs."""
    parts = {key: config[key] for key in _IDENTITY if key in config}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _refuse(params: Mapping[str, Any]) -> None:
    for name in _NOT_DONE_HERE:
        if params.get(name):
            raise invalid(f"localaws does not do {name}: leave it out (localaws/DIFFERENCES.md)")
    if params.get("SnapStart", {}).get("ApplyOn", "None") != "None":
        raise invalid("localaws does not do SnapStart: leave it out (localaws/DIFFERENCES.md)")
    runtime = params.get("Runtime", _RUNTIME_PREFIX)
    if not runtime.startswith(_RUNTIME_PREFIX):
        raise invalid(f"localaws runs Python functions only, not {runtime}: use python3.x")
    _at_most(params, "Timeout", TIMEOUT_MAX_S)
    _at_most(params, "MemorySize", MEMORY_MAX_MB)
    _refuse_variables(params.get("Environment", {}).get("Variables", {}))


def _at_most(params: Mapping[str, Any], name: str, most: int) -> None:
    value = params.get(name, 0)
    if value > most:
        at = name[0].lower() + name[1:]
        raise AwsError(
            "ValidationException",
            f"1 validation error detected: Value '{value}' at '{at}' failed to satisfy "
            f"constraint: Member must have value less than or equal to {most}",
        )


def _refuse_variables(variables: Mapping[str, str]) -> None:
    start = (
        "Lambda was unable to configure your environment variables because the environment "
        "variables you have provided "
    )
    reserved = sorted(_RESERVED_VARIABLES & set(variables))
    if reserved:
        raise invalid(
            f"{start}contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    text = json.dumps(variables, separators=(",", ":"))
    if len(text.encode()) > ENVIRONMENT_MAX_BYTES:
        raise invalid(f"{start}exceeded the 4KB limit. String measured: {text}")
