"""Faults on demand: the book alone, and calls through boto3 that meet them."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from hypothesis import given
from hypothesis import strategies as st

from localaws.faults.book import BadFault, Fault, FaultBook, fault_of
from tests.localaws.conftest import Client, StartCloud, fetch
from tests.localaws.sagemaker_world import prepare, sagemaker_services
from tests.localaws.test_endpoints import add_model


def test_a_fault_lets_some_pass_then_strikes_some() -> None:
    book = FaultBook()
    book.add(Fault(service="iam", operation="CreateRole", kind="error", after=2, times=2))
    met = [book.meet("iam", "CreateRole") is not None for _ in range(6)]
    assert met == [False, False, True, True, False, False]
    assert book.meet("iam", "GetRole") is None
    (shown,) = book.everything()
    assert (shown["met"], shown["over"]) == (2, True)
    assert book.clear() == 1
    assert not book


@given(times=st.none() | st.integers(1, 5), after=st.integers(0, 5), seed=st.integers(0, 99))
def test_no_more_calls_meet_a_fault_than_were_asked_for(
    times: int | None, after: int, seed: int
) -> None:
    book = FaultBook(random.Random(seed))
    book.add(Fault(service="*", kind="drop", times=times, after=after, probability=0.5))
    met = [book.meet("s3", "GetObject") is not None for _ in range(30)]
    assert not any(met[:after])
    assert times is None or sum(met) <= times


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"service": "s3", "kind": "explode"},
        {"service": "s3", "kind": "drop", "times": 0},
        {"service": "s3", "kind": "drop", "times": 1.5},
        {"service": "s3", "kind": "drop", "probability": 2},
        {"service": "s3", "kind": "drop", "delay_s": -1},
        {"service": "s3", "kind": "error", "status": 200},
        {"service": "s3", "kind": "error", "operation": 3},
        {"service": "s3", "kind": "error", "wrong": 3},
    ],
)
def test_bad_faults_say_what_to_change(fields: dict[str, Any]) -> None:
    with pytest.raises(BadFault):
        fault_of(fields)


@pytest.fixture
def cloud(start_cloud: StartCloud) -> Client:
    started = start_cloud(build=sagemaker_services, serve_command=["true"])
    prepare(started)
    return started


def add(cloud: Client, service: str, operation: str, kind: str, **members: Any) -> None:
    body = json.dumps({"service": service, "operation": operation, "kind": kind, **members})
    status, said = fetch(f"{cloud.url}/_localaws/faults", "POST", body)
    assert (status, "id" in json.loads(said)) == (200, True)


def roles(cloud: Client) -> list[str]:
    return [one["RoleName"] for one in cloud.client("iam").list_roles()["Roles"]]


TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("s3", "list_buckets", "SlowDown"),
        ("lambda", "list_functions", "TooManyRequestsException"),
        ("sagemaker", "list_models", "ThrottlingException"),
        ("iam", "list_roles", "Throttling"),
    ],
)
def test_throttles_are_in_each_services_words(
    cloud: Client, service: str, call: str, code: str
) -> None:
    add(cloud, service, "*", "throttle")
    client = cloud.client(service)
    with pytest.raises(ClientError) as refused:
        getattr(client, call)()
    assert refused.value.response["Error"]["Code"] == code


def test_a_call_that_failed_had_no_effect_and_is_repeated_by_clients(cloud: Client) -> None:
    add(cloud, "iam", "CreateRole", "error", status=503)
    patient = cloud.client("iam", retries={"total_max_attempts": 3})
    made = patient.create_role(RoleName="again", AssumeRolePolicyDocument=TRUST)
    assert made["ResponseMetadata"]["RetryAttempts"] == 1
    assert "again" in roles(cloud)


@pytest.mark.parametrize(("kind", "happens"), [("timeout", True), ("drop", False)])
def test_a_call_without_an_answer(cloud: Client, kind: str, happens: bool) -> None:
    add(cloud, "iam", "CreateRole", kind)
    with pytest.raises(ConnectionClosedError):
        cloud.client("iam").create_role(RoleName="lost", AssumeRolePolicyDocument=TRUST)
    assert ("lost" in roles(cloud)) == happens
    (entry,) = [one for one in requests(cloud) if one["operation"] == "CreateRole"][1:]
    assert (entry["fault"], entry["status"]) == (kind, 0)


def test_a_stale_read_tells_what_was_told_before(cloud: Client) -> None:
    sagemaker = cloud.client("sagemaker")
    add_model(cloud, "beagle")
    before = sagemaker.list_models()["Models"]
    add_model(cloud, "collie")
    add(cloud, "sagemaker", "ListModels", "stale", times=2)
    assert sagemaker.list_models()["Models"] == before
    assert sagemaker.list_models()["Models"] == before
    assert len(sagemaker.list_models()["Models"]) == 2


def test_objects_are_named_and_delays_last(cloud: Client) -> None:
    s3 = cloud.client("s3")
    add(cloud, "s3", "PutObject", "delay", delay_s=0.3)
    add(cloud, "s3", "GetObject", "error")
    began = time.monotonic()
    s3.put_object(Bucket="the-bucket", Key="a/b", Body=b"x")
    assert time.monotonic() - began >= 0.3
    with pytest.raises(ClientError, match="InternalError"):
        s3.get_object(Bucket="the-bucket", Key="a/b")
    assert s3.get_object(Bucket="the-bucket", Key="a/b")["Body"].read() == b"x"


def requests(cloud: Client, since: float = 0.0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        fetch(f"{cloud.url}/_localaws/requests?since={since}")[1]
    )
    return found


def test_the_pages_refuse_what_they_cannot_read(cloud: Client) -> None:
    page = f"{cloud.url}/_localaws/faults"
    for body in ("", "[]", "{", '{"service": "s3"}'):
        status, said = fetch(page, "POST", body)
        assert (status, "error" in json.loads(said)) == (400, True)
    assert fetch(f"{page}?id=x", "DELETE")[0] == 400
    assert json.loads(fetch(page, "DELETE")[1]) == {"cleared": 0}
    nobody = json.dumps({"endpoint": "dogs"})
    answer = fetch(f"{cloud.url}/_localaws/kill", "POST", nobody)
    assert json.loads(answer[1]) == {"killed": False}


def test_forms_are_logged_with_their_parameters(cloud: Client) -> None:
    began = time.time()
    cloud.client("ec2").describe_instances(
        Filters=[{"Name": "tag:run", "Values": ["a", "b"]}], MaxResults=50
    )
    cloud.client("iam").tag_role(RoleName="trainer", Tags=[{"Key": "k", "Value": "v"}])
    asked = [(one["operation"], one["params"]) for one in requests(cloud, began - 0.01)]
    assert asked[-2:] == [
        (
            "DescribeInstances",
            {"Filters": [{"Name": "tag:run", "Values": ["a", "b"]}], "MaxResults": 50},
        ),
        ("TagRole", {"RoleName": "trainer", "Tags": [{"Key": "k", "Value": "v"}]}),
    ]
