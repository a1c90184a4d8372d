"""The usual function: a URL in, the endpoint's list of logits out."""

import json

import boto3

runtime = boto3.Session().client("sagemaker-runtime")
endpoint_name = "dogs"


def lambda_handler(event, context):
    print("Context:::", context)
    response = runtime.invoke_endpoint(
        EndpointName=endpoint_name,
        ContentType="application/json",
        Accept="application/json",
        Body=json.dumps(event),
    )
    result = response["Body"].read().decode("utf-8")
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "text/plain", "Access-Control-Allow-Origin": "*"},
        "type-result": str(type(result)),
        "COntent-Type-In": str(context),
        "body": json.dumps(json.loads(result)),
    }
