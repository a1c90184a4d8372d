"""Requests in, AWS's words out: through boto3, against a server with made-up handlers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from werkzeug import Request
from werkzeug.test import EnvironBuilder

from localaws.server import Parts, Service
from localaws.wire.answer import to_json
from localaws.wire.constraints import compile_pattern, violations
from localaws.wire.protocol import AwsError, Caller, ModelService, load_model
from localaws.wire.request import Unreadable, read_params
from tests.localaws.conftest import UNCHECKED, Client, StartCloud

CALLER = Caller(account_id="123456789012", region="us-east-1", access_key_id="AKIA")
CREATED = 1_790_000_000.25


class FakeSageMaker:
    """Remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any], Caller]] = []

    def create_training_job(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        self.calls.append(("create_training_job", params, caller))
        return {"TrainingJobArn": f"arn:aws:sagemaker:{caller.region}:1:training-job/a"}

    def describe_training_job(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return {
            "TrainingJobName": params["TrainingJobName"],
            "CreationTime": CREATED,
            "LastModifiedTime": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "TrainingEndTime": None,
            "BillableTimeInSeconds": 7,
            "FinalMetricDataList": [{"MetricName": "top1", "Value": 0.5, "Timestamp": CREATED}],
        }

    def describe_endpoint(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        raise AwsError("ValidationException", f'Could not find endpoint "{params}".')

    def delete_endpoint(self, params: dict[str, Any], caller: Caller) -> None:
        return None

    def describe_model(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return {"NoSuchMember": 1}


class FakeRuntime:
    def invoke_endpoint(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        body: bytes = params["Body"]
        if body == b"fail":
            fields = {"OriginalStatusCode": 500, "OriginalMessage": "oops"}
            raise AwsError("ModelError", "Received server error (500)", fields=fields)
        return {
            "Body": params["EndpointName"].encode() + b":" + body,
            "ContentType": params.get("ContentType"),
            "InvokedProductionVariant": "AllTraffic",
        }


class FakeLambda:
    def invoke(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        text = json.dumps({"name": params["FunctionName"], "size": len(params["Payload"])})
        return {
            "StatusCode": 202 if params.get("InvocationType") == "Event" else 200,
            "FunctionError": "Unhandled" if params.get("Qualifier") == "bad" else None,
            "Payload": text.encode(),
            "ExecutedVersion": params.get("Qualifier", "$LATEST"),
        }

    def create_function(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        size = len(params["Code"]["ZipFile"])
        return {"FunctionName": params["FunctionName"], "CodeSize": size}

    def get_function(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        raise AwsError("ResourceNotFoundException", f"Function not found: {params}")

    def list_functions(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        raise RuntimeError("a bug")

    def delete_alias(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return {}

    def list_layers(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return {"Layers": [], "NextMarker": json.dumps(params)}

    def untag_resource(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        raise AwsError("InvalidParameterValueException", json.dumps(params))


class FakeScaling:
    def register_scalable_target(self, params: dict[str, Any], _: Caller) -> dict[str, Any]:
        return {"ScalableTargetARN": json.dumps(params)}


class FakeService:
    def __init__(self) -> None:
        self.sagemaker = FakeSageMaker()
        self.services = {
            "sagemaker": ModelService("sagemaker", self.sagemaker),
            "sagemaker-runtime": ModelService("sagemaker-runtime", FakeRuntime()),
            "lambda": ModelService("lambda", FakeLambda()),
            "application-autoscaling": ModelService("application-autoscaling", FakeScaling()),
        }

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def fake() -> FakeService:
    return FakeService()


@pytest.fixture
def served(start_cloud: StartCloud, fake: FakeService) -> Client:
    def build(parts: Parts) -> Sequence[Service]:
        return [fake]

    return start_cloud(build=build)


def refused(call: Any, **params: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response
    assert error["ResponseMetadata"]["RequestId"]
    assert error["ResponseMetadata"]["RetryAttempts"] == 0
    status: int = error["ResponseMetadata"]["HTTPStatusCode"]
    return error["Error"]["Code"], error["Error"]["Message"], status


def training_job(**changes: Any) -> dict[str, Any]:
    job: dict[str, Any] = {
        "TrainingJobName": "dogs-1",
        "RoleArn": "arn:aws:iam::123456789012:role/trainer",
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {
            "InstanceType": "ml.c5.xlarge",
            "InstanceCount": 1,
            "VolumeSizeInGB": 10,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    return job | changes


def test_json_protocol_carries_parameters_and_answers(served: Client, fake: FakeService) -> None:
    client = served.client("sagemaker")
    job = training_job(HyperParameters={"epochs": "3", "name": 'a "quoted" é'})
    answer = client.create_training_job(**job)
    assert answer["TrainingJobArn"].endswith("training-job/a")
    name, params, caller = fake.sagemaker.calls[0]
    assert (name, params) == ("create_training_job", job)
    assert caller == Caller(
        account_id="123456789012", region="us-east-1", access_key_id="AKIATESTTESTTESTTEST"
    )
    described = client.describe_training_job(TrainingJobName="dogs-1")
    assert described["CreationTime"].timestamp() == CREATED
    assert described["LastModifiedTime"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert "TrainingEndTime" not in described
    assert described["FinalMetricDataList"][0]["Value"] == 0.5


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        (
            {"TrainingJobName": "a_b"},
            [
                "Value 'a_b' at 'trainingJobName' failed to satisfy constraint: Member must satisfy "
                "regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
            ],
        ),
        (
            {"TrainingJobName": "x" * 64},
            ["'trainingJobName' failed to satisfy constraint: Member must have length less than"],
        ),
        (
            {"ResourceConfig": {"InstanceType": "ml.huge", "InstanceCount": -1}},
            [
                "2 validation errors detected: ",
                "Value 'ml.huge' at 'resourceConfig.instanceType' failed to satisfy constraint: "
                "Member must satisfy enum value set: [",
                "Value '-1' at 'resourceConfig.instanceCount' failed to satisfy constraint: "
                "Member must have value greater than or equal to 0",
            ],
        ),
        (
            {"InputDataConfig": [{"DataSource": {}}]},
            [
                "Value null at 'inputDataConfig.1.member.channelName' failed to satisfy constraint: "
                "Member must not be null"
            ],
        ),
        (
            {"HyperParameters": {"a": "v" * 2501}},
            ["Map value must satisfy constraint: [Member must have length less than or equal to"],
        ),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, ["greater than or equal to 1"]),
    ],
)
def test_constraints_are_refused_in_awss_words(
    served: Client, fake: FakeService, change: Mapping[str, Any], sentences: Sequence[str]
) -> None:
    client = served.client("sagemaker", **UNCHECKED)
    code, message, status = refused(client.create_training_job, **training_job(**change))
    assert (code, status) == ("ValidationException", 400)
    assert "validation error" in message
    for sentence in sentences:
        assert sentence in message
    assert fake.sagemaker.calls == []


def test_a_missing_member_is_named(served: Client) -> None:
    client = served.client("sagemaker", **UNCHECKED)
    code, message, _ = refused(client.describe_training_job)
    assert code == "ValidationException"
    assert message == (
        "1 validation error detected: Value null at 'trainingJobName' failed to satisfy "
        "constraint: Member must not be null"
    )


def test_an_error_of_the_handler_keeps_its_code_status_and_fields(served: Client) -> None:
    assert refused(served.client("sagemaker").describe_endpoint, EndpointName="x")[2] == 400
    runtime = served.client("sagemaker-runtime")
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName="e", Body=b"fail")
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 500
    assert response["OriginalMessage"] == "oops"


def test_a_missing_operation_is_refused_once_and_names_the_list(served: Client) -> None:
    code, message, status = refused(served.client("sagemaker").list_domains)
    assert (code, status) == ("NotImplemented", 501)
    assert "sagemaker ListDomains" in message
    assert "DIFFERENCES.md" in message


def test_a_fault_inside_is_told_once(served: Client, caplog: pytest.LogCaptureFixture) -> None:
    code, message, status = refused(served.client("lambda").list_functions)
    assert (code, status) == ("InternalFailure", 501)
    assert "RuntimeError: a bug" in message
    assert "lambda ListFunctions" in caplog.text


def test_an_answer_that_does_not_fit_the_model_is_a_fault(served: Client) -> None:
    code, message, _ = refused(served.client("sagemaker").describe_model, ModelName="m")
    assert code == "InternalFailure"
    assert "NoSuchMember" in message


def test_no_output_is_an_empty_answer(served: Client) -> None:
    answer = served.client("sagemaker").delete_endpoint(EndpointName="x")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_rest_payloads_and_headers_both_ways(served: Client) -> None:
    runtime = served.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(
        EndpointName="dogs", Body=b"\x00\xff", ContentType="image/jpeg"
    )
    assert answer["Body"].read() == b"dogs:\x00\xff"
    assert answer["ContentType"] == "image/jpeg"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    code, _, status = refused(
        served.client("sagemaker-runtime", **UNCHECKED).invoke_endpoint,
        EndpointName="a_b",
        Body=b"",
    )
    assert (code, status) == ("ValidationError", 400)


def test_rest_labels_status_and_qualifier(served: Client) -> None:
    client = served.client("lambda")
    arn = "arn:aws:lambda:us-east-1:123456789012:function:dogs"
    answer = client.invoke(FunctionName=arn, Payload=b"{}", Qualifier="bad")
    assert json.loads(answer["Payload"].read()) == {"name": arn, "size": 2}
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert answer["ExecutedVersion"] == "bad"
    event = client.invoke(FunctionName="dogs", InvocationType="Event", Payload=b"")
    assert event["StatusCode"] == 202
    assert event["ResponseMetadata"]["HTTPStatusCode"] == 202


def test_lambda_codes_and_statuses_come_from_the_model(served: Client) -> None:
    client = served.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        client.get_function(FunctionName="gone")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert caught.value.response["Type"] == "User"
    created = client.create_function(
        FunctionName="dogs",
        Role="arn:aws:iam::123456789012:role/r",
        Code={"ZipFile": b"\x00\x01zip"},
    )
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert created["CodeSize"] == 5
    deleted = client.delete_alias(FunctionName="dogs", Name="live")
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_lambda_refuses_an_unknown_runtime_as_aws_does(served: Client) -> None:
    code, message, _ = refused(
        served.client("lambda").create_function,
        FunctionName="dogs",
        Role="arn:aws:iam::123456789012:role/r",
        Code={"ZipFile": b"x"},
        Runtime="python1.5",
    )
    assert code == "InvalidParameterValueException"
    assert message.startswith("Value python1.5 at 'runtime' failed to satisfy constraint: ")
    assert message.endswith("] or be a valid ARN")


def test_lists_numbers_and_arns_in_the_uri(served: Client) -> None:
    client = served.client("lambda")
    marker = client.list_layers(CompatibleRuntime="python3.12", MaxItems=5)["NextMarker"]
    assert json.loads(marker) == {"CompatibleRuntime": "python3.12", "MaxItems": 5}
    arn = "arn:aws:lambda:us-east-1:123456789012:function:dogs"
    _, message, _ = refused(client.untag_resource, Resource=arn, TagKeys=["a", "b c"])
    assert json.loads(message) == {"Resource": arn, "TagKeys": ["a", "b c"]}


def test_autoscaling_speaks_json_too(served: Client) -> None:
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/dogs/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "MinCapacity": 1,
        "MaxCapacity": 3,
    }
    answer = served.client("application-autoscaling").register_scalable_target(**target)
    assert json.loads(answer["ScalableTargetARN"]) == target


def json_request(body: bytes, operation: str = "DescribeTrainingJob") -> Request:
    builder = EnvironBuilder(
        method="POST", data=body, headers=[("X-Amz-Target", f"SageMaker.{operation}")]
    )
    return Request(builder.get_environ())


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"TrainingJobName": 5}',
        b'{"TrainingJobName": ["a"]}',
        b"[" * 100_000,
    ],
)
def test_unreadable_bodies_are_serialization_errors(body: bytes) -> None:
    service = ModelService("sagemaker", FakeSageMaker())
    response = service.respond(json_request(body), CALLER)
    assert response.status_code == 400
    assert response.headers["x-amzn-errortype"] == "SerializationException"


def test_an_unknown_operation_is_named() -> None:
    response = ModelService("sagemaker", FakeSageMaker()).respond(
        json_request(b"{}", "MakeCoffee"), CALLER
    )
    assert response.status_code == 404
    assert "MakeCoffee" in response.get_data(as_text=True)


def test_numbers_are_not_booleans_nor_strings() -> None:
    operation = load_model("sagemaker").operation_model("CreateTrainingJob")
    for value in (True, "1", 1.5):
        body = json.dumps({"ResourceConfig": {"InstanceCount": value}}).encode()
        with pytest.raises(Unreadable, match=r"ResourceConfig\.InstanceCount"):
            read_params(json_request(body), operation, {})


def test_every_owned_service_has_few_patterns_that_python_cannot_say() -> None:
    unsaid = set()
    for name in ("sagemaker", "sagemaker-runtime", "lambda", "application-autoscaling"):
        model = load_model(name)
        for shape_name in model.shape_names:
            pattern = model.shape_for(shape_name).metadata.get("pattern")
            if pattern and compile_pattern(pattern) is None:
                unsaid.add(pattern)
    # Metadata keys of model packages, whose published pattern is broken in Java too.
    assert all(pattern.endswith(("${1,128}", "${1,256}")) for pattern in unsaid)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"\p{ASCII}*", "image/jpeg", "é"),
        (r"\A\S[\p{Print}]*\z", "a b", " a"),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "größe 2 @home", "a#b"),
        (r"[\p{L}\p{M}\p{Z}\p{S}\p{N}\p{P}]*", "a\u0301 € (1)", None),
        (r"arn:[\p{Alnum}\-]+", "arn:aws-cn", "arn:é"),
        (r"[\u0020-\uD7FF\uD800\uDC00-\uDBFF\uDFFF\t]*", "dog \U0001f415", "\x01"),
    ],
)
def test_java_patterns_in_python(pattern: str, good: str, bad: str | None) -> None:
    compiled = compile_pattern(pattern)
    assert compiled is not None
    assert compiled.fullmatch(good)
    assert bad is None or not compiled.fullmatch(bad)


@given(
    st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=30), max_size=4),
    st.integers(1, 5),
)
def test_valid_parameters_survive_the_wire(hyper: dict[str, str], count: int) -> None:
    job = training_job(HyperParameters=hyper)
    job["ResourceConfig"]["InstanceCount"] = count
    operation = load_model("sagemaker").operation_model("CreateTrainingJob")
    params = read_params(json_request(json.dumps(job).encode()), operation, {})
    assert params == job
    assert violations(params, operation.input_shape) == [] or any(
        len(key) > 256 or "\n" in key + value for key, value in hyper.items()
    )


def test_answers_need_a_time_zone_and_the_models_types() -> None:
    output = load_model("sagemaker").operation_model("DescribeTrainingJob").output_shape
    with pytest.raises(TypeError, match="time zone"):
        to_json({"CreationTime": datetime(2026, 1, 1)}, output, "answer")
    with pytest.raises(TypeError, match="wants a string"):
        to_json({"TrainingJobName": 5}, output, "answer")
