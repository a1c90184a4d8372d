from __future__ import annotations

from typing import Any

import pytest

from experiments.contract import check, faults
from experiments.errors import PedigreeError
from experiments.foundation import Standing, plan_foundation
from experiments.records import Call
from tests.experiments.build import foundation, plans


def changed(call: Call, path: tuple[str | int, ...], value: Any) -> Call:
    """The call with one member of its request set to something else."""

    def put(node: Any, rest: tuple[str | int, ...]) -> Any:
        if not rest:
            return value
        head, tail = rest[0], rest[1:]
        if isinstance(node, list):
            return [put(item, tail) if at == head else item for at, item in enumerate(node)]
        return {**node, head: put(node.get(head, {}), tail)}

    params = put(dict(call.params), path)
    return Call(service=call.service, operation=call.operation, params=params, why=call.why)


def job() -> Call:
    return plans()[0].calls[0]


@pytest.mark.parametrize("name", ["one", "two", "plain"])
def test_every_planned_launch_is_a_request_aws_knows(name: str) -> None:
    found = {plan.run_name: plan for plan in plans()}[name]
    check(found.calls)
    assert [faults(call) for call in found.calls] == [[]]


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_every_planned_foundation_is_a_request_aws_knows(region: str) -> None:
    nothing = Standing(
        bucket=False,
        bucket_closed=False,
        roles={},
        ec2_profile=False,
        profile_role=False,
        closed_group=False,
    )
    calls = plan_foundation(foundation(region=region), nothing)
    assert len(calls) == 11
    assert [(call.operation, faults(call)) for call in calls if faults(call)] == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("ResourceConfig", "InstanceType"), "ml.m5.tiny", "'ml.m5.tiny' is not one of"),
        (("InputDataConfig", 1, "InputMode"), "Files", "[1].InputMode: 'Files' is not one of"),
        (("TrainingJobName",), "x" * 64, "64 characters, at most 63"),
        (("TrainingJobName",), "two words", "'two words' does not match"),
        (("HyperParameters", "epochs"), "9" * 2501, "[epochs]: 2501 characters, at most 2500"),
        (("HyperParameters", "k" * 257), "1", "257 characters, at most 256"),
        (("Tags",), [{"Key": str(at), "Value": ""} for at in range(51)], "51 items, at most 50"),
        (("MaxRuntime",), 60, "MaxRuntime"),
        (("StoppingCondition", "MaxRuntime"), 60, "MaxRuntime"),
        (("StoppingCondition", "MaxRuntimeInSeconds"), "60", "MaxRuntimeInSeconds"),
        (("StoppingCondition", "MaxRuntimeInSeconds"), 0, "MaxRuntimeInSeconds"),
    ],
)
def test_what_aws_would_refuse_is_found(path: tuple[str | int, ...], value: Any, said: str) -> None:
    broken = changed(job(), path, value)
    found = faults(broken)
    assert any(said in fault for fault in found), found
    with pytest.raises(PedigreeError) as caught:
        check([job(), broken])
    assert "nothing was sent" in caught.value.fix


def test_an_upper_bound_is_held() -> None:
    request = {"logGroupName": "g", "logStreamName": "s", "limit": 10_001}
    call = Call(service="logs", operation="get_log_events", params=request, why="")
    assert faults(call) == ["get_log_events.limit: 10001, at most 10000"]


def test_a_missing_member_is_found() -> None:
    params = {key: value for key, value in job().params.items() if key != "RoleArn"}
    call = Call(service="sagemaker", operation="create_training_job", params=params, why="")
    assert any("RoleArn" in fault for fault in faults(call))


def test_an_operation_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(PedigreeError, match="no operation start_training"):
        faults(Call(service="sagemaker", operation="start_training", params={}, why=""))
