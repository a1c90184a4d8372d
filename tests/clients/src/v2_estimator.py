"""SageMaker SDK v2 (`sagemaker<3`) as its users write it: a PyTorch estimator, then deploy."""

import json
import sys

import boto3
import sagemaker
from sagemaker.pytorch import PyTorch

source, bucket, inference = sys.argv[1], sys.argv[2], sys.argv[3]
session = sagemaker.Session(boto3.Session(), default_bucket=bucket)
estimator = PyTorch(
    entry_point="hpo.py",
    source_dir=source,
    role="arn:aws:iam::123456789012:role/trainer",
    sagemaker_session=session,
    framework_version="2.3",
    py_version="py311",
    instance_count=2,
    instance_type="ml.m5.xlarge",
    hyperparameters={"batch-size": 8, "lr": 0.01, "epochs": 1},
    disable_profiler=True,
    debugger_hook_config=False,
)
estimator.fit({"training": f"s3://{bucket}/dogImages/"}, wait=True, logs="None")
model = sagemaker.pytorch.PyTorchModel(
    model_data=estimator.model_data,
    role="arn:aws:iam::123456789012:role/trainer",
    sagemaker_session=session,
    framework_version="2.3",
    py_version="py311",
    entry_point="inference.py",
    source_dir=inference,
)
predictor = model.deploy(initial_instance_count=1, instance_type="ml.m5.large")
predictor.serializer = sagemaker.serializers.IdentitySerializer("image/jpeg")
predictor.deserializer = sagemaker.deserializers.JSONDeserializer()
photo = boto3.client("s3").get_object(Bucket=bucket, Key="dogImages/train/a/0.jpg")["Body"].read()
answer = predictor.predict(photo)
predictor.delete_endpoint()
print(json.dumps({"job": estimator.latest_training_job.name, "answer": answer}))
