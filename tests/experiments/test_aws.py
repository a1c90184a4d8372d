from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
import pytest

from experiments.aws import Address, Boto3Cloud, is_code
from experiments.errors import CloudError
from experiments.records import Basis, Call

DEAD = "http://127.0.0.1:1"


class Answers(BaseHTTPRequestHandler):
    """Says the same thing to every request."""

    status = 200
    body = b"{}"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_GET = do_HEAD = do_PUT = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    handler = type("Fixed", (Answers,), {"status": status, "body": body})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def local(url: str) -> Boto3Cloud:
    return Boto3Cloud(Address(name="local", region="us-east-1", endpoint_url=url))


def test_an_error_keeps_its_code_and_names_a_fix() -> None:
    body = b'{"__type": "ResourceLimitExceeded", "message": "the limit is 0 instances"}'
    with answering(400, body) as url, pytest.raises(CloudError) as caught:
        local(url).ask("sagemaker", "describe_training_job", TrainingJobName="x")
    error = caught.value
    assert is_code(error, "ResourceLimitExceeded")
    assert not is_code(error, "ThrottlingException")
    assert "sagemaker describe_training_job was refused" in error.message
    assert "the limit is 0 instances" in error.message
    assert "higher quota" in error.fix
    assert error.exit_code == 4


def test_a_missing_object_is_told_by_its_status() -> None:
    with answering(404, b"") as url, pytest.raises(CloudError) as caught:
        local(url).ask("s3", "head_object", Bucket="b", Key="k")
    assert caught.value.code == "404"


def test_an_answer_s_members_come_back() -> None:
    body = b'{"Parameter": {"Name": "n", "Value": "ami-1"}}'
    with answering(200, body) as url:
        cloud = local(url)
        assert cloud.ask("ssm", "get_parameter", Name="n")["Parameter"]["Value"] == "ami-1"
        call = Call(service="ssm", operation="get_parameter", params={"Name": "n"}, why="")
        assert cloud.perform(call)["Parameter"]["Name"] == "n"


def test_a_dead_local_cloud_says_how_to_start_it() -> None:
    with pytest.raises(CloudError) as caught:
        local(DEAD).ask("sts", "get_caller_identity")
    assert caught.value.code == "Unreachable"
    assert "`pedigree cloud up`" in caught.value.fix
    with pytest.raises(CloudError):
        local(DEAD).pages("s3", "list_objects_v2", "Contents", Bucket="bucket")


def test_a_proxy_does_not_stand_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, DEAD)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    body = b'{"Parameter": {"Name": "n", "Value": "v"}}'
    with answering(200, body) as url:
        assert local(url).ask("ssm", "get_parameter", Name="n")


def test_a_request_that_aws_does_not_know_is_not_called_a_dead_cloud() -> None:
    with pytest.raises(CloudError) as caught:
        local(DEAD).ask("sagemaker", "describe_training_job", Name="x")
    assert "was not sent" in caught.value.message
    assert "cloud up" not in caught.value.fix


def test_without_credentials_aws_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    cloud = Boto3Cloud(Address(name="aws", region="us-east-1", endpoint_url=None))
    with pytest.raises(CloudError) as caught:
        cloud.ask("sts", "get_caller_identity")
    assert "Unable to locate credentials" in caught.value.message
    assert "credentials" in caught.value.fix


def test_only_the_real_aws_bills() -> None:
    def session() -> Any:
        return boto3.session.Session(region_name="us-east-1")

    real = Boto3Cloud(Address(name="aws", region="us-east-1", endpoint_url=None), session=session)
    assert (real.basis, local(DEAD).basis) == (Basis.BILLED, Basis.SIMULATED)


def test_the_account_is_asked_for_once() -> None:
    body = (
        b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        b"<GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult>"
        b"</GetCallerIdentityResponse>"
    )
    with answering(200, body) as url:
        cloud = local(url)
        assert cloud.account_id == "123456789012"
    assert cloud.account_id == "123456789012"


def test_a_client_is_made_once() -> None:
    cloud = local(DEAD)
    assert cloud.client("s3") is cloud.client("s3")
    assert cloud.client("s3") is not cloud.client("sts")
