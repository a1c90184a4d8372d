"""Powertools for AWS Lambda: a function as its users write it, with the package in its archive."""

from __future__ import annotations

import base64
import io
import json
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import ROLE, House, envs

TABLE = "orders"
pytestmark = pytest.mark.slow


@pytest.fixture
def archive() -> bytes:
    """`pip install --target`'s folder and the source, as `sam build` packs them."""
    folder = envs()
    if folder is None or not (folder / "powertools").is_dir():
        pytest.skip("PEDIGREE_CLIENTS names no folder with powertools")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for path in sorted((folder / "powertools").rglob("*.py")):
            made.write(path, path.relative_to(folder / "powertools"))
        made.write(Path(__file__).parent / "src" / "powertools_api.py", "app.py")
    return packed.getvalue()


def function(house: House, name: str, handler: str, archive: bytes) -> None:
    variables = {
        "TABLE": TABLE,
        "POWERTOOLS_TRACE_DISABLED": "true",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }
    lambdas = house.client("lambda")
    lambdas.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler=f"app.{handler}",
        Role=ROLE,
        Code={"ZipFile": archive},
        Timeout=30,
        MemorySize=256,
        Environment={"Variables": variables},
    )
    lambdas.get_waiter("function_active_v2").wait(FunctionName=name)


def prepare(house: House) -> None:
    house.client("ssm").put_parameter(Name="/dogs/greeting", Value="good dog", Type="String")
    house.client("dynamodb").create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def http_event(method: str, path: str, body: str | None = None) -> dict[str, Any]:
    """What API Gateway's HTTP APIs send: payload format 2.0."""
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "http": {**http, "userAgent": "agent"},
            "requestId": "id-of-the-request",
            "routeKey": "$default",
            "stage": "$default",
        },
        **({"body": body} if body is not None else {}),
        "isBase64Encoded": False,
    }


def ask(house: House, name: str, event: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """The answer, and the JSON lines of the log's tail."""
    answer = house.client("lambda").invoke(
        FunctionName=name, Payload=json.dumps(event), LogType="Tail"
    )
    tail = base64.b64decode(answer["LogResult"]).decode()
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, f"{payload}\n{tail}"
    return payload, [json.loads(line) for line in tail.splitlines() if line.startswith("{")]


def test_an_http_api_with_logger_metrics_parameters_and_idempotency(
    house: House, archive: bytes
) -> None:
    prepare(house)
    function(house, "api", "api_handler", archive)
    answer, said = ask(house, "api", http_event("GET", "/dogs/rex"))
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {"name": "rex", "greeting": "good dog"}
    (line,) = [one for one in said if one.get("message") == "asked for a dog"]
    assert (line["dog"], line["cold_start"], line["function_name"]) == ("rex", True, "api")
    assert line["correlation_id"] == "id-of-the-request"
    assert line["function_memory_size"] in (256, "256")
    assert line["function_arn"] == "arn:aws:lambda:us-east-1:123456789012:function:api"
    emitted = [one for one in said if "_aws" in one]
    assert any(one.get("ColdStart") == [1.0] for one in emitted)
    assert any(one.get("DogsAsked") == [1.0] for one in emitted)

    missing, said = ask(house, "api", http_event("GET", "/dogs/cat"))
    assert missing["statusCode"] == 404
    assert not any(one.get("ColdStart") for one in said)
    assert ask(house, "api", http_event("GET", "/nowhere"))[0]["statusCode"] == 404
    bad, _ = ask(house, "api", http_event("POST", "/orders", "{}"))
    assert (bad["statusCode"], json.loads(bad["body"])["message"]) == (400, "an order has an id")

    wanted = http_event("POST", "/orders", json.dumps({"id": "1"}))
    first, again = (ask(house, "api", wanted)[0] for _ in range(2))
    assert first["statusCode"] == 201
    assert json.loads(first["body"]) == json.loads(again["body"]), "placed twice"
    other, _ = ask(house, "api", http_event("POST", "/orders", json.dumps({"id": "2"})))
    assert json.loads(other["body"])["number"] != json.loads(first["body"])["number"]


def test_function_urls(house: House, archive: bytes) -> None:
    prepare(house)
    function(house, "url", "url_handler", archive)
    function(house, "raw", "raw_handler", archive)
    lambdas = house.client("lambda")
    urls = [
        lambdas.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
        for name in ("url", "raw")
    ]
    assert fetch(f"{urls[0]}dogs/rex") == (200, '{"name":"rex","greeting":"good dog"}')
    assert fetch(f"{urls[0]}dogs/cat")[0] == 404
    status, said = fetch(f"{urls[1]}a/b?c=d", b"woof")
    assert (status, said) == (200, "POST /a/b {'c': 'd'} woof")


def fetch(url: str, body: bytes | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, data=body, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
