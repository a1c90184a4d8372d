"""SageMaker SDK v3 as its users write it: ModelTrainer with source code, one or two hosts."""

import json
import sys

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import (
    Compute,
    InputData,
    OutputDataConfig,
    SourceCode,
    StoppingCondition,
)
from sagemaker.train.distributed import Torchrun

source, bucket, hosts = sys.argv[1], sys.argv[2], int(sys.argv[3])
session = Session(boto3.Session(), default_bucket=bucket)
trainer = ModelTrainer(
    sagemaker_session=session,
    training_image="763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.6-cpu-py312",
    role="arn:aws:iam::123456789012:role/trainer",
    base_job_name=f"v3-{hosts}",
    source_code=SourceCode(source_dir=source, entry_script="hpo.py"),
    compute=Compute(instance_type="ml.m5.xlarge", instance_count=hosts, volume_size_in_gb=10),
    stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
    hyperparameters={"batch-size": 8, "lr": 0.01, "epochs": 1},
    output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/v3"),
    distributed=Torchrun() if hosts > 1 else None,
)
trainer.train(
    input_data_config=[InputData(channel_name="training", data_source=f"s3://{bucket}/dogImages/")],
    wait=True,
    logs=False,
)
job = trainer._latest_training_job
print(json.dumps({"name": job.training_job_name, "status": job.training_job_status}))
