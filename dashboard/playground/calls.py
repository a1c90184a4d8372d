"""The call as JSON, and the same call with curl, the AWS command line and Python. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from dashboard.records import LiveRelease, Photo
from deployment.invoke import Answer, Way
from deployment.settings import ALIAS

_LOCAL_KEY = "localaws"
_ACCEPT = "application/json"


def request_shown(live: LiveRelease, photo: Photo, way: Way) -> str:
    """The request as JSON; of the photo only its size."""
    said = f"<{len(photo.data):,} bytes of {photo.name}>"
    request: dict[str, Any]
    if way is Way.ENDPOINT:
        request = {
            "EndpointName": live.settings.name,
            "ContentType": photo.content_type,
            "Accept": _ACCEPT,
            "Body": said,
        }
    else:
        event = {
            "body": f"{said[:-1]} in base64>",
            "isBase64Encoded": True,
            "headers": {"content-type": photo.content_type},
        }
        request = {
            "FunctionName": live.settings.name,
            "Qualifier": ALIAS,
            "LogType": "Tail",
            "Payload": event,
        }
    return json.dumps(request, indent=2)


def response_shown(answer: Answer) -> str:
    """The answer as JSON."""
    about: dict[str, Any] = {"status": answer.status}
    if answer.way is Way.LAMBDA:
        about["function_version"] = answer.function_version
    return json.dumps({**about, "body": _plain(answer.body)}, indent=2)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def as_python(live: LiveRelease, photo: Photo, way: Way) -> str:
    """The same call in Python with boto3, ready to run beside the photo."""
    where = [f"region_name={live.region!r}"]
    if live.cloud_url:
        where += [
            f"endpoint_url={live.cloud_url!r}",
            f"aws_access_key_id={_LOCAL_KEY!r}",
            f"aws_secret_access_key={_LOCAL_KEY!r}",
        ]
    service = '"sagemaker-runtime"' if way is Way.ENDPOINT else '"lambda"'
    arguments = "".join(f"    {part},\n" for part in [service, *where])
    client = f"import boto3\n\nclient = boto3.client(\n{arguments})\n"
    if way is Way.ENDPOINT:
        return f"""import json
from pathlib import Path

{client}answer = client.invoke_endpoint(
    EndpointName={live.settings.name!r},
    ContentType={photo.content_type!r},
    Accept={_ACCEPT!r},
    Body=Path({photo.name!r}).read_bytes(),
)
print(json.loads(answer["Body"].read()))
"""
    return f"""import base64
import json
from pathlib import Path

{client}event = {{
    "body": base64.b64encode(Path({photo.name!r}).read_bytes()).decode(),
    "isBase64Encoded": True,
    "headers": {{"content-type": {photo.content_type!r}}},
}}
answer = client.invoke(
    FunctionName={live.settings.name!r}, Qualifier={ALIAS!r}, Payload=json.dumps(event)
)
print(json.loads(json.loads(answer["Payload"].read())["body"]))
"""


def as_aws_cli(live: LiveRelease, photo: Photo, way: Way) -> str:
    """The same call with the AWS command line, of version 1 as well as 2."""
    where = ""
    if live.cloud_url:
        where = f"export AWS_ENDPOINT_URL={live.cloud_url}\n{_local_keys()}"
    if way is Way.ENDPOINT:
        return f"""{where}aws sagemaker-runtime invoke-endpoint --region {live.region} \\
  --endpoint-name {live.settings.name} --content-type {photo.content_type} \\
  --accept {_ACCEPT} --body {shlex.quote(f"fileb://{photo.name}")} answer.json
cat answer.json
"""
    return f"""{where}{_event(photo)}
aws lambda invoke --region {live.region} --function-name {live.settings.name} \\
  --qualifier {ALIAS} --payload fileb://event.json answer.json
cat answer.json
"""


def as_curl(live: LiveRelease, photo: Photo, way: Way) -> str:
    """The same call with curl (7.75 or newer), which signs it as AWS asks (Signature Version 4).

    Through the function it goes to the function's own address where there is one.
    """
    keys = _local_keys() if live.cloud_url else ""
    name = live.settings.name
    if way is Way.ENDPOINT:
        base = live.cloud_url or f"https://runtime.sagemaker.{live.region}.amazonaws.com"
        url, service = f"{base}/endpoints/{name}/invocations", "sagemaker"
        sent, before = _photo_sent(photo), ""
    elif live.function_url:
        url, service = live.function_url, "lambda"
        sent, before = _photo_sent(photo), ""
    else:
        base = live.cloud_url or f"https://lambda.{live.region}.amazonaws.com"
        url = f"{base}/2015-03-31/functions/{name}/invocations?Qualifier={ALIAS}"
        service, before = "lambda", f"{_event(photo)}\n"
        sent = "  -H 'Content-Type: application/json' --data-binary @event.json"
    return f"""{keys}{before}curl --silent --show-error \\
  --aws-sigv4 "aws:amz:{live.region}:{service}" \\
  --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\
{sent} \\
  {shlex.quote(url)}
# with temporary credentials add: -H "x-amz-security-token: $AWS_SESSION_TOKEN"
"""


def _local_keys() -> str:
    return f"export AWS_ACCESS_KEY_ID={_LOCAL_KEY} AWS_SECRET_ACCESS_KEY={_LOCAL_KEY}\n"


def _photo_sent(photo: Photo) -> str:
    return (
        f"  -H 'Content-Type: {photo.content_type}' -H 'Accept: {_ACCEPT}' \\\n"
        f"  --data-binary {shlex.quote(f'@{photo.name}')}"
    )


def _event(photo: Photo) -> str:
    """The line of shell that writes the event with the photo in it."""
    event = f'{{"body":"%s","isBase64Encoded":true,"headers":{{"content-type":"{photo.content_type}"}}}}'
    name = shlex.quote(photo.name if not photo.name.startswith("-") else f"./{photo.name}")
    return f"""printf {shlex.quote(event)} "$(base64 < {name} | tr -d '\\n')" > event.json"""
