"""The steps that bring the model, the endpoint and its scaling to what a release wants. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployment.artifact.function_code import as_base64
from deployment.plan.steps import Phase, Step, Wait
from deployment.rollout import deployment_config, told
from deployment.state.desired import Wanted, WantedFile
from deployment.state.seen import EndpointSeen, Observed
from experiments.errors import ReleaseError
from experiments.foundation import role_calls
from experiments.records import Call

ENDPOINT_LIMIT_S = 1800
MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack")
BROKEN = ("Failed", "OutOfService")


def role_steps(wanted: Wanted, seen: Observed) -> list[Step]:
    """Create the two roles, or bring their policies in line."""
    steps = []
    for role in wanted.roles:
        now = seen.roles.get(role.name)
        calls = role_calls(
            wanted.foundation, role.name, role.service, role.policy, now, role.name in seen.roles
        )
        steps += [Step(phase=Phase.PREPARE, call=call) for call in calls]
    return steps


def file_steps(wanted: Wanted, seen: Observed) -> list[Step]:
    """Upload what is not in the bucket. Raises ReleaseError for what cannot be uploaded again."""
    return [
        Step(phase=Phase.PREPARE, call=_upload(wanted, file))
        for file in wanted.files
        if not _is_there(file, seen, wanted.foundation.bucket)
        and not (file.optional and file.data is None)
    ]


def _is_there(file: WantedFile, seen: Observed, bucket: str) -> bool:
    found = seen.files.get(file.stored.key)
    if found is not None and found != file.stored.digest:
        raise ReleaseError(
            f"s3://{bucket}/{file.stored.key} is not what this release put there"
            f" ({found or 'no digest'})",
            fix="remove that object, then run the same command again",
        )
    return found is not None


def _upload(wanted: Wanted, file: WantedFile) -> Call:
    if file.data is None:
        raise ReleaseError(
            f"{file.what} of release {wanted.release.release_id} is not in the bucket any more",
            fix=f"promote its run again: {wanted.release.run_name}",
        )
    params = {
        "Bucket": wanted.foundation.bucket,
        "Key": file.stored.key,
        "Body": file.data,
        "ChecksumSHA256": as_base64(file.stored.digest),
        "IfNoneMatch": "*",
    }
    why = f"{file.what} is not in the bucket"
    return Call(service="s3", operation="put_object", params=params, why=why)


def model_steps(wanted: Wanted, seen: Observed) -> list[Step]:
    """Create the model and the endpoint configuration; both are for ever what they are."""
    steps = []
    name = wanted.release.model_name
    if seen.model is None:
        why = f"no model {name} yet"
        steps.append(_sagemaker("create_model", wanted.model, why, Phase.PREPARE))
    elif not agrees(wanted.model, seen.model, ("ExecutionRoleArn", "PrimaryContainer")):
        raise _other("model", name)
    if seen.endpoint_config is None:
        why = f"no endpoint configuration {name} yet; {_routed(wanted)}"
        call = _sagemaker("create_endpoint_config", wanted.endpoint_config, why, Phase.PREPARE)
        steps.append(call)
    elif not agrees(wanted.endpoint_config, seen.endpoint_config, ("ProductionVariants",)):
        raise _other("endpoint configuration", name)
    return steps


def _routed(wanted: Wanted) -> str:
    """How requests find their instance, for whoever reads the plan."""
    if wanted.settings.is_serverless:
        return "serverless: no instances to choose from"
    return "requests go to the instance with the fewest under way; AWS would choose at random"


def _other(what: str, name: str) -> ReleaseError:
    return ReleaseError(
        f"there is a {what} {name} that is not this release's",
        fix=f"delete that {what}, then run the same command again",
    )


def agrees(wanted: Any, seen: Any, members: tuple[str, ...] | None = None) -> bool:
    """Whether what AWS tells is what was asked for; members AWS does not tell are not compared."""
    if isinstance(wanted, Mapping) and isinstance(seen, Mapping):
        keys = (members or tuple(wanted)) if members else tuple(k for k in wanted if k in seen)
        return all(key in seen and agrees(wanted[key], seen[key]) for key in keys)
    if isinstance(wanted, (list, tuple)) and isinstance(seen, (list, tuple)):
        return len(wanted) == len(seen) and all(map(agrees, wanted, seen))
    return bool(wanted == seen)


def alarm_steps(wanted: Wanted, seen: Observed) -> list[Step]:
    """Put the alarms that roll an update back. Raises ReleaseError for one that is not there."""
    steps = []
    for alarm in wanted.alarms:
        there = seen.alarms.get(alarm["AlarmName"])
        if there is None or not agrees(
            alarm,
            there,
            tuple(k for k in alarm if k not in ("AlarmName", "AlarmDescription", "Tags")),
        ):
            why = alarm["AlarmDescription"]
            call = Call(service="cloudwatch", operation="put_metric_alarm", params=alarm, why=why)
            steps.append(Step(phase=Phase.PREPARE, call=call))
    missing = [name for name in wanted.rollout.alarms if name not in seen.alarms]
    if missing:
        raise ReleaseError(
            f"there is no alarm {missing[0]}", fix="create it in CloudWatch, or leave --alarm out"
        )
    return steps


def endpoint_steps(wanted: Wanted, seen: Observed, *, back: bool = False) -> list[Step]:
    """Create or update the endpoint, and wait until it serves this release's configuration.

    `back`: the release was live before, and takes over at once.
    """
    endpoint, name = seen.endpoint, wanted.settings.name
    config = wanted.release.model_name
    if endpoint is None:
        return [_create(wanted, f"no endpoint {name} yet")]
    if endpoint.status == "Deleting":
        return [_gone(name), _create(wanted, f"endpoint {name} was being deleted")]
    if endpoint.status in BROKEN:
        why = f"endpoint {name} is {endpoint.status} and serves nothing"
        delete = _sagemaker("delete_endpoint", {"EndpointName": name}, why, Phase.MODEL)
        return [delete, _gone(name), _create(wanted, f"endpoint {name} failed before")]
    steps = []
    if endpoint.status in MOVING:
        steps.append(_settle(name, endpoint.config_name))
    elif endpoint.status != "InService":
        raise ReleaseError(
            f"endpoint {name} is {endpoint.status}: {endpoint.reason}",
            fix="see its log in CloudWatch; delete it if it cannot be mended, then run this again",
        )
    if endpoint.config_name != config:
        steps.append(_update(wanted, seen, endpoint, back=back))
    return steps


def _create(wanted: Wanted, why: str) -> Step:
    params = {
        "EndpointName": wanted.settings.name,
        "EndpointConfigName": wanted.release.model_name,
        "Tags": wanted.endpoint_tags,
    }
    wait = _serving(wanted.settings.name, wanted.release.model_name)
    return _sagemaker("create_endpoint", params, why, Phase.MODEL, wait)


def _update(wanted: Wanted, seen: Observed, endpoint: EndpointSeen, *, back: bool) -> Step:
    """The instance count that scaling has arrived at survives (RetainAllVariantProperties)."""
    if bool(endpoint.serverless_memory_mb) is not wanted.settings.is_serverless:
        raise ReleaseError(
            f"endpoint {wanted.settings.name} is"
            f" {'serverless' if endpoint.serverless_memory_mb else 'made of instances'}, and one kind"
            " does not become the other",
            fix="promote it to another --stage, or take this one down first: `pedigree teardown`",
        )
    if wanted.settings.is_serverless:
        return _update_serverless(wanted, endpoint, back=back)
    if seen.alarming and not back:
        raise ReleaseError(
            f"alarm {seen.alarming[0]} is on: AWS would roll the update back at once",
            fix="wait until it is off, or go back with `pedigree rollback`, which heeds no alarm",
        )
    count = endpoint.instances
    config = deployment_config(wanted.settings, wanted.rollout, instances=count, back=back)
    params = {
        "EndpointName": wanted.settings.name,
        "EndpointConfigName": wanted.release.model_name,
        "RetainAllVariantProperties": True,
        "DeploymentConfig": config,
    }
    shift = told(wanted.rollout, instances=count, back=back)
    why = f"the endpoint serves {endpoint.config_name}; {shift}"
    limit_s = ENDPOINT_LIMIT_S + wanted.rollout.limit_s
    wait = _serving(wanted.settings.name, wanted.release.model_name, limit_s=limit_s)
    return _sagemaker("update_endpoint", params, why, Phase.MODEL, wait)


def _update_serverless(wanted: Wanted, endpoint: EndpointSeen, *, back: bool) -> Step:
    """AWS knows no canary and no alarms here: only golden photos can send a bad model back."""
    if not wanted.release.golden and not back:
        raise ReleaseError(
            "AWS rolls no serverless endpoint back by alarm, and this release has no golden photos",
            fix="promote a run whose test photos are in the bucket, or serve it on instances",
        )
    name, config = wanted.settings.name, wanted.release.model_name
    params = {"EndpointName": name, "EndpointConfigName": config}
    why = f"the endpoint serves {endpoint.config_name}; serverless: all at once, without alarms"
    return _sagemaker("update_endpoint", params, why, Phase.MODEL, _serving(name, config))


def _settle(name: str, config: str) -> Step:
    return Step(phase=Phase.MODEL, wait=_serving(name, config))


def _serving(name: str, config: str, *, limit_s: int = ENDPOINT_LIMIT_S) -> Wait:
    call = Call(
        service="sagemaker",
        operation="describe_endpoint",
        params={"EndpointName": name},
        why=f"the endpoint serves {config}",
    )
    return Wait(
        call=call,
        until={"EndpointStatus": ("InService",), "EndpointConfigName": (config,)},
        moving={"EndpointStatus": MOVING},
        reason="FailureReason",
        limit_s=limit_s,
    )


def _gone(name: str) -> Step:
    call = Call(
        service="sagemaker",
        operation="describe_endpoint",
        params={"EndpointName": name},
        why="the old endpoint is gone",
    )
    return Step(phase=Phase.MODEL, wait=Wait(call=call, gone=True, limit_s=ENDPOINT_LIMIT_S))


def scaling_steps(wanted: Wanted, seen: Observed) -> list[Step]:
    """Let the endpoint scale. Both requests replace what is there. Serverless scales by itself."""
    if wanted.settings.is_serverless:
        return []
    steps = []
    settings = wanted.settings
    if seen.scalable_target is None or not agrees(wanted.scalable_target, seen.scalable_target):
        why = f"{settings.min_instances} to {settings.max_instances} instances"
        steps.append(_scaling("register_scalable_target", wanted.scalable_target, why))
    config = wanted.scaling_policy["TargetTrackingScalingPolicyConfiguration"]
    if seen.scaling_policy is None or not agrees(config, seen.scaling_policy, tuple(config)):
        why = (
            f"{settings.target_invocations_per_instance} invocations per instance per minute"
            f" ({settings.target_invocations_per_instance / 60:.2f} a second);"
            f" wait {settings.scale_out_cooldown_s} s after adding instances and"
            f" {settings.scale_in_cooldown_s} s after removing some"
        )
        steps.append(_scaling("put_scaling_policy", wanted.scaling_policy, why))
    return steps


def _scaling(operation: str, params: Mapping[str, Any], why: str) -> Step:
    call = Call(service="application-autoscaling", operation=operation, params=params, why=why)
    return Step(phase=Phase.MODEL, call=call)


def _sagemaker(
    operation: str, params: Mapping[str, Any], why: str, phase: Phase, wait: Wait | None = None
) -> Step:
    call = Call(service="sagemaker", operation=operation, params=params, why=why)
    return Step(phase=phase, call=call, wait=wait)
