"""An endpoint for a model that brings its own code/inference.py, as its users write it."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from PIL import Image

from tests.localaws.conftest import Client, StartCloud
from tests.localaws.sagemaker_world import BUCKET, prepare, sagemaker_services
from tests.localaws.test_endpoints import add_endpoint, add_model, variant

SCRIPT = """
import io
import json
import logging
import os
import urllib.request

from PIL import Image

JSON_CONTENT_TYPE = "application/json"
JPEG_CONTENT_TYPE = "image/jpeg"
logger = logging.getLogger(__name__)


def model_fn(model_dir):
    with open(os.path.join(model_dir, "labels.json")) as f:
        return json.load(f)


def input_fn(request_body, content_type=JPEG_CONTENT_TYPE):
    if content_type == JPEG_CONTENT_TYPE:
        return Image.open(io.BytesIO(request_body))
    if content_type == JSON_CONTENT_TYPE:
        request = json.loads(request_body)
        with urllib.request.urlopen(request["url"]) as response:
            return Image.open(io.BytesIO(response.read()))
    raise Exception("Requested unsupported ContentType in content_type: {}".format(content_type))


def predict_fn(input_object, model):
    red, green, blue = input_object.convert("RGB").resize((1, 1)).getpixel((0, 0))
    return model[max(range(3), key=(red, green, blue).__getitem__)]


def output_fn(prediction, accept):
    return json.dumps({"label": prediction}), accept
"""


def packed() -> bytes:
    """model.tar.gz with the script below code/ and its data beside."""
    files = {
        "labels.json": json.dumps(["red", "green", "blue"]).encode(),
        "code/inference.py": SCRIPT.encode(),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def photo(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def cloud(start_cloud: StartCloud, tmp_path: Path) -> Client:
    command = [sys.executable, "-m", "serving"]
    started = start_cloud(build=sagemaker_services, serve_command=command)
    prepare(started)
    add_model(started, "colours", packed())
    described = add_endpoint(started, "colours", variant("colours"))
    assert described["EndpointStatus"] == "InService", described
    return started


def test_photos_come_as_bytes_or_as_a_url(cloud: Client) -> None:
    runtime, s3 = cloud.client("sagemaker-runtime"), cloud.client("s3")

    def label(body: bytes, content_type: str) -> str:
        answer = runtime.invoke_endpoint(
            EndpointName="colours", Body=body, ContentType=content_type, Accept="application/json"
        )
        assert answer["ContentType"] == "application/json"
        return str(json.loads(answer["Body"].read())["label"])

    assert label(photo((200, 10, 10)), "image/jpeg") == "red"
    s3.put_object(Bucket=BUCKET, Key="a.jpg", Body=photo((10, 10, 200)))
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "a.jpg"})
    assert label(json.dumps({"url": url}).encode(), "application/json") == "blue"
    with pytest.raises(ClientError, match="ModelError") as refused:
        label(b"1,2", "text/csv")
    assert refused.value.response["OriginalStatusCode"] >= 400
    assert label(photo((10, 200, 10)), "image/jpeg") == "green"
