"""Data capture: SageMaker's JSON Lines in S3."""

from __future__ import annotations

import base64
import json
import random
import re
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.clock import ManualClock
from localaws.sagemaker.hosting.capture import DataCapture, Exchange, record
from localaws.storage.objects import Objects
from tests.localaws.conftest import Client, StartCloud
from tests.localaws.sagemaker_world import BUCKET, prepare, sagemaker_services, until
from tests.localaws.test_endpoints import SERVER, add_model, invoke, settled, variant

CONFIG: dict[str, Any] = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": f"s3://{BUCKET}/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {
        "CsvContentTypes": ["text/csv"],
        "JsonContentTypes": ["application/json"],
    },
}
NOON = datetime(2027, 1, 15, 12, 34, 56, tzinfo=UTC)


def exchange(**members: Any) -> Exchange:
    facts: dict[str, Any] = {
        "content_type": "image/jpeg",
        "body": b"\xff\xd8",
        "answer_type": "application/json; charset=utf-8",
        "answer": b'{"breed": "beagle"}',
        "inference_id": None,
        "custom_attributes": None,
        **members,
    }
    return Exchange(**facts)


def test_a_line_is_sagemakers() -> None:
    line = record(CONFIG, exchange(inference_id="one", custom_attributes="a=1"), NOON)
    assert uuid.UUID(line["eventMetadata"].pop("eventId"))
    assert line == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "image/jpeg",
                "mode": "INPUT",
                "data": base64.b64encode(b"\xff\xd8").decode(),
                "encoding": "BASE64",
            },
            "endpointOutput": {
                "observedContentType": "application/json; charset=utf-8",
                "mode": "OUTPUT",
                "data": '{"breed": "beagle"}',
                "encoding": "JSON",
            },
        },
        "eventMetadata": {
            "inferenceTime": "2027-01-15T12:34:56Z",
            "inferenceId": "one",
            "customAttributes": ["a=1"],
        },
        "eventVersion": "0",
    }


@pytest.mark.parametrize(
    ("modes", "sides"),
    [
        (["Input"], {"endpointInput"}),
        (["Output"], {"endpointOutput"}),
        (["InputAndOutput"], {"endpointInput", "endpointOutput"}),
    ],
)
def test_only_what_is_asked_for_is_kept(modes: list[str], sides: set[str]) -> None:
    options = [{"CaptureMode": mode} for mode in modes]
    line = record({**CONFIG, "CaptureOptions": options}, exchange(), NOON)
    assert set(line["captureData"]) == sides


def test_without_headers_everything_is_base64_and_csv_is_text() -> None:
    plain = {key: value for key, value in CONFIG.items() if key != "CaptureContentTypeHeader"}
    line = record(plain, exchange(content_type="text/csv", body=b"1,2"), NOON)
    assert line["captureData"]["endpointInput"]["encoding"] == "BASE64"
    line = record(CONFIG, exchange(content_type="text/csv", body=b"1,2"), NOON)
    assert line["captureData"]["endpointInput"]["data"] == "1,2"
    assert line["captureData"]["endpointInput"]["encoding"] == "CSV"


@pytest.fixture
def captured(tmp_path: Path) -> Iterator[tuple[DataCapture, Objects]]:
    clock = ManualClock(NOON.timestamp())
    objects = Objects(tmp_path / "s3", clock=clock)
    capture = DataCapture(objects, clock, random.Random(7))
    yield capture, objects
    capture.close()
    objects.close()


def test_files_are_by_hour_and_variant(captured: tuple[DataCapture, Objects]) -> None:
    capture, objects = captured
    for _ in range(3):
        capture.note(CONFIG, "dogs", "AllTraffic", exchange())
    capture.flush()
    (found,) = objects.list(BUCKET, "captured/")
    pattern = r"captured/dogs/AllTraffic/2027/01/15/12/34-56-000-[0-9a-f-]{36}\.jsonl"
    assert re.fullmatch(pattern, found.key)
    lines = objects.get(BUCKET, found.key).decode().splitlines()
    assert len(lines) == 3
    assert all(json.loads(line)["eventVersion"] == "0" for line in lines)


def test_a_sample_is_a_sample(captured: tuple[DataCapture, Objects]) -> None:
    capture, objects = captured
    for _ in range(400):
        capture.note({**CONFIG, "InitialSamplingPercentage": 25}, "dogs", "a", exchange())
    capture.note({**CONFIG, "EnableCapture": False}, "dogs", "off", exchange())
    capture.note({**CONFIG, "InitialSamplingPercentage": 0}, "dogs", "none", exchange())
    capture.flush()
    (found,) = objects.list(BUCKET, "captured/")
    count = len(objects.get(BUCKET, found.key).splitlines())
    assert 60 < count < 140


def test_an_endpoint_captures_what_it_is_asked(start_cloud: StartCloud, tmp_path: Path) -> None:
    script = tmp_path / "serve.py"
    script.write_text(SERVER)
    command = [sys.executable, str(script)]
    cloud: Client = start_cloud(build=sagemaker_services, serve_command=command, speed=120.0)
    prepare(cloud)
    add_model(cloud, "beagle")
    sagemaker = cloud.client("sagemaker")
    with pytest.raises(ClientError, match="Could not find bucket"):
        elsewhere = {**CONFIG, "DestinationS3Uri": "s3://nowhere/captured"}
        sagemaker.create_endpoint_config(
            EndpointConfigName="bad",
            ProductionVariants=[variant("beagle")],
            DataCaptureConfig=elsewhere,
        )
        sagemaker.create_endpoint(EndpointName="dogs", EndpointConfigName="bad")
    sagemaker.create_endpoint_config(
        EndpointConfigName="dogs",
        ProductionVariants=[variant("beagle")],
        DataCaptureConfig=CONFIG,
    )
    sagemaker.create_endpoint(EndpointName="dogs", EndpointConfigName="dogs")
    assert settled(cloud, "dogs")["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/captured",
        "KmsKeyId": "",
    }
    invoke(cloud, "dogs", b"1,2,3", ContentType="text/csv", InferenceId="seven")
    s3 = cloud.client("s3")

    def files() -> list[Any]:
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="captured/dogs/AllTraffic/")
        return list(listed.get("Contents", []))

    assert until(lambda: bool(files()))
    body = s3.get_object(Bucket=BUCKET, Key=files()[0]["Key"])["Body"].read()
    (line,) = body.decode().splitlines()
    told = json.loads(line)
    assert told["captureData"]["endpointInput"]["data"] == "1,2,3"
    assert json.loads(told["captureData"]["endpointOutput"]["data"])["model"] == "beagle"
    assert told["eventMetadata"]["inferenceId"] == "seven"
