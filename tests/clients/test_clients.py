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
AMAZON_LINUX = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
PHOTO = "dogImages/test/a/0.jpg"
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
    the_command_line_launches(house)
    code = house.home / "code.zip"
    with zipfile.ZipFile(code, "w") as packed:
        packed.writestr("f.py", "def handler(event, context):\n    return {'got': event}\n")
    aws(house, "lambda", "create-function", "--function-name", "f", "--runtime", "python3.11",
        "--handler", "f.handler", "--role", ROLE, "--zip-file", f"fileb://{code}")  # fmt: skip
    aws(house, "lambda", "wait", "function-active-v2", "--function-name", "f")
    out = house.home / "out.json"
    aws(house, "lambda", "invoke", "--function-name", "f", "--payload", '{"a": 1}', str(out))  # fmt: skip
    assert json.loads(out.read_text()) == {"got": {"a": 1}}


def the_command_line_launches(house: House) -> None:
    """An instance and a training job, each waited for and gone again."""
    named = aws(house, "ssm", "get-parameter", "--name", AMAZON_LINUX)
    made = aws(house, "ec2", "run-instances", "--image-id", named["Parameter"]["Value"],
               "--instance-type", "c5.large", "--user-data", "#!/bin/bash\necho hello")  # fmt: skip
    instance = made["Instances"][0]["InstanceId"]
    aws(house, "ec2", "wait", "instance-running", "--instance-ids", instance)
    gone = aws(house, "ec2", "terminate-instances", "--instance-ids", instance)
    assert gone["TerminatingInstances"][0]["PreviousState"]["Name"] == "running"
    job = {
        "TrainingJobName": "by-hand",
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/true"],
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    aws(house, "sagemaker", "create-training-job", "--cli-input-json", json.dumps(job))
    aws(house, "sagemaker", "wait", "training-job-completed-or-stopped",
        "--training-job-name", "by-hand")  # fmt: skip
    (told,) = aws(house, "sagemaker", "list-training-jobs")["TrainingJobSummaries"]
    assert told["TrainingJobStatus"] == "Completed"


USER_DATA = """#!/bin/bash
cd /home/ec2-user
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
    image = ssm.get_parameter(Name=AMAZON_LINUX)["Parameter"]["Value"]
    instance = ec2.run_instances(
        ImageId=image,
        InstanceType="c5.xlarge",
        MinCount=1,
        MaxCount=1,
        UserData=USER_DATA,
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
    params = {"Bucket": BUCKET, "Key": PHOTO}
    event = {"url": s3.generate_presigned_url("get_object", Params=params)}
    answer = lambdas.invoke(FunctionName="ask", Payload=json.dumps(event))
    result = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, result
    logits = json.loads(result["body"])
    assert len(logits) == 1 and len(logits[0]) == 2
    the_command_line_sends_a_photo(house)


def the_command_line_sends_a_photo(house: House) -> None:
    """To the same endpoint, as image/jpeg; then more instances, and what scales them."""
    photo, out = house.home / "photo.jpg", house.home / "answer.json"
    photo.write_bytes(house.client("s3").get_object(Bucket=BUCKET, Key=PHOTO)["Body"].read())
    aws(house, "sagemaker-runtime", "invoke-endpoint", "--endpoint-name", "dogs",
        "--content-type", "image/jpeg", "--body", f"fileb://{photo}", str(out))  # fmt: skip
    assert len(json.loads(out.read_text())[0]) == 2
    variant = ("--service-namespace", "sagemaker", "--scalable-dimension",
               "sagemaker:variant:DesiredInstanceCount",
               "--resource-id", "endpoint/dogs/variant/AllTraffic")  # fmt: skip
    aws(house, "application-autoscaling", "register-scalable-target", *variant,
        "--min-capacity", "1", "--max-capacity", "3")  # fmt: skip
    tracked = {
        "TargetValue": 60.0,
        "PredefinedMetricSpecification": {
            "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
        },
    }
    made = aws(house, "application-autoscaling", "put-scaling-policy", *variant, "--policy-name",
               "track", "--policy-type", "TargetTrackingScaling",
               "--target-tracking-scaling-policy-configuration", json.dumps(tracked))  # fmt: skip
    assert [alarm["AlarmName"][:15] for alarm in made["Alarms"]] == ["TargetTracking-"] * 2
    aws(house, "sagemaker", "delete-endpoint", "--endpoint-name", "dogs")
    aws(house, "sagemaker", "wait", "endpoint-deleted", "--endpoint-name", "dogs")
    named = aws(house, "sagemaker", "list-endpoint-configs")["EndpointConfigs"]
    assert [one["EndpointConfigName"] for one in named] == ["dogs"]


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
