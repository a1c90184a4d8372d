"""Made, changed and taken down as Terraform does it: a call, then boto3's own waiter."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from typing import Any

import pytest

from tests.clients.conftest import BUCKET, ROLE, House
from tests.clients.test_clients import AMAZON_LINUX, IMAGE

pytestmark = pytest.mark.slow
ECHO = """
import json

def model_fn(folder):
    return open(f"{folder}/name").read()

def input_fn(body, kind):
    return json.loads(body)

def predict_fn(asked, model):
    return {"model": model, "asked": asked}

def output_fn(answer, accept):
    return json.dumps(answer)
"""
QUICK = {"Delay": 1, "MaxAttempts": 60}


def packed(**files: str) -> bytes:
    """A model.tar.gz."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("__", "/"))
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


def zipped(answer: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("f.py", f"def handler(event, context):\n    return {answer!r}\n")
    return made.getvalue()


def test_an_endpoint(house: House) -> None:
    s3, sagemaker = house.client("s3"), house.client("sagemaker")
    for name in ("one", "two"):
        body = packed(name=name, **{"code__inference.py": ECHO})
        s3.put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=body)
        s3.get_waiter("object_exists").wait(Bucket=BUCKET, Key=f"{name}.tar.gz")
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{name}.tar.gz"}
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        variant = {
            "VariantName": "v",
            "ModelName": name,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="one")
    with pytest.raises(sagemaker.exceptions.ClientError, match="Cannot update in-progress"):
        sagemaker.delete_endpoint(EndpointName="e")
    in_service = sagemaker.get_waiter("endpoint_in_service")
    in_service.wait(EndpointName="e", WaiterConfig=QUICK)
    assert asked(house) == {"model": "one", "asked": 7}
    sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="two")
    in_service.wait(EndpointName="e", WaiterConfig=QUICK)
    assert asked(house) == {"model": "two", "asked": 7}
    sagemaker.delete_endpoint(EndpointName="e")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="e", WaiterConfig=QUICK)


def asked(house: House) -> Any:
    answer = house.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="e", Body=b"7", ContentType="application/json"
    )
    return json.loads(answer["Body"].read())


def test_a_function_and_its_role(house: House) -> None:
    lambdas, iam = house.client("lambda"), house.client("iam")
    iam.get_waiter("role_exists").wait(RoleName="trainer")
    lambdas.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="f.handler",
        Role=ROLE,
        Code={"ZipFile": zipped("one")},
    )
    lambdas.get_waiter("function_exists").wait(FunctionName="f")
    lambdas.get_waiter("function_active_v2").wait(FunctionName="f")
    lambdas.update_function_code(FunctionName="f", ZipFile=zipped("two"))
    lambdas.get_waiter("function_updated_v2").wait(FunctionName="f")
    version = lambdas.publish_version(FunctionName="f")["Version"]
    lambdas.get_waiter("published_version_active").wait(FunctionName="f", Qualifier=version)
    answer = lambdas.invoke(FunctionName="f", Qualifier=version)
    assert json.loads(answer["Payload"].read()) == "two"
    lambdas.create_alias(FunctionName="f", Name="live", FunctionVersion=version)
    with pytest.raises(lambdas.exceptions.ResourceConflictException):
        lambdas.delete_function(FunctionName="f", Qualifier=version)
    lambdas.delete_function(FunctionName="f")
    with pytest.raises(lambdas.exceptions.ResourceNotFoundException):
        lambdas.get_function(FunctionName="f")


def test_an_instance_a_bucket_an_alarm_and_a_stack(house: House) -> None:
    ec2, ssm, s3 = (house.client(name) for name in ("ec2", "ssm", "s3"))
    image = ssm.get_parameter(Name=AMAZON_LINUX)["Parameter"]["Value"]
    made = ec2.run_instances(ImageId=image, InstanceType="c5.xlarge", MinCount=1, MaxCount=1)
    ids = [made["Instances"][0]["InstanceId"]]
    for state in ("instance_exists", "instance_running"):
        ec2.get_waiter(state).wait(InstanceIds=ids, WaiterConfig=QUICK)
    ec2.stop_instances(InstanceIds=ids)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=ids, WaiterConfig=QUICK)
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig=QUICK)

    s3.create_bucket(Bucket="another")
    s3.get_waiter("bucket_exists").wait(Bucket="another", WaiterConfig=QUICK)
    s3.put_object(Bucket="another", Key="k", Body=b"")
    with pytest.raises(s3.exceptions.ClientError, match="BucketNotEmpty"):
        s3.delete_bucket(Bucket="another")
    s3.delete_object(Bucket="another", Key="k")
    s3.get_waiter("object_not_exists").wait(Bucket="another", Key="k", WaiterConfig=QUICK)
    s3.delete_bucket(Bucket="another")
    s3.get_waiter("bucket_not_exists").wait(Bucket="another", WaiterConfig=QUICK)

    watch, stacks = house.client("cloudwatch"), house.client("cloudformation")
    watch.put_metric_alarm(
        AlarmName="a",
        Namespace="n",
        MetricName="m",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    watch.get_waiter("alarm_exists").wait(AlarmNames=["a"], WaiterConfig=QUICK)
    named = {"Name": "p", "Type": "String", "Value": "v"}
    parameter = {"Type": "AWS::SSM::Parameter", "Properties": named}
    stacks.create_stack(StackName="s", TemplateBody=json.dumps({"Resources": {"P": parameter}}))
    stacks.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig=QUICK)
    stacks.delete_stack(StackName="s")
    stacks.get_waiter("stack_delete_complete").wait(StackName="s", WaiterConfig=QUICK)


def test_a_job_and_a_notebook(house: House) -> None:
    sagemaker = house.client("sagemaker")
    job = {
        "TrainingJobName": "j",
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sleep"],
            "ContainerArguments": ["60"],
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 1,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    sagemaker.create_training_job(**job)
    with pytest.raises(sagemaker.exceptions.ResourceInUse):
        sagemaker.create_training_job(**job)
    sagemaker.stop_training_job(TrainingJobName="j")
    ended = sagemaker.get_waiter("training_job_completed_or_stopped")
    ended.wait(TrainingJobName="j", WaiterConfig=QUICK)

    named = {"NotebookInstanceName": "n"}
    sagemaker.create_notebook_instance(**named, InstanceType="ml.t3.medium", RoleArn=ROLE)
    sagemaker.get_waiter("notebook_instance_in_service").wait(**named, WaiterConfig=QUICK)
    with pytest.raises(sagemaker.exceptions.ClientError):
        sagemaker.delete_notebook_instance(**named)
    sagemaker.stop_notebook_instance(**named)
    sagemaker.get_waiter("notebook_instance_stopped").wait(**named, WaiterConfig=QUICK)
    sagemaker.delete_notebook_instance(**named)
    sagemaker.get_waiter("notebook_instance_deleted").wait(**named, WaiterConfig=QUICK)
