"""Programs that users write, unmodified but for the endpoint's address."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import BUCKET, ROLE, House, envs

BIN = Path(sys.executable).parent
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.3-cpu-py311"
pytestmark = pytest.mark.slow


def model_of(house: House, job: dict[str, Any]) -> set[str]:
    key = job["ModelArtifacts"]["S3ModelArtifacts"].partition(f"{BUCKET}/")[2]
    body = house.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return set(tar.getnames())


@pytest.mark.parametrize(
    "hosts", [pytest.param(1, marks=pytest.mark.soak), 2], ids=["one host", "torchrun on two"]
)
def test_sagemaker_sdk_v3_trains_a_plain_script(house: House, hosts: int) -> None:
    source = house.source("hpo.py", "v3_trainer.py")
    said = house.run(
        str(BIN / "python"), str(source / "v3_trainer.py"), str(source), BUCKET, str(hosts)
    )
    job = json.loads(said.strip().splitlines()[-1])
    assert job["status"] == "Completed"
    found = house.client("sagemaker").describe_training_job(TrainingJobName=job["name"])
    assert found["ResourceConfig"]["InstanceCount"] == hosts
    assert "model.pth" in model_of(house, found)


@pytest.mark.soak
def test_sagemaker_sdk_v2_trains_on_two_hosts_and_deploys(house: House) -> None:
    folder = envs()
    if folder is None:
        pytest.skip("PEDIGREE_CLIENTS names no folder with the environments sdk2 and toolkit")
    source = house.source("hpo.py", "inference.py", "v2_estimator.py")
    said = house.run(
        str(folder / "sdk2" / "bin" / "python"),
        str(source / "v2_estimator.py"),
        str(source),
        BUCKET,
        str(source),
    )
    answer = json.loads(said[said.rindex('{"job"') :])["answer"]  # the SDK draws dashes before it
    assert len(answer) == 1 and len(answer[0]) == 2


def aws(house: House, *arguments: str) -> Any:
    said = house.run(str(BIN / "aws"), *arguments, "--output", "json")
    return json.loads(said) if said.strip().startswith(("{", "[")) else said


def test_the_aws_command_line(house: House) -> None:
    photo = house.home / "photo.jpg"
    aws(house, "s3", "cp", f"s3://{BUCKET}/dogImages/train/a/0.jpg", str(photo))
    aws(house, "s3", "sync", f"s3://{BUCKET}/dogImages/", str(house.home / "dogImages"))
    assert len(list((house.home / "dogImages").rglob("*.jpg"))) == 24
    assert aws(house, "sagemaker", "list-training-jobs")["TrainingJobSummaries"] == []
    assert aws(house, "application-autoscaling", "describe-scalable-targets",
               "--service-namespace", "sagemaker")["ScalableTargets"] == []  # fmt: skip
    assert aws(house, "ec2", "describe-instances")["Reservations"] == []
    code = house.home / "code.zip"
    with zipfile.ZipFile(code, "w") as packed:
        packed.writestr("f.py", "def handler(event, context):\n    return {'got': event}\n")
    aws(house, "lambda", "create-function", "--function-name", "f", "--runtime", "python3.11",
        "--handler", "f.handler", "--role", ROLE, "--zip-file", f"fileb://{code}")  # fmt: skip
    aws(house, "lambda", "wait", "function-active-v2", "--function-name", "f")
    out = house.home / "out.json"
    aws(house, "lambda", "invoke", "--function-name", "f", "--payload", '{"a": 1}', str(out))  # fmt: skip
    assert json.loads(out.read_text()) == {"got": {"a": 1}}


USER_DATA = """#!/bin/bash
cd /home && mkdir -p work && cd work
aws s3 sync s3://the-bucket/dogImages dogImages --quiet
aws s3 cp s3://the-bucket/code/ec2train1.py . --quiet
mkdir -p TrainedModels
python3 ec2train1.py && aws s3 cp TrainedModels/model.pth s3://the-bucket/TrainedModels/model.pth
"""


@pytest.mark.soak
def test_a_hard_coded_script_trains_on_an_instance(house: House) -> None:
    ec2, s3, ssm = (house.client(name) for name in ("ec2", "s3", "ssm"))
    body = house.source("ec2train1.py").joinpath("ec2train1.py").read_bytes()
    s3.put_object(Bucket=BUCKET, Key="code/ec2train1.py", Body=body)
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    image = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    instance = ec2.run_instances(
        ImageId=image,
        InstanceType="c5.xlarge",
        MinCount=1,
        MaxCount=1,
        UserData=USER_DATA.replace("cd /home && ", ""),
        IamInstanceProfile={"Name": "trainer"},
    )["Instances"][0]["InstanceId"]
    until = time.monotonic() + 90
    found: list[Any] = []
    while not found and time.monotonic() < until:
        time.sleep(0.5)
        found = s3.list_objects_v2(Bucket=BUCKET, Prefix="TrainedModels/").get("Contents", [])
    said = ec2.get_console_output(InstanceId=instance).get("Output", "")
    ec2.terminate_instances(InstanceIds=[instance])
    assert [one["Key"] for one in found] == ["TrainedModels/model.pth"], said


def test_the_usual_function_asks_the_usual_inference_script_by_url(house: House) -> None:
    deploy(house)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as packed:
        source = house.source("lambda_handler.py") / "lambda_handler.py"
        packed.write(source, "lambda_function.py")
    lambdas, s3 = house.client("lambda"), house.client("s3")
    lambdas.create_function(
        FunctionName="ask",
        Runtime="python3.11",
        Handler="lambda_function.lambda_handler",
        Role=ROLE,
        Code={"ZipFile": code.getvalue()},
        Timeout=30,
        MemorySize=256,
    )
    lambdas.get_waiter("function_active_v2").wait(FunctionName="ask")
    params = {"Bucket": BUCKET, "Key": "dogImages/test/a/0.jpg"}
    event = {"url": s3.generate_presigned_url("get_object", Params=params)}
    answer = lambdas.invoke(FunctionName="ask", Payload=json.dumps(event))
    result = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, result
    logits = json.loads(result["body"])
    assert len(logits) == 1 and len(logits[0]) == 2


def deploy(house: House) -> None:
    """An endpoint `dogs` of the inference script with a network that nobody trained."""
    import torch
    from torch import nn
    from torchvision import models

    net = models.squeezenet1_1(weights=None)
    net.classifier[1] = nn.Conv2d(512, 2, kernel_size=1)
    weights = io.BytesIO()
    torch.save(net.state_dict(), weights)
    script = (house.source("inference.py") / "inference.py").read_bytes()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in (("model.pth", weights.getvalue()), ("code/inference.py", script)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    house.client("s3").put_object(Bucket=BUCKET, Key="model.tar.gz", Body=packed.getvalue())
    sagemaker = house.client("sagemaker")
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}
    sagemaker.create_model(ModelName="dogs", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "dogs",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(EndpointConfigName="dogs", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="dogs", EndpointConfigName="dogs")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="dogs", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
