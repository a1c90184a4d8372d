"""Function URLs: the operations, and real requests through a real function."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from localaws.functions.url_front import answer_of
from tests.localaws.compute_world import lambda_only, make_function, zipped
from tests.localaws.conftest import Client, StartCloud, fetch

ECHO = """
def handler(event, context):
    if event["rawPath"] == "/plain":
        return {"seen": event["version"]}
    if event["rawPath"] == "/raise":
        raise ValueError("no")
    return {"statusCode": 201, "headers": {"x-dog": "beagle"}, "cookies": ["a=b"],
            "body": __import__("json").dumps(event)}
"""


@pytest.fixture
def lambdas(start_cloud: StartCloud) -> Client:
    return start_cloud(build=lambda_only)


def make_url(lambdas: Client, auth: str = "NONE", **more: Any) -> str:
    client = lambdas.client("lambda")
    made = client.create_function_url_config(FunctionName="f", AuthType=auth, **more)
    assert made["AuthType"] == auth and made["InvokeMode"] == "BUFFERED"
    return str(made["FunctionUrl"])


def signed(url: str, service: str = "lambda") -> dict[str, str]:
    request = AWSRequest(method="POST", url=url, data=b"{}", headers={})
    SigV4Auth(Credentials("AKIATESTTESTTESTTEST", "test"), service, "us-east-1").add_auth(request)
    return {k.replace("-", "_"): v for k, v in request.headers.items()}


def test_a_request_becomes_an_event_and_the_result_an_answer(lambdas: Client) -> None:
    make_function(lambdas, Code={"ZipFile": zipped(ECHO)})
    url = make_url(lambdas)
    status, body = fetch(f"{url}a/b?x=1&x=2&y=%20", "POST", b"\xff\xd8", content_type="image/jpeg")
    event = json.loads(body)
    assert status == 201
    assert (event["version"], event["rawPath"], event["isBase64Encoded"]) == ("2.0", "/a/b", True)
    assert base64.b64decode(event["body"]) == b"\xff\xd8"
    assert event["queryStringParameters"] == {"x": "1,2", "y": " "}
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["headers"]["content-type"] == "image/jpeg"
    status, body = fetch(f"{url}a", "POST", b'{"url": "x"}', content_type="application/json")
    assert json.loads(body)["body"] == '{"url": "x"}'
    assert fetch(f"{url}plain") == (200, b'{"seen": "2.0"}')
    status, body = fetch(f"{url}raise")
    assert (status, json.loads(body)) == (502, {"Message": "Internal Server Error"})


def test_with_iam_only_signed_requests_reach_it(lambdas: Client) -> None:
    make_function(lambdas, Code={"ZipFile": zipped(ECHO)})
    url = make_url(lambdas, "AWS_IAM")
    assert fetch(f"{url}plain", "POST", b"{}")[0] == 403
    assert fetch(f"{url}plain", "POST", b"{}", **signed(f"{url}plain", "s3"))[0] == 403
    assert fetch(f"{url}plain", "POST", b"{}", **signed(f"{url}plain"))[0] == 200


def test_the_configuration_lives_as_lambdas_does(lambdas: Client) -> None:
    make_function(lambdas, Code={"ZipFile": zipped(ECHO)})
    client = lambdas.client("lambda")
    url = make_url(lambdas, Cors={"AllowOrigins": ["*"], "AllowMethods": ["POST"]})
    with pytest.raises(ClientError, match="FunctionUrlConfig exists") as caught:
        make_url(lambdas)
    assert caught.value.response["Error"]["Code"] == "ResourceConflictException"
    updated = client.update_function_url_config(FunctionName="f", AuthType="AWS_IAM")
    assert updated["FunctionUrl"] == url and updated["Cors"]["AllowOrigins"] == ["*"]
    assert client.get_function_url_config(FunctionName="f")["AuthType"] == "AWS_IAM"
    version = client.publish_version(FunctionName="f")["Version"]
    client.create_alias(FunctionName="f", Name="live", FunctionVersion=version)
    with pytest.raises(ClientError, match="ValidationException"):
        client.create_function_url_config(FunctionName="f", Qualifier=version, AuthType="NONE")
    alias = client.create_function_url_config(FunctionName="f", Qualifier="live", AuthType="NONE")
    assert alias["FunctionUrl"] != url and alias["FunctionArn"].endswith(":live")
    found = client.list_function_url_configs(FunctionName="f")["FunctionUrlConfigs"]
    assert [one["FunctionUrl"] for one in found] == [url, alias["FunctionUrl"]]
    assert fetch(f"{alias['FunctionUrl']}plain")[0] == 200
    client.delete_function_url_config(FunctionName="f")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.get_function_url_config(FunctionName="f")
    assert fetch(url)[0] == 404


def test_a_browser_on_this_machine_gets_the_cors_that_was_set(lambdas: Client) -> None:
    make_function(lambdas, Code={"ZipFile": zipped(ECHO)})
    url = make_url(lambdas, Cors={"AllowOrigins": ["http://localhost:3000"]})
    origin = {"origin": "http://localhost:3000"}
    parts = urlsplit(url)
    import http.client

    connection = http.client.HTTPConnection(str(parts.hostname), parts.port or 80, timeout=10)
    connection.request("OPTIONS", parts.path, headers=origin)
    response = connection.getresponse()
    response.read()
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    connection.close()


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (b"7", 200),
        (b'{"statusCode": 404, "body": "no"}', 404),
        (b'{"statusCode": 200, "body": {"a": 1}}', 200),
        (b'{"statusCode": 200, "body": "!", "isBase64Encoded": true}', 502),
        (b'{"statusCode": "many"}', 502),
        (b"not json", 502),
    ],
)
def test_odd_results(result: bytes, status: int) -> None:
    assert answer_of(result).status_code == status
