"""Take an application off the air: everything that is paid for, and what only made sense with it.

The function goes first, so that nothing ever asks an endpoint that is not there; then scaling, the
endpoint, alarms, configurations and models. Roles, archives and the records of releases cost next to
nothing and stay: a release can be rolled back to after a teardown, from its archive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deployment.plan.endpoint import BROKEN, ENDPOINT_LIMIT_S, MOVING
from deployment.plan.steps import Phase, Step, Wait
from deployment.reconcile.lease import Lease
from deployment.reconcile.means import Means
from deployment.reconcile.perform import Performer
from deployment.release import ReleaseStatus
from deployment.rollout import alarm_names
from deployment.settings import ServingSettings
from deployment.state.desired import DIMENSION, NAMESPACE
from deployment.state.observe import not_in_lambda, not_in_sagemaker
from deployment.store import ReleaseRecord, ReleaseStore
from experiments.aws import Cloud
from experiments.contract import check
from experiments.errors import CloudError, ReleaseError
from experiments.records import Call


@dataclass(frozen=True, kw_only=True)
class Remains:
    """What stands of an application. `endpoint` is its status, empty if there is none."""

    function: bool
    provisioned: tuple[str, ...]
    endpoint: str
    scaling: bool
    alarms: tuple[str, ...]
    configs: tuple[str, ...]
    models: tuple[str, ...]

    @property
    def is_nothing(self) -> bool:
        return self == NOTHING


NOTHING = Remains(
    function=False, provisioned=(), endpoint="", scaling=False, alarms=(), configs=(), models=()
)


@dataclass(frozen=True, kw_only=True)
class Teardown:
    """What taking `name` down will do, decided on what was seen."""

    name: str
    settings: ServingSettings
    records: tuple[ReleaseRecord, ...]
    remains: Remains
    steps: tuple[Step, ...]


def propose_teardown(cloud: Cloud, name: str) -> Teardown:
    """Look at what stands of `<app>-<stage>` and plan its end. Changes nothing.

    Raises ReleaseError if nothing was ever released there, CloudError.
    """
    records = ReleaseStore(cloud=cloud, name=name).records()
    if not records:
        raise ReleaseError(f"nothing was ever released as {name}", fix="see `pedigree releases`")
    settings = records[-1].release.settings
    seen = remains(cloud, settings, [record.release.model_name for record in records])
    steps = teardown_steps(settings, seen)
    check(step.call for step in steps if step.call is not None)
    return Teardown(name=name, settings=settings, records=records, remains=seen, steps=steps)


def apply_teardown(teardown: Teardown, means: Means) -> None:
    """Carry it out. Raises BusyError, ReleaseError if the world is another one now, CloudError.

    Run again after an error it goes on where it stopped.
    """
    store = ReleaseStore(cloud=means.cloud, name=teardown.name)
    lease = Lease(store, holder=means.holder, now=means.clock.now, died=means.died)
    purpose = f"take {teardown.name} down"
    lease.take(purpose)
    try:
        if propose_teardown(means.cloud, teardown.name).remains != teardown.remains:
            raise ReleaseError(
                "what stands there has changed since this was planned; nothing was done",
                fix="run the same command again and look at the new list",
            )
        perform_all(teardown.steps, means, lambda: lease.renew(purpose))
        _forget(store, means)
    finally:
        lease.give_back()


def _forget(store: ReleaseStore, means: Means) -> None:
    """Nothing is live any more; what was is on record as torn down."""
    now = means.clock.now()
    live = store.live()
    if live.history:
        store.point(live, (), now)
    for record in store.records():
        if record.status in (ReleaseStatus.LIVE, ReleaseStatus.SUPERSEDED):
            store.write(replace(record, status=ReleaseStatus.TORN_DOWN, updated_at=now))


def perform_all(steps: Sequence[Step], means: Means, heartbeat: Any) -> None:
    """Carry out steps that stand for themselves, in order."""
    performer = Performer(
        means.cloud,
        clock=means.clock,
        report=means.report,
        total=len(steps),
        heartbeat=heartbeat,
    )
    for step in steps:
        performer.perform(step)


def remains(cloud: Cloud, settings: ServingSettings, models: Sequence[str]) -> Remains:
    """Ask AWS what stands of an application whose models and configurations have these names."""
    name = settings.name
    function = _is_there(cloud, "lambda", "get_function_configuration", FunctionName=name)
    endpoint = _ask(cloud, "sagemaker", "describe_endpoint", EndpointName=name) or {}
    targets = cloud.ask(
        "application-autoscaling",
        "describe_scalable_targets",
        ServiceNamespace=NAMESPACE,
        ResourceIds=[settings.scaling_resource],
        ScalableDimension=DIMENSION,
    )["ScalableTargets"]
    alarms = cloud.ask("cloudwatch", "describe_alarms", AlarmNames=list(alarm_names(settings)))
    return Remains(
        function=function,
        provisioned=_provisioned(cloud, name) if function else (),
        endpoint=str(endpoint.get("EndpointStatus", "")),
        scaling=bool(targets),
        alarms=tuple(sorted(alarm["AlarmName"] for alarm in alarms.get("MetricAlarms", []))),
        configs=tuple(
            model
            for model in models
            if _is_there(cloud, "sagemaker", "describe_endpoint_config", EndpointConfigName=model)
        ),
        models=tuple(
            model
            for model in models
            if _is_there(cloud, "sagemaker", "describe_model", ModelName=model)
        ),
    )


def _ask(cloud: Cloud, service: str, operation: str, **params: Any) -> dict[str, Any] | None:
    try:
        return cloud.ask(service, operation, **params)
    except CloudError as error:
        if not_in_lambda(error) or not_in_sagemaker(error):
            return None
        raise


def _is_there(cloud: Cloud, service: str, operation: str, **params: Any) -> bool:
    return _ask(cloud, service, operation, **params) is not None


def _provisioned(cloud: Cloud, name: str) -> tuple[str, ...]:
    found = cloud.pages(
        "lambda",
        "list_provisioned_concurrency_configs",
        "ProvisionedConcurrencyConfigs",
        FunctionName=name,
    )
    return tuple(sorted(str(entry["FunctionArn"]).rsplit(":", 1)[-1] for entry in found))


def teardown_steps(settings: ServingSettings, seen: Remains) -> tuple[Step, ...]:
    """The steps that leave nothing standing, in the order that breaks no caller half-way. Pure."""
    name = settings.name
    steps = []
    if seen.function:
        why = "the way in closes first; its versions, alias, address and warm environments go"
        steps.append(_step("lambda", "delete_function", {"FunctionName": name}, why))
    if seen.scaling:
        params = {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": settings.scaling_resource,
            "ScalableDimension": DIMENSION,
        }
        why = "nothing scales what is to go"
        steps.append(_step("application-autoscaling", "deregister_scalable_target", params, why))
    steps += endpoint_end(name, seen.endpoint)
    if seen.alarms:
        why = "they watch nothing any more"
        steps.append(_step("cloudwatch", "delete_alarms", {"AlarmNames": [*seen.alarms]}, why))
    why = "no endpoint uses it any more"
    steps += [
        _step("sagemaker", "delete_endpoint_config", {"EndpointConfigName": config}, why)
        for config in seen.configs
    ]
    steps += [
        _step("sagemaker", "delete_model", {"ModelName": model}, why) for model in seen.models
    ]
    return tuple(steps)


def let_go_steps(settings: ServingSettings, seen: Remains) -> tuple[Step, ...]:
    """The steps that end what is paid for by the hour, and keep the rest for another try. Pure."""
    why = "nothing is live: no environments need be kept warm"
    cool = [
        _step(
            "lambda",
            "delete_provisioned_concurrency_config",
            {"FunctionName": settings.name, "Qualifier": version},
            why,
        )
        for version in seen.provisioned
    ]
    return (*cool, *endpoint_end(settings.name, seen.endpoint))


def endpoint_end(name: str, status: str) -> list[Step]:
    """Delete an endpoint and wait until it is gone; one that is changing is waited for first."""
    if not status:
        return []
    describe = {"EndpointName": name}
    steps = []
    if status in MOVING:
        call = Call(
            service="sagemaker",
            operation="describe_endpoint",
            params=describe,
            why=f"endpoint {name} has come to rest",
        )
        rest = {"EndpointStatus": ("InService", *BROKEN)}
        moving = {"EndpointStatus": MOVING}
        wait = Wait(call=call, until=rest, moving=moving, limit_s=ENDPOINT_LIMIT_S)
        steps.append(Step(phase=Phase.CLEAN, wait=wait))
    if status != "Deleting":
        why = f"endpoint {name} is paid for by the hour"
        steps.append(_step("sagemaker", "delete_endpoint", describe, why))
    call = Call(
        service="sagemaker", operation="describe_endpoint", params=describe, why="it is gone"
    )
    gone = Wait(call=call, gone=True, limit_s=ENDPOINT_LIMIT_S)
    return [*steps, Step(phase=Phase.CLEAN, wait=gone)]


def _step(service: str, operation: str, params: Mapping[str, Any], why: str) -> Step:
    return Step(
        phase=Phase.CLEAN,
        call=Call(service=service, operation=operation, params=params, why=why),
    )
